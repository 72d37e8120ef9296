#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace vitalwire::wire {

/// The base layer: who on the channel a message is from and for. `data` is the application's own object.
struct EnvelopeHeader {
    int version = 2;
    std::string source_addr;
    std::string dest_addr;
};

/// Takes the application's object out of a parsed base-layer message (proto-spec/base-layer.md). `message["data"]` may
/// be an object or a string that holds one. Fails with malformed, or unsupported_version for a version that is an
/// integer but not ours; `data` is filled then too.
base::Result<EnvelopeHeader> open_envelope(nlohmann::json& message, nlohmann::json& data);

/// One whole message as it goes on the wire: newline, JSON, newline.
std::string seal_envelope(const EnvelopeHeader& header, std::string_view data_json);

}  // namespace vitalwire::wire
