#include "wire/envelope.hpp"

#include <cstdint>

#include "base/text.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::wire {

using base::Errc;
using base::fail;
using base::Result;

namespace {

/// What most messages take.
constexpr std::size_t kUsualMessage = 320;

Result<std::string_view> read_address(const JsonValue& message, const char* key) {
    auto address = read_view(message, key, 1, kMaxAddress);
    if (!address) return fail(Errc::malformed, address.error().message);
    if (!base::is_plain_name(*address, kMaxAddress)) {
        return fail(Errc::malformed, std::string("key '") + key + "': expected only letters, digits, '.', '_' and '-'");
    }
    return address;
}

Result<const JsonValue*> read_data(const JsonValue& message, JsonDocument& unpacked) {
    const JsonValue* data = find(message, "data");
    if (data == nullptr) return fail(Errc::malformed, "key 'data' is missing, expected an object");
    if (data->is<JsonObject>()) return data;
    const auto* text = data->as<std::string_view>();
    if (text == nullptr) return fail(Errc::malformed, "key 'data': expected an object, found " + kind_of(*data));
    if (const auto read = unpacked.read(*text); !read)
        return fail(Errc::malformed, "key 'data': expected a JSON object in the string: " + read.error().message);
    return &unpacked.root();
}

}  // namespace

Result<Envelope> open_envelope(const JsonValue& message, JsonDocument& unpacked) {
    const auto version = read_any_int(message, "version");
    if (!version) return fail(Errc::malformed, "base layer: " + version.error().message);
    const auto source = read_address(message, "source_addr");
    if (!source) return tl::make_unexpected(source.error());
    const auto dest = read_address(message, "dest_addr");
    if (!dest) return tl::make_unexpected(dest.error());
    const auto data = read_data(message, unpacked);
    if (!data) return tl::make_unexpected(data.error());
    return Envelope{*version, *source, *dest, *data};
}

std::string begin_envelope(const EnvelopeHeader& header) {
    // Addresses are plain names (checked where they enter), so they need no escaping.
    std::string line;
    line.reserve(kUsualMessage);
    line += "\n{\"version\":";
    line += std::to_string(header.version);
    line += R"(,"source_addr":")";
    line += header.source_addr;
    line += R"(","dest_addr":")";
    line += header.dest_addr;
    line += R"(","data":)";
    return line;
}

std::string seal_envelope(const EnvelopeHeader& header, std::string_view data_json) {
    std::string line = begin_envelope(header);
    line += data_json;
    line += kEnvelopeEnd;
    return line;
}

}  // namespace vitalwire::wire
