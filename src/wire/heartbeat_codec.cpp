#include "wire/heartbeat_codec.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "base/text.hpp"
#include "wire/envelope.hpp"
#include "wire/field_reader.hpp"
#include "wire/json_reader.hpp"
#include "wire/nack_codec.hpp"
#include "wire/object_writer.hpp"

namespace vitalwire::wire {

using base::Errc;
using base::fail;
using base::Millis;
using base::Result;
using nlohmann::json;

namespace {

constexpr std::int64_t kAnyInt = 9007199254740991;   // 2^53 - 1: what every JSON implementation can carry
constexpr std::int64_t kMaxRestartSeconds = 86'400;  // a day: longer is no boot
constexpr std::size_t kMaxCgcsText = 32;  // wire limits of the cgcs dialect for everything but name and log_msg

bool is_session_id(std::string_view text) {
    return base::is_plain_name(text, kMaxSessionId) &&
           std::none_of(text.begin(), text.end(), [](char c) { return c == '.' || c == '_'; });
}

class PduReader : public FieldReader<JsonValue> {
public:
    using FieldReader::FieldReader;

    /// Text for people: too long is cut, not refused, so that a chatty guest stays alive.
    std::string free_text(const char* key, std::size_t max) {
        return base::cut_utf8(view(key, 0, kMaxNativeMessage), max);
    }
    std::string free_text_or(const char* key, std::size_t max) {
        return has(key) ? free_text(key, max) : std::string();
    }

    base::SessionId session() {
        const std::string_view id = view("session_id", 1, kMaxSessionId);
        if (!is_session_id(id)) refuse(Errc::bad_field, "key 'session_id': expected 1 to 64 letters, digits and '-'");
        return base::SessionId(std::string(id));
    }

    CorrectiveAction corrective_action() {
        const std::string_view found = view("corrective_action", 1, kMaxCgcsText);
        const auto action = parse_corrective_action(found);
        if (!action) {
            refuse(Errc::bad_field, "key 'corrective_action': expected none, log, reboot or stop, found '" +
                                        base::escape(found, kMaxCgcsText) + "'");
        }
        return action.value_or(CorrectiveAction::none);
    }

    /// Of cgcs guests; what is no such time is none, because such a guest would only log a nack.
    Millis restart_time() const {
        const auto seconds = read_int(object(), "restart_secs", 0, kMaxInt31);
        return std::chrono::seconds(std::min(seconds ? *seconds : 0, kMaxRestartSeconds));
    }

    template <class T>
    Result<HeartbeatPdu> finish(T pdu) {
        return FieldReader::finish(HeartbeatPdu(std::move(pdu)));
    }
};

Result<HeartbeatPdu> decode_init(const JsonValue& data) {
    PduReader in(data);
    Init pdu;
    pdu.invocation_id = in.integer("invocation_id", 0, kMaxInt31);
    pdu.revision = static_cast<int>(in.integer_or("revision", 0, 0, kMaxInt31));
    pdu.name = in.text("name", 1, kMaxName);
    // The floor is the session's policy and has a nack of its own; here only what is no interval at all is refused.
    pdu.interval = in.millis_or("heartbeat_interval_ms", kDefaultInterval, Millis(1), kMaxInterval);
    if (in.has("response_deadline_ms")) {
        pdu.response_deadline =
            in.millis("response_deadline_ms", kSmallestDeadline, std::max(pdu.interval, kSmallestDeadline));
    }
    if (in.has("detection_time_ms")) pdu.detection_time = in.millis("detection_time_ms", Millis(1), kMaxInterval);
    if (in.has("challenge_interval_ms"))
        pdu.challenge_interval = in.millis("challenge_interval_ms", Millis(1), kMaxInterval);
    if (in.has("corrective_action")) pdu.corrective_action = in.corrective_action();
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_init_ack(const JsonValue& data) {
    PduReader in(data);
    InitAck pdu;
    pdu.invocation_id = in.integer("invocation_id", 0, kMaxInt31);
    pdu.revision = static_cast<int>(in.integer("revision", 0, kMaxInt31));
    pdu.session = in.session();
    pdu.interval = in.millis("heartbeat_interval_ms", Millis(1), kMaxInterval);
    pdu.response_deadline = in.millis("response_deadline_ms", Millis(1), kMaxInterval);
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_challenge(const JsonValue& data) {
    PduReader in(data);
    Challenge pdu;
    pdu.session = in.session();
    pdu.value = in.integer("heartbeat_challenge", 0, kMaxInt31);
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_challenge_response(const JsonValue& data) {
    PduReader in(data);
    ChallengeResponse pdu;
    pdu.session = in.session();
    pdu.value = in.integer("heartbeat_response", 0, kMaxInt31);
    pdu.healthy = in.boolean("healthy");
    pdu.reason = in.free_text_or("reason", kMaxReason);
    if (in.has("corrective_action")) pdu.corrective_action = in.corrective_action();
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_exit(const JsonValue& data) {
    PduReader in(data);
    Exit pdu;
    pdu.session = in.session();
    pdu.reason = in.free_text_or("reason", kMaxReason);
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_native_nack(const JsonValue& data) {
    auto nack = decode_nack(data);
    if (!nack) return tl::make_unexpected(std::move(nack.error()));
    return HeartbeatPdu(std::move(*nack));
}

Result<HeartbeatPdu> decode_cgcs_init(const JsonValue& data) {
    PduReader in(data);
    Init pdu;
    pdu.invocation_id = in.integer("invocation_id", -kAnyInt, kAnyInt);
    pdu.name = in.free_text("name", kMaxName);
    if (pdu.name.empty()) in.refuse(Errc::bad_field, "key 'name': expected a string of 1 to 64 bytes, found none");
    pdu.interval = in.millis("heartbeat_interval_ms", Millis(1), Millis(kMaxInt31));
    // The other times of the init are about votes, which nobody here holds.
    pdu.restart_time = in.restart_time();
    pdu.corrective_action = in.corrective_action();
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_cgcs_response(const JsonValue& data) {
    PduReader in(data);
    ChallengeResponse pdu;
    pdu.value = in.integer("heartbeat_response", 0, kMaxInt31);
    const std::string_view health = in.view("heartbeat_health", 1, kMaxCgcsText);
    if (health != "healthy" && health != "unhealthy")
        in.refuse(Errc::bad_field, "key 'heartbeat_health': expected healthy or unhealthy");
    pdu.healthy = health == "healthy";
    if (in.has("corrective_action")) pdu.corrective_action = in.corrective_action();
    pdu.reason = in.free_text_or("log_msg", kMaxReason);
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_cgcs_exit(const JsonValue& data) {
    PduReader in(data);
    Exit pdu;
    pdu.reason = in.free_text_or("log_msg", kMaxReason);
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_action_response(const JsonValue& data) {
    PduReader in(data);
    ActionResponse pdu;
    pdu.invocation_id = in.integer("invocation_id", -kAnyInt, kAnyInt);
    pdu.event_type = in.text("event_type", 1, kMaxCgcsText);
    pdu.notification_type = in.text("notification_type", 1, kMaxCgcsText);
    pdu.vote_result = in.text("vote_result", 1, kMaxCgcsText);
    pdu.log_msg = in.free_text_or("log_msg", kMaxReason);
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_action_notify(const JsonValue& data) {
    PduReader in(data);
    ActionNotify pdu;
    pdu.invocation_id = in.integer("invocation_id", -kAnyInt, kAnyInt);
    pdu.event_type = in.text("event_type", 1, kMaxCgcsText);
    pdu.notification_type = in.text("notification_type", 1, kMaxCgcsText);
    pdu.timeout = in.millis("timeout_ms", Millis(0), Millis(kMaxInt31));
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_cgcs_challenge(const JsonValue& data) {
    PduReader in(data);
    Challenge pdu;
    pdu.value = in.integer("heartbeat_challenge", 0, kMaxInt31);
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_cgcs_init_ack(const JsonValue& data) {
    PduReader in(data);
    InitAck pdu;
    pdu.invocation_id = in.integer("invocation_id", -kAnyInt, kAnyInt);
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_cgcs_nack(const JsonValue& data) {
    PduReader in(data);
    Nack pdu;
    pdu.invocation_id = in.integer("invocation_id", -kAnyInt, kAnyInt);
    pdu.message = in.free_text_or("log_msg", kMaxReason);
    return in.finish(std::move(pdu));
}

enum class Sender : std::uint8_t { guest, host, both };

struct MessageType {
    std::string_view name;
    Sender sender;
    Result<HeartbeatPdu> (*decode)(const JsonValue&);
};

constexpr std::array<MessageType, 6> kNativeTypes = {{{"init", Sender::guest, decode_init},
                                                      {"init_ack", Sender::host, decode_init_ack},
                                                      {"challenge", Sender::host, decode_challenge},
                                                      {"challenge_response", Sender::guest, decode_challenge_response},
                                                      {"exit", Sender::both, decode_exit},
                                                      {"nack", Sender::host, decode_native_nack}}};

constexpr std::array<MessageType, 8> kCgcsTypes = {{{"init", Sender::guest, decode_cgcs_init},
                                                    {"init_ack", Sender::host, decode_cgcs_init_ack},
                                                    {"challenge", Sender::host, decode_cgcs_challenge},
                                                    {"challenge_response", Sender::guest, decode_cgcs_response},
                                                    {"exit", Sender::both, decode_cgcs_exit},
                                                    {"nack", Sender::host, decode_cgcs_nack},
                                                    {"action_notify", Sender::host, decode_action_notify},
                                                    {"action_response", Sender::guest, decode_action_response}}};

template <std::size_t N>
Result<HeartbeatPdu> decode_by_type(const std::array<MessageType, N>& types, const JsonValue& data, Receiver receiver) {
    const auto type = read_view(data, "msg_type", 0, kMaxNativeMessage);
    if (!type) return tl::make_unexpected(type.error());
    const Sender own = receiver == Receiver::host ? Sender::host : Sender::guest;
    for (const MessageType& known : types) {
        if (known.name == *type && known.sender != own) return known.decode(data);
    }
    return fail(Errc::unknown_msg_type,
                "msg_type '" + base::escape(*type, kMaxMsgType) + "' is not one that this end receives");
}

/// The layer's version, from `first` to `last`: what is no integer is a bad field, another integer another version.
Result<void> check_version(const JsonValue& data, std::int64_t first, std::int64_t last) {
    const auto version = read_int(data, "version", INT64_MIN, INT64_MAX);
    if (!version) return tl::make_unexpected(version.error());
    if (*version >= first && *version <= last) return {};
    return fail(Errc::unsupported_version, "heartbeat version " + std::to_string(*version) + " is not supported");
}

constexpr std::string_view kNewline = "\n";
constexpr std::string_view kChallengeToSequence = R"({"version":1,"msg_type":"challenge","sequence":)";
static_assert(kHeartbeatVersion == 1);

/// Each writes a whole message.
struct NativeEncoder {
    std::uint32_t sequence;
    EnvelopeHeader header;

    std::string operator()(const Init& pdu) const {
        ObjectWriter out = start("init");
        out.number("invocation_id", pdu.invocation_id);
        out.number("revision", pdu.revision);
        out.text("name", pdu.name);
        out.number("heartbeat_interval_ms", pdu.interval.count());
        if (pdu.response_deadline) out.number("response_deadline_ms", pdu.response_deadline->count());
        if (pdu.detection_time) out.number("detection_time_ms", pdu.detection_time->count());
        if (pdu.challenge_interval) out.number("challenge_interval_ms", pdu.challenge_interval->count());
        out.text("corrective_action", to_string(pdu.corrective_action));
        return out.finish(kEnvelopeEnd);
    }
    std::string operator()(const InitAck& pdu) const {
        ObjectWriter out = start("init_ack");
        out.number("invocation_id", pdu.invocation_id);
        out.number("revision", pdu.revision);
        out.text("session_id", pdu.session.str());
        out.number("heartbeat_interval_ms", pdu.interval.count());
        out.number("response_deadline_ms", pdu.response_deadline.count());
        return out.finish(kEnvelopeEnd);
    }
    /// Written for every beat of every guest: of few pieces, none of which needs an escape.
    std::string operator()(const Challenge& pdu) const {
        std::string line = begin_envelope(header);
        line += kChallengeToSequence;
        line += std::to_string(sequence & kMaxInt31);
        line += R"(,"session_id":")";
        line += pdu.session.str();
        line += R"(","heartbeat_challenge":)";
        line += std::to_string(pdu.value);
        line += '}';
        line += kEnvelopeEnd;
        return line;
    }
    std::string operator()(const ChallengeResponse& pdu) const {
        ObjectWriter out = start("challenge_response");
        out.text("session_id", pdu.session.str());
        out.number("heartbeat_response", pdu.value);
        out.flag("healthy", pdu.healthy);
        if (!pdu.reason.empty()) out.text("reason", base::cut_utf8(pdu.reason, kMaxReason));
        if (pdu.corrective_action) out.text("corrective_action", to_string(*pdu.corrective_action));
        return out.finish(kEnvelopeEnd);
    }
    std::string operator()(const Exit& pdu) const {
        ObjectWriter out = start("exit");
        out.text("session_id", pdu.session.str());
        if (!pdu.reason.empty()) out.text("reason", base::cut_utf8(pdu.reason, kMaxReason));
        return out.finish(kEnvelopeEnd);
    }
    std::string operator()(const Nack& pdu) const {
        json out = nack_to_json(pdu);
        out["sequence"] = sequence & kMaxInt31;
        return seal_envelope(header, dump(out));
    }
    // Votes exist on the cgcs channel only: asking for one here is a mistake of the caller's.
    std::string operator()(const ActionNotify&) const { throw std::logic_error("action_notify is not a native PDU"); }
    std::string operator()(const ActionResponse&) const {
        throw std::logic_error("action_response is not a native PDU");
    }

private:
    ObjectWriter start(std::string_view msg_type) const {
        ObjectWriter out(begin_envelope(header));
        out.number("version", kHeartbeatVersion).text("msg_type", msg_type).number("sequence", sequence & kMaxInt31);
        return out;
    }
};

struct CgcsEncoder {
    std::uint32_t sequence;

    std::string operator()(const Init& pdu) const {
        ObjectWriter out = start("init");
        out.number("invocation_id", pdu.invocation_id);
        out.text("name", pdu.name);
        out.number("heartbeat_interval_ms", pdu.interval.count());
        for (const char* notice : {"vote_secs", "shutdown_notice_secs", "suspend_notice_secs", "resume_notice_secs"})
            out.number(notice, 0);
        out.number("restart_secs", std::chrono::duration_cast<std::chrono::seconds>(pdu.restart_time).count());
        out.text("corrective_action", to_string(pdu.corrective_action));
        return out.finish(kNewline);
    }
    std::string operator()(const InitAck& pdu) const {
        ObjectWriter out = start("init_ack");
        out.number("invocation_id", pdu.invocation_id);
        return out.finish(kNewline);
    }
    std::string operator()(const Challenge& pdu) const {
        ObjectWriter out = start("challenge");
        out.number("heartbeat_challenge", pdu.value);
        return out.finish(kNewline);
    }
    std::string operator()(const ChallengeResponse& pdu) const {
        ObjectWriter out = start("challenge_response");
        out.number("heartbeat_response", pdu.value);
        out.text("heartbeat_health", pdu.healthy ? "healthy" : "unhealthy");
        out.text("corrective_action", to_string(pdu.corrective_action.value_or(CorrectiveAction::none)));
        out.text("log_msg", base::cut_utf8(pdu.reason, kMaxReason));
        return out.finish(kNewline);
    }
    std::string operator()(const Exit& pdu) const {
        ObjectWriter out = start("exit");
        out.text("log_msg", base::cut_utf8(pdu.reason, kMaxReason));
        return out.finish(kNewline);
    }
    std::string operator()(const Nack& pdu) const {
        ObjectWriter out = start("nack");
        out.number("invocation_id", pdu.invocation_id.value_or(0));
        out.text("log_msg", base::cut_utf8(pdu.message, kMaxReason - 1));
        return out.finish(kNewline);
    }
    std::string operator()(const ActionNotify& pdu) const {
        ObjectWriter out = start("action_notify");
        out.number("invocation_id", pdu.invocation_id);
        out.text("event_type", pdu.event_type);
        out.text("notification_type", pdu.notification_type);
        out.number("timeout_ms", pdu.timeout.count());
        return out.finish(kNewline);
    }
    std::string operator()(const ActionResponse& pdu) const {
        ObjectWriter out = start("action_response");
        out.number("invocation_id", pdu.invocation_id);
        out.text("event_type", pdu.event_type);
        out.text("notification_type", pdu.notification_type);
        out.text("vote_result", pdu.vote_result);
        out.text("log_msg", base::cut_utf8(pdu.log_msg, kMaxReason));
        return out.finish(kNewline);
    }

private:
    ObjectWriter start(std::string_view msg_type) const {
        ObjectWriter out{std::string(kNewline)};
        out.number("version", kCgcsHeartbeatVersion).number("revision", 1).text("msg_type", msg_type);
        out.number("sequence", sequence & kMaxInt31);
        return out;
    }
};

}  // namespace

Result<HeartbeatPdu> decode_heartbeat(const JsonValue& data, Dialect dialect, Receiver receiver) {
    const bool cgcs = dialect == Dialect::cgcs;
    const auto version = cgcs ? check_version(data, kCgcsHeartbeatVersion, kMaxInt31)
                              : check_version(data, kHeartbeatVersion, kHeartbeatVersion);
    if (!version) return tl::make_unexpected(version.error());
    return cgcs ? decode_by_type(kCgcsTypes, data, receiver) : decode_by_type(kNativeTypes, data, receiver);
}

std::string encode_heartbeat(const HeartbeatPdu& pdu, Dialect dialect, std::uint32_t sequence, int base_version) {
    if (dialect == Dialect::cgcs) return std::visit(CgcsEncoder{sequence}, pdu);
    return std::visit(NativeEncoder{sequence, {base_version, kHeartbeatAddress, kHeartbeatAddress}}, pdu);
}

std::optional<std::string> escape_log_msg(std::string_view line) {
    constexpr std::string_view kKey = "\"log_msg\":";
    constexpr std::string_view kEnd = "\"}";
    const std::size_t key = line.find(kKey);
    if (key == std::string_view::npos) return std::nullopt;
    const std::size_t value = key + kKey.size();
    if (!line.substr(value).starts_with('"')) return std::nullopt;
    // Without its end the text held a newline, and the rest of it is the next line.
    std::string_view text = line.substr(value + 1);
    if (text.ends_with(kEnd)) text.remove_suffix(kEnd.size());
    return std::string(line.substr(0, value)) + dump(json(text)) + '}';
}

}  // namespace vitalwire::wire
