#include "wire/group_codec.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "wire/base64.hpp"
#include "wire/envelope.hpp"
#include "wire/field_reader.hpp"
#include "wire/limits.hpp"
#include "wire/nack_codec.hpp"
#include "wire/object_writer.hpp"

namespace vitalwire::wire {

using base::Errc;
using base::fail;
using base::Result;
using nlohmann::json;

namespace {

std::uint64_t read_dropped(FieldReader<JsonValue>& in) {
    return static_cast<std::uint64_t>(in.integer_or("dropped", 0, 0, kMaxInt31));
}

Result<std::string> decode_payload(const JsonValue& data, Dialect dialect) {
    auto text = read_text(data, "data", 0, kMaxNativeMessage);
    if (!text) return text;
    std::string encoding = "utf8";
    if (dialect == Dialect::native && find(data, "encoding") != nullptr) {
        auto given = read_text(data, "encoding", 0, kMaxNativeMessage);
        if (!given) return given;
        encoding = std::move(*given);
    }
    if (encoding == "base64") {
        auto bytes = decode_base64(*text);
        if (!bytes) return fail(Errc::bad_field, "key 'data': expected base64 with padding (RFC 4648 section 4)");
        text = std::move(*bytes);
    } else if (encoding != "utf8") {
        return fail(Errc::bad_field, "key 'encoding': expected utf8 or base64");
    }
    if (text->size() > kMaxPayload) {
        return fail(Errc::too_large, "key 'data': payload of " + std::to_string(text->size()) + " bytes, at most " +
                                         std::to_string(kMaxPayload) + " are accepted");
    }
    return text;
}

Result<GroupPdu> decode_broadcast(const JsonValue& data, Dialect dialect) {
    FieldReader in(data);
    Broadcast pdu;
    pdu.payload = in.take(decode_payload(data, dialect));
    if (dialect == Dialect::native && in.has("seq")) pdu.seq = in.integer("seq", 0, kMaxInt31);
    return in.finish(GroupPdu(std::move(pdu)));
}

Result<GroupPdu> decode_query(const JsonValue& data, Dialect) {
    FieldReader in(data);
    StatusQuery pdu{in.integer("seq", 0, kMaxInt31)};
    return in.finish(GroupPdu(pdu));
}

Result<GroupPdu> decode_delivery(const JsonValue& data, Dialect dialect) {
    FieldReader in(data);
    Delivery pdu;
    pdu.source = in.text("source_instance", 1, kMaxInstanceId);
    if (!base::is_plain_name(pdu.source, kMaxInstanceId))
        in.refuse(Errc::bad_field, "key 'source_instance': expected an instance id");
    pdu.payload = in.take(decode_payload(data, dialect));
    pdu.from_operator = in.boolean_or("operator", false);
    pdu.dropped = read_dropped(in);
    return in.finish(GroupPdu(std::move(pdu)));
}

/// The object `key`, decoded; hosts of cgcs guests wrap the state of a notification once more.
Result<MemberState> read_state(const JsonValue& object, const char* key) {
    const JsonValue* found = find(object, key);
    if (found == nullptr || !found->is<JsonObject>())
        return fail(Errc::bad_field, std::string("key '") + key + "': expected a state object");
    const json state = to_json(*found);
    auto decoded = member_state_from_json(state);
    if (decoded) decoded->raw = dump(state);
    return decoded;
}

Result<GroupPdu> decode_response(const JsonValue& data, Dialect) {
    FieldReader in(data);
    StatusResponse pdu;
    pdu.seq = in.integer("seq", 0, kMaxInt31);
    pdu.state = in.take(read_state(data, "data"));
    pdu.dropped = read_dropped(in);
    return in.finish(GroupPdu(std::move(pdu)));
}

Result<GroupPdu> decode_done(const JsonValue& data, Dialect dialect) {
    FieldReader in(data);
    StatusDone pdu;
    pdu.seq = in.integer("seq", 0, kMaxInt31);
    if (dialect == Dialect::native) pdu.count = static_cast<std::uint64_t>(in.integer("count", 0, kMaxInt31));
    pdu.dropped = read_dropped(in);
    return in.finish(GroupPdu(pdu));
}

Result<GroupPdu> decode_notification(const JsonValue& data, Dialect dialect) {
    const JsonValue* outer = &data;
    const char* key = "data";
    if (dialect == Dialect::cgcs) {
        const JsonValue* wrapped = find(data, "data");
        if (wrapped == nullptr) return fail(Errc::bad_field, "key 'data' is missing, expected an object");
        outer = wrapped;
        key = "payload";
    }
    FieldReader in(*outer);
    Notification pdu;
    pdu.event_type = in.text("event_type", 1, kMaxInstanceId);
    pdu.timestamp = in.text_or("timestamp", kMaxStateWord);
    pdu.state = in.take(read_state(*outer, key));
    pdu.dropped = read_dropped(in);
    return in.finish(GroupPdu(std::move(pdu)));
}

Result<GroupPdu> decode_group_nack(const JsonValue& data, Dialect dialect) {
    auto nack = dialect == Dialect::native ? decode_nack(data) : decode_cgcs_group_nack(data);
    if (!nack) return tl::make_unexpected(nack.error());
    return GroupPdu(std::move(*nack));
}

struct GroupMessageType {
    std::string_view name;
    Receiver receiver;
    Result<GroupPdu> (*decode)(const JsonValue&, Dialect);
};

constexpr std::array<GroupMessageType, 7> kTypes = {{{"broadcast", Receiver::host, decode_broadcast},
                                                     {"status_query", Receiver::host, decode_query},
                                                     {"broadcast", Receiver::guest, decode_delivery},
                                                     {"status_response", Receiver::guest, decode_response},
                                                     {"status_response_done", Receiver::guest, decode_done},
                                                     {"notification", Receiver::guest, decode_notification},
                                                     {"nack", Receiver::guest, decode_group_nack}}};

Result<void> check_version(const JsonValue& data, Dialect dialect) {
    // cgcs guests and hosts write all kinds of versions here, even the string "version".
    if (dialect == Dialect::cgcs) return {};
    const auto version = read_any_int(data, "version");
    if (!version) return tl::make_unexpected(version.error());
    if (*version == kGroupVersion) return {};
    return fail(Errc::unsupported_version, "server-group " + not_supported(*version));
}

/// `text` as a JSON string, quotes included.
std::string quoted(const std::string& text) {
    return dump(json(text));
}

/// The `data` and `encoding` keys of a payload: text where that is not longer than base64 would ever be.
std::string payload_keys(const std::string& payload) {
    if (base::is_utf8(payload)) {
        std::string text = quoted(payload);
        if (text.size() - 2 <= kMaxEncodedPayload) return "\"data\":" + text;
    }
    return R"("encoding":"base64","data":")" + encode_base64(payload) + '"';
}

Result<std::string> seal(const std::string& data, Dialect dialect, int base_version) {
    const std::string_view address = dialect == Dialect::native ? kGroupAddress : kCgcsGroupAddress;
    std::string line = seal_envelope({base_version, address, address}, data);
    const std::size_t limit = dialect == Dialect::native ? kMaxNativeMessage : kMaxCgcsMessage;
    if (line.size() > limit)
        return fail(Errc::too_large,
                    "message of " + std::to_string(line.size()) + " bytes, the channel takes " + std::to_string(limit));
    return line;
}

/// Fields a state loses when the message is too long, first to last.
constexpr std::array kReducible = {"metadata", "launched_at", "tenant_id", "node", "hostname", "host"};

/// `state` as it was received, with the fields that we do not know; else what we know of it.
json whole_object(const MemberState& state) {
    if (state.raw.empty()) return to_json(state);
    auto received = parse_object(state.raw);
    return received ? std::move(*received) : to_json(state);
}

/// Leaves out what server-group.md does not name.
void leave_unknown_out(json& object, const MemberState& state) {
    const json known = to_json(state);
    json reduced = known.value("reduced", json::array());
    for (const auto& [key, value] : object.items()) {
        if (!known.contains(key)) reduced.push_back(key);
    }
    object = known;
    if (!reduced.empty()) object["reduced"] = std::move(reduced);
}

/// Writes `state` through `write(json)` with ever fewer fields until the message fits.
template <class Write>
Result<std::string> reduce_until_it_fits(const MemberState& state, Write&& write) {
    json object = whole_object(state);
    auto line = write(object);
    if (!line) {
        leave_unknown_out(object, state);
        line = write(object);
    }
    for (const char* field : kReducible) {
        if (line) break;
        if (object.erase(field) == 0) continue;
        object["reduced"].push_back(field);
        line = write(object);
    }
    return line;
}

json header(const char* msg_type, Dialect dialect, int base_version) {
    return {{"version", dialect == Dialect::native ? kGroupVersion : base_version}, {"msg_type", msg_type}};
}

/// "2024-05-14T09:30:00.125000Z" as cgcs guests know it from Nova's notifications: "2024-05-14 09:30:00.125000".
std::string as_nova_writes(std::string time) {
    constexpr std::size_t kDate = 10;
    if (time.size() <= kDate || time[kDate] != 'T' || time.back() != 'Z') return time;
    time[kDate] = ' ';
    time.pop_back();
    return time;
}

class Encoder {
public:
    Encoder(Dialect dialect, int base_version) : dialect_(dialect), base_version_(base_version) {}

    Result<std::string> operator()(const Broadcast& pdu) const {
        std::string data = start("broadcast");
        if (pdu.seq && native()) data += ",\"seq\":" + std::to_string(*pdu.seq);
        return with_payload(std::move(data), pdu.payload);
    }

    Result<std::string> operator()(const Delivery& pdu) const {
        std::string data = start("broadcast") + ",\"source_instance\":" + quoted(pdu.source);
        if (pdu.from_operator && native()) data += ",\"operator\":true";
        if (pdu.dropped > 0 && native()) data += ",\"dropped\":" + std::to_string(pdu.dropped);
        return with_payload(std::move(data), pdu.payload);
    }

    Result<std::string> operator()(const StatusQuery& pdu) const {
        json data = header("status_query", dialect_, base_version_);
        data["seq"] = pdu.seq;
        return finish(std::move(data), 0);
    }

    Result<std::string> operator()(const StatusResponse& pdu) const {
        return reduce_until_it_fits(pdu.state, [&](const json& state) {
            json data = header("status_response", dialect_, base_version_);
            data["seq"] = pdu.seq;
            data["data"] = state;
            return finish(std::move(data), pdu.dropped);
        });
    }

    Result<std::string> operator()(const StatusDone& pdu) const {
        json data = header("status_response_done", dialect_, base_version_);
        data["seq"] = pdu.seq;
        if (native()) data["count"] = pdu.count;
        return finish(std::move(data), pdu.dropped);
    }

    Result<std::string> operator()(const Notification& pdu) const {
        return reduce_until_it_fits(pdu.state, [&](const json& state) {
            json event = {{"event_type", pdu.event_type}};
            if (!pdu.timestamp.empty()) event["timestamp"] = native() ? pdu.timestamp : as_nova_writes(pdu.timestamp);
            event[native() ? "data" : "payload"] = state;
            json data = header("notification", dialect_, base_version_);
            if (native()) {
                data.update(event);
            } else {
                event["priority"] = "INFO";
                data["data"] = std::move(event);
            }
            return finish(std::move(data), pdu.dropped);
        });
    }

    Result<std::string> operator()(const Nack& pdu) const {
        if (native()) return seal(dump(nack_to_json(pdu)), dialect_, base_version_);
        return seal(dump(cgcs_group_nack_to_json(pdu, base_version_)), dialect_, base_version_);
    }

private:
    bool native() const { return dialect_ == Dialect::native; }

    /// The hot path writes its few keys by hand: a broadcast is encoded for every delivery's dialect.
    std::string start(const char* msg_type) const {
        return "{\"version\":" + std::to_string(native() ? kGroupVersion : base_version_) + R"(,"msg_type":")" +
               msg_type + '"';
    }

    Result<std::string> with_payload(std::string data, const std::string& payload) const {
        if (payload.size() > kMaxPayload)
            return fail(Errc::too_large, "payload of " + std::to_string(payload.size()) + " bytes");
        if (!native() && !base::is_utf8(payload)) return fail(Errc::bad_field, "a cgcs guest takes only UTF-8 text");
        data += ',';
        data += native() ? payload_keys(payload) : "\"data\":" + quoted(payload);
        data += '}';
        return seal(data, dialect_, base_version_);
    }

    Result<std::string> finish(json data, std::uint64_t dropped) const {
        if (dropped > 0 && native()) data["dropped"] = dropped;
        return seal(dump(data), dialect_, base_version_);
    }

    Dialect dialect_;
    int base_version_;
};

std::optional<std::string> optional_text(FieldReader<json>& in, const char* key, std::size_t min, std::size_t max) {
    if (!in.has(key)) return std::nullopt;
    return in.text(key, min, max);
}

Result<std::map<std::string, std::string>> read_metadata(const json& object) {
    std::map<std::string, std::string> out;
    for (const auto& [key, value] : object.items()) {
        if (!value.is_string()) return fail(Errc::bad_field, "key 'metadata': expected strings");
        out.emplace(key, value.get<std::string>());
    }
    return out;
}

Result<std::vector<std::string>> read_names(const json& array) {
    std::vector<std::string> out;
    for (const json& name : array) {
        if (!name.is_string()) return fail(Errc::bad_field, "key 'reduced': expected names of fields");
        out.push_back(name.get<std::string>());
    }
    return out;
}

}  // namespace

Result<GroupPdu> decode_group(const JsonValue& data, Dialect dialect, Receiver receiver) {
    const auto version = check_version(data, dialect);
    if (!version) return tl::make_unexpected(version.error());
    const auto type = read_view(data, "msg_type", 0, kMaxNativeMessage);
    if (!type) return tl::make_unexpected(type.error());
    for (const GroupMessageType& known : kTypes) {
        if (known.receiver == receiver && known.name == *type) return known.decode(data, dialect);
    }
    return fail(Errc::unknown_msg_type,
                "msg_type '" + base::escape(*type, kMaxMsgType) + "' is not one that this end receives");
}

Result<std::string> encode_group(const GroupPdu& pdu, Dialect dialect, int base_version) {
    return std::visit(Encoder(dialect, base_version), pdu);
}

bool add_dropped(std::string& line, std::uint64_t dropped) {
    constexpr std::string_view kEnd = "}}\n";  // of the PDU, of the envelope and of the message (seal_envelope)
    const std::string key = ",\"dropped\":" + std::to_string(std::min<std::uint64_t>(dropped, kMaxInt31));
    if (!line.ends_with(kEnd) || line.size() + key.size() > kMaxNativeMessage) return false;
    line.insert(line.size() - kEnd.size(), key);
    return true;
}

Nack make_nack(const GroupPdu& pdu, const base::Error& error) {
    Nack nack{error.code, base::cut_utf8(error.message, kMaxReason), "unknown"};
    if (const auto* broadcast = std::get_if<Broadcast>(&pdu)) {
        nack.orig_msg_type = "broadcast";
        nack.seq = broadcast->seq;
    }
    if (const auto* query = std::get_if<StatusQuery>(&pdu)) {
        nack.orig_msg_type = "status_query";
        nack.seq = query->seq;
    }
    if (error.code == Errc::too_large) nack.max_payload = kMaxPayload;
    return nack;
}

json to_json(const MemberState& state) {
    return json::parse(to_text(state), nullptr, false);
}

std::string to_text(const MemberState& state) {
    ObjectWriter out;
    out.text("instance_id", state.instance_id).text("display_name", state.display_name);
    out.text("state", state.state).text("state_description", state.state_description);
    const auto add = [&](const char* key, const std::optional<std::string>& value) {
        if (value) out.text(key, *value);
    };
    add("hostname", state.hostname);
    add("host", state.host);
    add("node", state.node);
    add("tenant_id", state.tenant_id);
    add("launched_at", state.launched_at);
    if (state.metadata) out.json("metadata", dump(*state.metadata));
    add("heartbeat", state.heartbeat);
    if (!state.reduced.empty()) out.texts("reduced", state.reduced);
    return out.finish();
}

Result<MemberState> member_state_from_json(const json& object) {
    FieldReader in(object);
    MemberState state;
    state.instance_id = in.text("instance_id", 1, kMaxInstanceId);
    if (!base::is_plain_name(state.instance_id, kMaxInstanceId))
        in.refuse(Errc::bad_field, "key 'instance_id': expected an instance id");
    state.display_name = in.text("display_name", 0, kMaxStateText);
    state.state = in.text("state", 1, kMaxState);
    state.state_description = in.text("state_description", 0, kMaxTask);
    state.hostname = optional_text(in, "hostname", 0, kMaxStateText);
    state.host = optional_text(in, "host", 0, kMaxStateText);
    state.node = optional_text(in, "node", 0, kMaxStateText);
    state.tenant_id = optional_text(in, "tenant_id", 1, kMaxStateWord);
    state.launched_at = optional_text(in, "launched_at", 0, kMaxStateWord);
    state.heartbeat = optional_text(in, "heartbeat", 0, kMaxStateWord);
    if (const json* metadata = find(object, "metadata"); metadata != nullptr) {
        if (!metadata->is_object()) return fail(Errc::bad_field, "key 'metadata': expected an object");
        state.metadata = in.take(read_metadata(*metadata));
    }
    if (const json* reduced = find(object, "reduced"); reduced != nullptr) {
        if (!reduced->is_array()) return fail(Errc::bad_field, "key 'reduced': expected an array");
        state.reduced = in.take(read_names(*reduced));
    }
    return in.finish(std::move(state));
}

}  // namespace vitalwire::wire
