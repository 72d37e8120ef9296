#include "wire/envelope.hpp"

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
    if (!address) return fail(Errc::unknown_address, address.error().message);
    if (!base::is_plain_name(*address, kMaxAddress)) {
        return fail(Errc::unknown_address,
                    std::string("key '") + key + "': expected only letters, digits, '.', '_' and '-'");
    }
    return address;
}

}  // namespace

base::Result<EnvelopeHeader> open_envelope(json& message, json& data) {
    EnvelopeHeader header;
    const auto version = read_int(message, "version", kOldestBaseVersion, kBaseVersion);
    if (!version) return fail(Errc::unsupported_version, "base layer: " + version.error().message);
    header.version = static_cast<int>(*version);
    auto dest = read_address(message, "dest_addr");
    if (!dest) return tl::make_unexpected(dest.error());
    header.dest_addr = std::move(*dest);
    // Existing senders may leave the source out; an application answers to its own address then.
    header.source_addr = header.dest_addr;
    if (find(message, "source_addr") != nullptr) {
        auto source = read_address(message, "source_addr");
        if (!source) return tl::make_unexpected(source.error());
        header.source_addr = std::move(*source);
    }
    const auto payload = message.find("data");
    if (payload == message.end()) return fail(Errc::bad_field, "key 'data' is missing, expected an object");
    if (payload->is_object()) {
        data = std::move(*payload);
        return header;
    }
    if (!payload->is_string())
        return fail(Errc::bad_field, std::string("key 'data': expected an object, found a ") + payload->type_name());
    auto parsed = parse_object(payload->get_ref<const std::string&>());
    if (!parsed)
        return fail(Errc::bad_field, "key 'data': expected a JSON object in the string: " + parsed.error().message);
    data = std::move(*parsed);
    return header;
}

std::string answer_address(const json& message) {
    std::string address = text_or(message, "source_addr");
    return base::is_plain_name(address, kMaxAddress) ? address : std::string(kBaseAddress);
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
