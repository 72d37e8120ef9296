#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "wire/json_document.hpp"
#include "wire/limits.hpp"

namespace vitalwire::wire {

/// Who on the channel a message is from and for.
struct EnvelopeHeader {
    int version = kBaseVersion;
    std::string_view source_addr;
    std::string_view dest_addr;
};

/// A message of the base layer, which points into where it was read from.
struct Envelope {
    std::int64_t version;  ///< any integer: whether it is one of ours is for the caller to say
    std::string_view source_addr;
    std::string_view dest_addr;
    const JsonValue* data;  ///< the application's own object
};

/// Opens a parsed base-layer message (proto-spec/base-layer.md). Its `data` may be an object, or a string that holds
/// one, which is read into `unpacked`. Fails with malformed.
base::Result<Envelope> open_envelope(const JsonValue& message, JsonDocument& unpacked);

/// A whole message as it goes on the wire: newline, JSON, newline. The `data` comes between these two.
std::string begin_envelope(const EnvelopeHeader& header);
inline constexpr std::string_view kEnvelopeEnd = "}\n";

/// The same around a `data` that is there already.
std::string seal_envelope(const EnvelopeHeader& header, std::string_view data_json);

}  // namespace vitalwire::wire
