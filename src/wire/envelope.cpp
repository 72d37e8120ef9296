#include "wire/envelope.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "wire/json_reader.hpp"
#include "wire/limits.hpp"

namespace vitalwire::wire {

using base::Errc;
using base::fail;
using nlohmann::json;

namespace {

base::Result<std::string> read_address(const json& message, const char* key) {
    auto address = read_text(message, key, 1, kMaxAddress);
    if (!address) return fail(Errc::malformed, address.error().message);
    if (!base::is_plain_name(*address, kMaxAddress)) {
        return fail(Errc::malformed, std::string("key '") + key + "': expected only letters, digits, '.', '_' and '-'");
    }
    return address;
}

base::Result<json> read_data(json& message) {
    const auto payload = message.find("data");
    if (payload == message.end()) return fail(Errc::malformed, "key 'data' is missing, expected an object");
    if (payload->is_object()) return std::move(*payload);
    if (!payload->is_string())
        return fail(Errc::malformed, std::string("key 'data': expected an object, found a ") + payload->type_name());
    auto parsed = parse_object(payload->get_ref<const std::string&>());
    if (!parsed)
        return fail(Errc::malformed, "key 'data': expected a JSON object in the string: " + parsed.error().message);
    return parsed;
}

}  // namespace

base::Result<EnvelopeHeader> open_envelope(json& message, json& data) {
    const auto version = read_int(message, "version", INT64_MIN, INT64_MAX);
    if (!version) return fail(Errc::malformed, "base layer: " + version.error().message);
    auto source = read_address(message, "source_addr");
    if (!source) return tl::make_unexpected(source.error());
    auto dest = read_address(message, "dest_addr");
    if (!dest) return tl::make_unexpected(dest.error());
    auto payload = read_data(message);
    if (!payload) return tl::make_unexpected(payload.error());
    data = std::move(*payload);
    if (*version < kOldestBaseVersion || *version > kBaseVersion) {
        return fail(Errc::unsupported_version, "base layer version " + std::to_string(*version) + " is not supported");
    }
    return EnvelopeHeader{static_cast<int>(*version), std::move(*source), std::move(*dest)};
}

std::string seal_envelope(const EnvelopeHeader& header, std::string_view data_json) {
    // Addresses are plain names (checked where they enter), so they need no escaping.
    std::string line;
    line.reserve(data_json.size() + header.source_addr.size() + header.dest_addr.size() + 64);
    line += "\n{\"version\":";
    line += std::to_string(header.version);
    line += ",\"source_addr\":\"";
    line += header.source_addr;
    line += "\",\"dest_addr\":\"";
    line += header.dest_addr;
    line += "\",\"data\":";
    line += data_json;
    line += "}\n";
    return line;
}

}  // namespace vitalwire::wire
