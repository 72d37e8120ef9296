#include "wire/nack_codec.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "wire/field_reader.hpp"
#include "wire/limits.hpp"

namespace vitalwire::wire {

using base::Errc;
using base::Millis;
using base::Result;
using nlohmann::json;

namespace {

constexpr std::array kCodes = {Errc::unsupported_version, Errc::bad_field,        Errc::interval_too_small,
                               Errc::no_session,          Errc::unknown_msg_type, Errc::unknown_address,
                               Errc::not_enabled,         Errc::rate_limited,     Errc::not_in_group,
                               Errc::too_large,           Errc::unavailable,      Errc::disconnected};

constexpr std::int64_t kCgcsInvocationLimit = 9007199254740991;  // cgcs guests put any integer there

std::vector<int> read_versions(const JsonValue& data) {
    std::vector<int> versions;
    const JsonValue* list = find(data, "supported_versions");
    if (list == nullptr || !list->is<JsonArray>()) return versions;
    for (const JsonValue& version : *list) {
        if (const auto* number = version.as<std::int64_t>()) versions.push_back(static_cast<int>(*number));
    }
    return versions;
}

std::optional<std::int64_t> read_valid(const JsonValue& data, const char* key, std::int64_t min, std::int64_t max) {
    const auto value = read_int(data, key, min, max);
    if (!value) return std::nullopt;
    return *value;
}

}  // namespace

json nack_to_json(const Nack& nack) {
    json out = {{"version", kHeartbeatVersion},
                {"msg_type", "nack"},
                {"code", nack.unknown_code.empty() ? to_string(nack.code) : nack.unknown_code},
                {"log_msg", base::cut_utf8(nack.message, kMaxReason)},
                {"orig_msg_type", nack.orig_msg_type}};
    if (nack.invocation_id) out["invocation_id"] = *nack.invocation_id;
    if (!nack.supported_versions.empty()) out["supported_versions"] = nack.supported_versions;
    if (nack.min_interval) out["min_interval_ms"] = nack.min_interval->count();
    if (nack.min_detection_time) out["min_detection_time_ms"] = nack.min_detection_time->count();
    if (nack.session) out["session_id"] = nack.session->str();
    if (nack.seq) out["seq"] = *nack.seq;
    if (nack.max_payload) out["max_payload"] = *nack.max_payload;
    if (nack.refused) out["refused"] = *nack.refused;
    return out;
}

Result<Nack> decode_nack(const JsonValue& data) {
    FieldReader in(data);
    Nack nack;
    const std::string code = in.text("code", 1, kMaxReason);
    const auto* known =
        std::find_if(kCodes.begin(), kCodes.end(), [&](Errc candidate) { return to_string(candidate) == code; });
    if (known != kCodes.end()) {
        nack.code = *known;
    } else {
        nack.unknown_code = code;
    }
    nack.message = base::cut_utf8(in.text_or("log_msg", kMaxNativeMessage), kMaxReason);
    nack.orig_msg_type = base::cut_utf8(in.text_or("orig_msg_type", kMaxNativeMessage), kMaxMsgType);
    if (in.has("invocation_id")) nack.invocation_id = in.integer("invocation_id", 0, kMaxInt31);
    if (in.has("min_interval_ms")) nack.min_interval = in.millis("min_interval_ms", Millis(1), kMaxInterval);
    if (in.has("min_detection_time_ms"))
        nack.min_detection_time = in.millis("min_detection_time_ms", Millis(1), kMaxInterval);
    if (in.has("session_id")) nack.session = base::SessionId(in.plain_name("session_id", kMaxSessionId));
    if (in.has("seq")) nack.seq = in.integer("seq", 0, kMaxInt31);
    if (in.has("max_payload")) nack.max_payload = in.integer("max_payload", 0, kMaxInt31);
    if (in.has("refused")) nack.refused = in.integer("refused", 1, kMaxInt31);
    nack.supported_versions = read_versions(data);
    return in.finish(std::move(nack));
}

json cgcs_group_nack_to_json(const Nack& nack, int base_version) {
    // Longer texts crash cgcs guests.
    return {{"version", base_version},
            {"msg_type", "nack"},
            {"orig_msg_type", nack.orig_msg_type},
            {"log_msg", base::cut_utf8(nack.message, kMaxReason - 1)}};
}

Result<Nack> decode_cgcs_group_nack(const JsonValue& data) {
    FieldReader in(data);
    Nack nack;
    nack.message = base::cut_utf8(in.text_or("log_msg", kMaxNativeMessage), kMaxReason);
    nack.orig_msg_type = base::cut_utf8(in.text_or("orig_msg_type", kMaxNativeMessage), kMaxMsgType);
    return in.finish(std::move(nack));
}

Nack make_nack(const JsonValue& data, const base::Error& error, Dialect dialect, std::string_view from) {
    const bool cgcs = dialect == Dialect::cgcs;
    const bool of_any_layer = cgcs || from == kBaseAddress;
    Nack nack;
    nack.code = error.code;
    nack.message = base::cut_utf8(error.message, kMaxReason);
    const std::string type = base::cut_utf8(text_or(data, "msg_type"), kMaxMsgType);
    nack.orig_msg_type = type.empty() ? "unknown" : type;
    if (of_any_layer || (from == kHeartbeatAddress && type == "init"))
        nack.invocation_id = read_valid(data, "invocation_id", cgcs ? -kCgcsInvocationLimit : 0,
                                        cgcs ? kCgcsInvocationLimit : kMaxInt31);
    if (of_any_layer || from == kGroupAddress) nack.seq = read_valid(data, "seq", 0, kMaxInt31);
    if (error.code == Errc::too_large) nack.max_payload = kMaxPayload;
    if (error.code == Errc::unsupported_version) {
        nack.supported_versions = {cgcs ? kCgcsHeartbeatVersion : kHeartbeatVersion};
    }
    return nack;
}

}  // namespace vitalwire::wire
