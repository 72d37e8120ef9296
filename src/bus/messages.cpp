#include "bus/messages.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "bus/json.hpp"
#include "bus/limits.hpp"
#include "wire/base64.hpp"
#include "wire/field_reader.hpp"
#include "wire/group_codec.hpp"
#include "wire/limits.hpp"
#include "wire/object_writer.hpp"

namespace vitalwire::bus {

using base::Errc;
using base::fail;
using base::Result;
using nlohmann::json;

namespace {

/// The message's size bounds a list already; this only keeps a list of nothing from growing.
constexpr wire::JsonLimits kLimits{8, kMaxBusMessage / 32};
constexpr base::Millis kLongestRetryAfter = std::chrono::hours(1);

json array_of(const auto& items) {
    json out = json::array();
    for (const auto& item : items)
        out.push_back(to_json(item));
    return out;
}

/// The array `key`, each element read by `read`; the first element that is refused is named by its place.
template <class Item>
Result<std::vector<Item>> read_array(const json& object, const char* key, Result<Item> (*read)(const json&)) {
    const json* list = wire::find(object, key);
    if (list == nullptr || !list->is_array())
        return fail(Errc::bad_field, std::string("key '") + key + "': expected an array");
    std::vector<Item> out;
    out.reserve(list->size());
    for (const json& element : *list) {
        auto item = read(element);
        if (!item) {
            return fail(Errc::bad_field,
                        std::string(key) + '[' + std::to_string(out.size()) + "]: " + item.error().message);
        }
        out.push_back(std::move(*item));
    }
    return out;
}

/// As read_array, but elements that are refused are skipped: one that a later release has made must not cost the
/// others, nor the connection.
template <class Item>
Result<std::vector<Item>> read_known(const json& object, const char* key, Result<Item> (*read)(const json&),
                                     std::vector<base::Error>& skipped) {
    const json* list = wire::find(object, key);
    if (list == nullptr || !list->is_array())
        return fail(Errc::bad_field, std::string("key '") + key + "': expected an array");
    std::vector<Item> out;
    out.reserve(list->size());
    for (std::size_t i = 0; i < list->size(); ++i) {
        auto item = read((*list)[i]);
        if (item) {
            out.push_back(std::move(*item));
        } else {
            skipped.push_back({item.error().code, key + ('[' + std::to_string(i)) + "]: " + item.error().message});
        }
    }
    return out;
}

/// Names of controllers; none when the key is absent.
Result<std::vector<std::string>> read_names(const json& object, const char* key) {
    std::vector<std::string> names;
    const json* list = wire::find(object, key);
    if (list == nullptr) return names;
    if (!list->is_array() || list->size() > kMaxControllers)
        return fail(Errc::bad_field, std::string("key '") + key + "': expected at most 64 names");
    for (const json& name : *list) {
        if (!name.is_string() || name.get_ref<const std::string&>().size() > kMaxHostName)
            return fail(Errc::bad_field, std::string("key '") + key + "': expected names of controllers");
        names.push_back(name.get<std::string>());
    }
    return names;
}

/// None when the key is absent. A life that cannot be read is as good as unknown.
Result<std::vector<Hello::Life>> read_lives(const json& object) {
    if (wire::find(object, "lives") == nullptr) return std::vector<Hello::Life>();
    std::vector<base::Error> skipped;
    auto lives = read_known(object, "lives", life_from_json, skipped);
    if (lives && lives->size() > kMaxLives) lives->erase(lives->begin(), lives->end() - kMaxLives);
    return lives;
}

json names_of(const std::vector<base::GuestId>& guests) {
    json out = json::array();
    for (const base::GuestId& guest : guests)
        out.push_back(guest.str());
    return out;
}

/// Payloads are any bytes: what is no text goes as base64.
void put_payload(json& out, const std::string& payload) {
    const bool text = base::is_utf8(payload);
    out[text ? "text" : "base64"] = text ? payload : wire::encode_base64(payload);
}

/// The message without its type.
struct Encoder {
    json operator()(const Hello& message) const {
        return {{"version", message.version},
                {"host", message.host.str()},
                {"agent_version", message.agent_version},
                {"instance", message.instance},
                {"lead", message.is_primary},
                {"state", message.state},
                {"state_starts", message.state_starts},
                {"state_changes", message.state_changes},
                {"primary", message.primary},
                {"controllers", message.controllers},
                {"lives", array_of(message.lives)},
                {"boot", message.boot},
                {"yields", message.yields}};
    }
    json operator()(const PrimaryChanged& message) const {
        return {{"lead", message.is_primary}, {"primary", message.primary}, {"controllers", message.controllers}};
    }
    json operator()(const SnapshotBegin&) const { return json::object(); }
    json operator()(const SnapshotEnd&) const { return json::object(); }
    json operator()(const GuestGone& message) const { return {{"guest", message.guest.str()}}; }
    json operator()(const Faults& message) const {
        json out = {{"faults", array_of(message.faults)}, {"state_changes", message.state_changes}};
        if (message.unconfirmed) out["unconfirmed"] = true;
        return out;
    }
    json operator()(const AgentProblems& message) const { return {{"problems", array_of(message.problems)}}; }
    json operator()(const GroupSend& message) const {
        json out = {{"number", message.number}, {"guest", message.guest.str()}};
        put_payload(out, message.payload);
        return out;
    }
    json operator()(const GroupQuery& message) const {
        return {{"number", message.number}, {"guest", message.guest.str()}};
    }
    json operator()(const GroupAccepted& message) const { return {{"up_to", message.up_to}}; }
    json operator()(const GroupRefused& message) const {
        return {{"number", message.number}, {"code", to_string(message.code)}, {"message", message.message}};
    }
    json operator()(const GroupDeliver& message) const {
        json out = {{"guests", names_of(message.guests)},
                    {"source", message.source},
                    {"agent", message.agent},
                    {"number", message.number}};
        if (message.from_operator) out["operator"] = true;
        if (message.dropped > 0) out["dropped"] = message.dropped;
        put_payload(out, message.payload);
        return out;
    }
    json operator()(const GroupStatus& message) const {
        json members = json::array();
        for (const wire::MemberState& member : message.members)
            members.push_back(wire::to_json(member));
        return {{"number", message.number}, {"members", std::move(members)}, {"last", message.last}};
    }
    json operator()(const Welcome& message) const {
        json out = {{"version", message.version}, {"controller", message.controller}};
        if (message.time != base::WallTime{}) out["time"] = base::to_iso8601(message.time);
        return out;
    }
    json operator()(const Rejected& message) const {
        json out = {{"reason", message.reason}};
        if (message.retry_after.count() > 0) out["retry_after_ms"] = message.retry_after.count();
        if (message.connected_already) out["connected_already"] = true;
        return out;
    }
    json operator()(const HandBack& message) const {
        json out = {{"guests", array_of(message.guests)}, {"faults", array_of(message.faults)}, {"last", message.last}};
        if (message.state_lost) out["state_lost"] = true;
        if (message.moving) out["moving"] = true;
        if (!message.boot.empty()) out["boot"] = message.boot;
        return out;
    }
    json operator()(const FaultsDelivered& message) const {
        json items = json::array();
        for (const FaultsDelivered::Item& item : message.items) {
            json out = {{"fault", item.fault.str()}, {"revision", item.revision}};
            if (item.to) out["to"] = *item.to;
            items.push_back(std::move(out));
        }
        return {{"items", std::move(items)}};
    }
    json operator()(const GuestMaintenance& message) const {
        json items = json::array();
        for (const GuestMaintenance::Item& item : message.items) {
            json out = {{"guest", item.guest.str()}, {"notify", item.notify}};
            if (item.forced_until != base::WallTime{}) out["forced_until"] = base::to_iso8601(item.forced_until);
            items.push_back(std::move(out));
        }
        return {{"first", message.first},
                {"last", message.last},
                {"items", std::move(items)},
                {"over", names_of(message.over)}};
    }
    json operator()(const Policies& message) const {
        return {{"complete", message.complete}, {"policies", array_of(message.policies)}};
    }
};

std::uint64_t count(wire::FieldReader<json>& in, const char* key) {
    return static_cast<std::uint64_t>(in.integer_or(key, 0, 0, INT64_MAX));
}

Result<ToController> decode_hello(const json& object) {
    wire::FieldReader in(object);
    Hello message;
    message.version = static_cast<int>(in.integer("version", 0, wire::kMaxInt31));
    message.host = base::HostId(in.plain_name("host", kMaxHostName));
    // What another version means by the other keys is not known, and the peer is to be told of the version.
    if (message.version != kBusVersion) return in.finish(ToController(std::move(message)));
    message.agent_version = in.text_or("agent_version", kMaxWord);
    message.instance = in.text("instance", 1, kMaxWord);
    message.is_primary = in.boolean("lead");
    message.state = in.text_or("state", kMaxWord);
    message.state_starts = count(in, "state_starts");
    message.state_changes = count(in, "state_changes");
    message.primary = in.text_or("primary", kMaxHostName);
    message.controllers = in.take(read_names(object, "controllers"));
    message.lives = in.take(read_lives(object));
    message.boot = in.text_or("boot", kMaxWord);
    message.yields = wire::bool_or(object, "yields", false);
    return in.finish(ToController(std::move(message)));
}

Result<ToController> decode_primary_changed(const json& object) {
    wire::FieldReader in(object);
    PrimaryChanged message{in.boolean("lead"), in.text_or("primary", kMaxHostName),
                           in.take(read_names(object, "controllers"))};
    return in.finish(ToController(std::move(message)));
}

Result<ToController> decode_state_begin(const json&) {
    return SnapshotBegin{};
}

Result<ToController> decode_state_end(const json&) {
    return SnapshotEnd{};
}

Result<ToController> decode_guests(const json& object) {
    wire::FieldReader in(object);
    Guests message;
    message.guests = in.take(read_known(object, "guests", guest_report_from_json, message.skipped));
    message.state_changes = count(in, "state_changes");
    return in.finish(ToController(std::move(message)));
}

Result<ToController> decode_guest_gone(const json& object) {
    wire::FieldReader in(object);
    GuestGone message{base::GuestId(in.plain_name("guest", kMaxGuestId))};
    return in.finish(ToController(std::move(message)));
}

Result<ToController> decode_faults(const json& object) {
    wire::FieldReader in(object);
    Faults message;
    message.faults = in.take(read_known(object, "faults", fault_from_json, message.skipped));
    message.state_changes = count(in, "state_changes");
    message.unconfirmed = wire::bool_or(object, "unconfirmed", false);
    return in.finish(ToController(std::move(message)));
}

Result<ToController> decode_agent_problems(const json& object) {
    wire::FieldReader in(object);
    std::vector<base::Error> skipped;
    AgentProblems message{in.take(read_known(object, "problems", agent_problem_from_json, skipped))};
    if (message.problems.size() > kMaxAgentProblems)
        in.refuse(Errc::too_large, "more than " + std::to_string(kMaxAgentProblems) + " problems");
    return in.finish(ToController(std::move(message)));
}

std::string read_payload(wire::FieldReader<json>& in) {
    std::string payload;
    if (in.has("base64")) {
        auto bytes = wire::decode_base64(in.text("base64", 0, wire::kMaxEncodedPayload));
        if (!bytes) in.refuse(Errc::bad_field, "key 'base64': expected base64");
        payload = bytes.value_or(std::string());
    } else {
        payload = in.text("text", 0, wire::kMaxPayload);
    }
    if (payload.size() > wire::kMaxPayload) in.refuse(Errc::too_large, "a payload above 3050 bytes");
    return payload;
}

std::uint64_t read_number(wire::FieldReader<json>& in, const char* key = "number") {
    return static_cast<std::uint64_t>(in.integer(key, 0, INT64_MAX));
}

Result<base::GuestId> guest_from_json(const json& name) {
    if (!name.is_string() || !base::is_plain_name(name.get_ref<const std::string&>(), kMaxGuestId))
        return fail(Errc::bad_field, "expected a guest's id");
    return base::GuestId(name.get<std::string>());
}

Result<ToController> decode_group_send(const json& object) {
    wire::FieldReader in(object);
    GroupSend message{read_number(in), base::GuestId(in.plain_name("guest", kMaxGuestId)), read_payload(in)};
    return in.finish(ToController(std::move(message)));
}

Result<ToController> decode_group_query(const json& object) {
    wire::FieldReader in(object);
    GroupQuery message{read_number(in), base::GuestId(in.plain_name("guest", kMaxGuestId))};
    return in.finish(ToController(std::move(message)));
}

Result<ToAgent> decode_group_accepted(const json& object) {
    wire::FieldReader in(object);
    GroupAccepted message{read_number(in, "up_to")};
    return in.finish(ToAgent(message));
}

Result<ToAgent> decode_group_refused(const json& object) {
    wire::FieldReader in(object);
    GroupRefused message;
    message.number = read_number(in);
    // A reason of a later release reads as the general one.
    message.code = base::parse_errc(in.text("code", 1, kMaxWord)).value_or(Errc::unavailable);
    message.message = in.text_or("message", kMaxReason);
    return in.finish(ToAgent(std::move(message)));
}

Result<ToAgent> decode_group_deliver(const json& object) {
    wire::FieldReader in(object);
    GroupDeliver message;
    message.guests = in.take(read_array(object, "guests", guest_from_json));
    message.source = in.text("source", 1, kMaxGuestId);
    message.from_operator = in.boolean_or("operator", false);
    message.payload = read_payload(in);
    message.agent = in.text("agent", 1, kMaxHostName + kMaxWord);
    message.number = read_number(in);
    message.dropped = static_cast<std::uint64_t>(in.integer_or("dropped", 0, 0, wire::kMaxInt31));
    return in.finish(ToAgent(std::move(message)));
}

Result<ToAgent> decode_group_notify(const json& object) {
    wire::FieldReader in(object);
    GroupNotify message;
    message.guests = in.take(read_array(object, "guests", guest_from_json));
    message.event_type = in.text("event_type", 1, kMaxHostName);
    message.timestamp = in.text_or("timestamp", kMaxWord);
    const json* state = wire::find(object, "state");
    message.state = in.take(wire::member_state_from_json(state == nullptr ? json() : *state));
    return in.finish(ToAgent(std::move(message)));
}

Result<ToAgent> decode_group_status(const json& object) {
    wire::FieldReader in(object);
    GroupStatus message;
    message.number = read_number(in);
    message.members = in.take(read_array(object, "members", wire::member_state_from_json));
    message.last = in.boolean("last");
    return in.finish(ToAgent(std::move(message)));
}

Result<ToAgent> decode_welcome(const json& object) {
    wire::FieldReader in(object);
    Welcome message;
    message.version = static_cast<int>(in.integer("version", 1, wire::kMaxInt31));
    message.controller = in.text_or("controller", kMaxHostName);
    if (in.has("time")) message.time = base::from_iso8601(in.text("time", 1, kMaxWord));
    return in.finish(ToAgent(std::move(message)));
}

Result<ToAgent> decode_rejected(const json& object) {
    wire::FieldReader in(object);
    Rejected message{in.text_or("reason", kMaxReason),
                     in.millis_or("retry_after_ms", base::Millis(0), base::Millis(0), kLongestRetryAfter),
                     in.boolean_or("connected_already", false)};
    return in.finish(ToAgent(std::move(message)));
}

Result<FaultsDelivered::Item> delivered_item_from_json(const json& object) {
    wire::FieldReader in(object);
    FaultsDelivered::Item item;
    item.fault = base::FaultId(in.plain_name("fault", kMaxFaultId));
    item.revision = static_cast<std::uint64_t>(in.integer("revision", 1, INT64_MAX));
    item.to = receivers_from_json(object, "to");
    return in.finish(std::move(item));
}

Result<ToAgent> decode_faults_delivered(const json& object) {
    wire::FieldReader in(object);
    FaultsDelivered message{in.take(read_array(object, "items", delivered_item_from_json))};
    return in.finish(ToAgent(std::move(message)));
}

Result<ToAgent> decode_policies(const json& object) {
    wire::FieldReader in(object);
    Policies message;
    message.complete = in.boolean("complete");
    message.policies = in.take(read_known(object, "policies", guest_policy_from_json, message.skipped));
    return in.finish(ToAgent(std::move(message)));
}

Result<ToAgent> decode_hand_back(const json& object) {
    wire::FieldReader in(object);
    HandBack message;
    message.guests = in.take(read_known(object, "guests", guest_report_from_json, message.skipped));
    message.faults = in.take(read_known(object, "faults", fault_from_json, message.skipped));
    message.last = in.boolean("last");
    message.state_lost = in.boolean_or("state_lost", false);
    message.moving = in.boolean_or("moving", false);
    message.boot = in.text_or("boot", kMaxWord);
    return in.finish(ToAgent(std::move(message)));
}

Result<GuestMaintenance::Item> maintenance_item_from_json(const json& object) {
    wire::FieldReader in(object);
    GuestMaintenance::Item item;
    item.guest = base::GuestId(in.plain_name("guest", kMaxGuestId));
    item.notify = in.boolean("notify");
    if (in.has("forced_until")) item.forced_until = base::from_iso8601(in.text("forced_until", 1, kMaxWord));
    return in.finish(std::move(item));
}

Result<ToAgent> decode_guest_maintenance(const json& object) {
    wire::FieldReader in(object);
    GuestMaintenance message;
    message.first = in.boolean("first");
    message.last = in.boolean("last");
    message.items = in.take(read_array(object, "items", maintenance_item_from_json));
    message.over = in.take(read_array(object, "over", guest_from_json));
    return in.finish(ToAgent(std::move(message)));
}

template <class Message>
struct MessageType {
    std::string_view name;
    Result<Message> (*decode)(const json&);
};

// In the order of the variants, so that a message's index is its name.
constexpr std::array<MessageType<ToController>, std::variant_size_v<ToController>> kToController = {
    {{"hello", decode_hello},
     {"lead_changed", decode_primary_changed},
     {"state_begin", decode_state_begin},
     {"state_end", decode_state_end},
     {"guests", decode_guests},
     {"guest_gone", decode_guest_gone},
     {"faults", decode_faults},
     {"group_send", decode_group_send},
     {"group_query", decode_group_query},
     {"problems", decode_agent_problems}}};

constexpr std::array<MessageType<ToAgent>, std::variant_size_v<ToAgent>> kToAgent = {
    {{"welcome", decode_welcome},
     {"rejected", decode_rejected},
     {"faults_delivered", decode_faults_delivered},
     {"policies", decode_policies},
     {"group_accepted", decode_group_accepted},
     {"group_refused", decode_group_refused},
     {"group_deliver", decode_group_deliver},
     {"group_notify", decode_group_notify},
     {"group_status", decode_group_status},
     {"hand_back", decode_hand_back},
     {"maintenance", decode_guest_maintenance}}};

template <class Content>
std::string encode_as(std::string_view type, const Content& content) {
    json out = Encoder{}(content);
    out["type"] = type;
    return wire::dump(out);
}

/// Without a tree: this is most of what an agent ever sends.
std::string encode_as(std::string_view type, const Guests& message) {
    std::string out = R"({"type":")" + std::string(type) + R"(","guests":[)";
    for (const model::GuestReport& report : message.guests) {
        if (&report != &message.guests.front()) out += ',';
        out += to_text(report);
    }
    return out += "],\"state_changes\":" + std::to_string(message.state_changes) + '}';
}

/// Without a tree as well: a controller that starts sends hundreds of thousands of these.
std::string encode_as(std::string_view type, const GroupNotify& message) {
    std::vector<std::string> guests;
    for (const base::GuestId& guest : message.guests)
        guests.push_back(guest.str());
    wire::ObjectWriter out;
    out.text("type", type).texts("guests", guests).text("event_type", message.event_type);
    out.text("timestamp", message.timestamp).json("state", wire::to_text(message.state));
    return out.finish();
}

template <class Message, std::size_t N>
std::string encode_with(const std::array<MessageType<Message>, N>& types, const Message& message) {
    const std::string_view type = types.at(message.index()).name;
    return std::visit([&](const auto& content) { return encode_as(type, content); }, message);
}

template <class Message, std::size_t N>
Result<Message> decode_with(const std::array<MessageType<Message>, N>& types, std::string_view line) {
    const auto object = wire::parse_object(line, kLimits);
    if (!object) return tl::make_unexpected(object.error());
    const auto type = wire::read_text(*object, "type", 1, kMaxWord);
    if (!type) return tl::make_unexpected(type.error());
    for (const MessageType<Message>& known : types) {
        if (known.name == *type) return known.decode(*object);
    }
    return fail(Errc::unknown_msg_type, "unknown type '" + base::escape(*type, kMaxWord) + "'");
}

}  // namespace

std::string encode(const ToController& message) {
    return encode_with(kToController, message);
}
std::string encode(const ToAgent& message) {
    return encode_with(kToAgent, message);
}
Result<ToController> decode_to_controller(std::string_view line) {
    return decode_with(kToController, line);
}
Result<ToAgent> decode_to_agent(std::string_view line) {
    return decode_with(kToAgent, line);
}

}  // namespace vitalwire::bus
