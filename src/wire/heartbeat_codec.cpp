#include "wire/heartbeat_codec.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "wire/envelope.hpp"
#include "wire/field_reader.hpp"
#include "wire/guest_agent_codec.hpp"
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

constexpr std::int64_t kAnyInt = 9007199254740991;       // 2^53 - 1: what every JSON implementation can carry
constexpr std::chrono::seconds kMaxRestartTime{86'400};  // a day: longer is no boot
constexpr std::string_view kRevocable = "revocable";
constexpr std::string_view kIrrevocable = "irrevocable";
constexpr std::size_t kMaxHostVersion = 64;
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
    Millis cgcs_time(const char* key, std::chrono::seconds max) const {
        const auto seconds = read_int(object(), key, 0, kMaxInt31);
        return std::min(std::chrono::seconds(seconds ? *seconds : 0), max);
    }

    Millis notice_time(const char* key) { return millis_or(key, Millis(0), Millis(0), model::kMaxNoticeTime); }

    LifecycleEvent event() {
        const std::string_view found = view("event_type", 1, kMaxCgcsText);
        const auto event = model::parse_lifecycle_event(found);
        if (!event)
            refuse(Errc::bad_field, "key 'event_type': '" + base::escape(found, kMaxCgcsText) + "' is no event");
        return event.value_or(LifecycleEvent::stop);
    }

    bool revocable() {
        const std::string_view found = view("notification_type", 1, kMaxCgcsText);
        if (found != kRevocable && found != kIrrevocable)
            refuse(Errc::bad_field, "key 'notification_type': expected revocable or irrevocable");
        return found == kRevocable;
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
    pdu.notice_times = {in.notice_time("vote_ms"), in.notice_time("shutdown_notice_ms"),
                        in.notice_time("suspend_notice_ms"), in.notice_time("resume_notice_ms")};
    return in.finish(std::move(pdu));
}

/// What is not of its form is not there: nothing that a guest does depends on it.
HostFacts decode_facts(const JsonValue& data) {
    const auto number = [&](const char* key) -> std::optional<std::int64_t> {
        const auto found = read_int(data, key, 1, kMaxInt31);
        return found ? std::optional(*found) : std::nullopt;
    };
    HostFacts facts;
    facts.instance_id = text_or(data, "instance_id");
    if (!base::is_plain_name(facts.instance_id, kMaxInstanceId)) facts.instance_id.clear();
    facts.host_version = base::cut_utf8(text_or(data, "host_version"), kMaxHostVersion);
    if (const auto group = read_bool(data, "group")) facts.group = *group;
    facts.messages_per_second = number("group_messages_per_s");
    facts.bytes_per_second = number("group_bytes_per_s");
    facts.max_payload = number("group_max_payload");
    return facts;
}

Result<HeartbeatPdu> decode_init_ack(const JsonValue& data) {
    PduReader in(data);
    InitAck pdu;
    pdu.invocation_id = in.integer("invocation_id", 0, kMaxInt31);
    pdu.revision = static_cast<int>(in.integer("revision", 0, kMaxInt31));
    pdu.session = in.session();
    pdu.interval = in.millis("heartbeat_interval_ms", Millis(1), kMaxInterval);
    pdu.response_deadline = in.millis("response_deadline_ms", Millis(1), kMaxInterval);
    pdu.facts = decode_facts(data);
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
    pdu.restart_time = in.cgcs_time("restart_secs", kMaxRestartTime);
    constexpr auto kMax = std::chrono::duration_cast<std::chrono::seconds>(model::kMaxNoticeTime);
    pdu.notice_times = {in.cgcs_time("vote_secs", kMax), in.cgcs_time("shutdown_notice_secs", kMax),
                        in.cgcs_time("suspend_notice_secs", kMax), in.cgcs_time("resume_notice_secs", kMax)};
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

Result<HeartbeatPdu> decode_action_notify(const JsonValue& data) {
    PduReader in(data);
    ActionNotify pdu;
    pdu.session = in.session();
    pdu.invocation_id = in.integer("invocation_id", 0, kMaxInt31);
    pdu.event = in.event();
    pdu.revocable = in.revocable();
    pdu.timeout = in.millis("timeout_ms", Millis(0), model::kMaxNoticeTime);
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_action_response(const JsonValue& data) {
    PduReader in(data);
    ActionResponse pdu;
    pdu.session = in.session();
    pdu.invocation_id = in.integer("invocation_id", 0, kMaxInt31);
    pdu.event = in.event();
    pdu.revocable = in.revocable();
    const auto result = model::parse_vote_result(in.view("vote_result", 1, kMaxCgcsText));
    if (!result) in.refuse(Errc::bad_field, "key 'vote_result': expected accept, complete, timeout, error or reject");
    pdu.result = result.value_or(VoteResult::error);
    pdu.reason = in.free_text_or("reason", kMaxReason);
    return in.finish(std::move(pdu));
}

/// What is no answer in the words of the table is one that does not keep an action back.
Result<HeartbeatPdu> decode_cgcs_action_response(const JsonValue& data) {
    PduReader in(data);
    ActionResponse pdu;
    pdu.invocation_id = in.integer("invocation_id", -kAnyInt, kAnyInt);
    pdu.event = model::parse_lifecycle_event(in.view("event_type", 1, kMaxCgcsText));
    pdu.revocable = in.view("notification_type", 1, kMaxCgcsText) == kRevocable;
    pdu.result = model::parse_vote_result(in.view("vote_result", 1, kMaxCgcsText)).value_or(VoteResult::error);
    pdu.reason = in.free_text_or("log_msg", kMaxReason);
    return in.finish(std::move(pdu));
}

Result<HeartbeatPdu> decode_cgcs_action_notify(const JsonValue& data) {
    PduReader in(data);
    ActionNotify pdu;
    pdu.invocation_id = in.integer("invocation_id", -kAnyInt, kAnyInt);
    pdu.event = in.event();
    pdu.revocable = in.revocable();
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

constexpr std::array<MessageType, 8> kNativeTypes = {{{"init", Sender::guest, decode_init},
                                                      {"init_ack", Sender::host, decode_init_ack},
                                                      {"challenge", Sender::host, decode_challenge},
                                                      {"challenge_response", Sender::guest, decode_challenge_response},
                                                      {"exit", Sender::both, decode_exit},
                                                      {"nack", Sender::host, decode_native_nack},
                                                      {"action_notify", Sender::host, decode_action_notify},
                                                      {"action_response", Sender::guest, decode_action_response}}};

constexpr std::array<MessageType, 8> kCgcsTypes = {{{"init", Sender::guest, decode_cgcs_init},
                                                    {"init_ack", Sender::host, decode_cgcs_init_ack},
                                                    {"challenge", Sender::host, decode_cgcs_challenge},
                                                    {"challenge_response", Sender::guest, decode_cgcs_response},
                                                    {"exit", Sender::both, decode_cgcs_exit},
                                                    {"nack", Sender::host, decode_cgcs_nack},
                                                    {"action_notify", Sender::host, decode_cgcs_action_notify},
                                                    {"action_response", Sender::guest, decode_cgcs_action_response}}};

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
    const auto version = read_any_int(data, "version");
    if (!version) return tl::make_unexpected(version.error());
    if (*version >= first && *version <= last) return {};
    return fail(Errc::unsupported_version, "heartbeat " + not_supported(*version));
}

constexpr std::string_view kNewline = "\n";
constexpr std::string_view kChallengeToSequence = R"({"version":1,"msg_type":"challenge","sequence":)";
static_assert(kHeartbeatVersion == 1);

void put_action(ObjectWriter& out, const ActionNotify& pdu) {
    out.number("invocation_id", pdu.invocation_id);
    out.text("event_type", to_string(pdu.event));
    out.text("notification_type", pdu.revocable ? kRevocable : kIrrevocable);
}

void put_action(ObjectWriter& out, const ActionResponse& pdu) {
    out.number("invocation_id", pdu.invocation_id);
    out.text("event_type", pdu.event ? to_string(*pdu.event) : "unknown");
    out.text("notification_type", pdu.revocable ? kRevocable : kIrrevocable);
}

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
        const NoticeTimes& times = pdu.notice_times;
        if (times.vote > Millis::zero()) out.number("vote_ms", times.vote.count());
        if (times.shutdown > Millis::zero()) out.number("shutdown_notice_ms", times.shutdown.count());
        if (times.suspend > Millis::zero()) out.number("suspend_notice_ms", times.suspend.count());
        if (times.resume > Millis::zero()) out.number("resume_notice_ms", times.resume.count());
        return out.finish(kEnvelopeEnd);
    }
    std::string operator()(const InitAck& pdu) const {
        ObjectWriter out = start("init_ack");
        out.number("invocation_id", pdu.invocation_id);
        out.number("revision", pdu.revision);
        out.text("session_id", pdu.session.str());
        out.number("heartbeat_interval_ms", pdu.interval.count());
        out.number("response_deadline_ms", pdu.response_deadline.count());
        const HostFacts& facts = pdu.facts;
        if (!facts.instance_id.empty()) out.text("instance_id", facts.instance_id);
        if (!facts.host_version.empty()) out.text("host_version", facts.host_version);
        if (facts.group) out.flag("group", *facts.group);
        if (facts.messages_per_second) out.number("group_messages_per_s", *facts.messages_per_second);
        if (facts.bytes_per_second) out.number("group_bytes_per_s", *facts.bytes_per_second);
        if (facts.max_payload) out.number("group_max_payload", *facts.max_payload);
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
    std::string operator()(const ActionNotify& pdu) const {
        ObjectWriter out = start("action_notify");
        out.text("session_id", pdu.session.str());
        put_action(out, pdu);
        out.number("timeout_ms", pdu.timeout.count());
        return out.finish(kEnvelopeEnd);
    }
    std::string operator()(const ActionResponse& pdu) const {
        ObjectWriter out = start("action_response");
        out.text("session_id", pdu.session.str());
        put_action(out, pdu);
        out.text("vote_result", to_string(pdu.result));
        if (!pdu.reason.empty()) out.text("reason", base::cut_utf8(pdu.reason, kMaxReason));
        return out.finish(kEnvelopeEnd);
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
        out.number("vote_secs", seconds(pdu.notice_times.vote));
        out.number("shutdown_notice_secs", seconds(pdu.notice_times.shutdown));
        out.number("suspend_notice_secs", seconds(pdu.notice_times.suspend));
        out.number("resume_notice_secs", seconds(pdu.notice_times.resume));
        out.number("restart_secs", seconds(pdu.restart_time));
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
        put_action(out, pdu);
        out.number("timeout_ms", pdu.timeout.count());
        return out.finish(kNewline);
    }
    std::string operator()(const ActionResponse& pdu) const {
        ObjectWriter out = start("action_response");
        put_action(out, pdu);
        out.text("vote_result", to_string(pdu.result));
        out.text("log_msg", base::cut_utf8(pdu.reason, kMaxReason));
        return out.finish(kNewline);
    }

private:
    static std::int64_t seconds(Millis time) { return std::chrono::duration_cast<std::chrono::seconds>(time).count(); }

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
    if (dialect == Dialect::guest_agent) return encode_guest_agent(pdu);
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
