#include "bus/messages.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "bus/json.hpp"
#include "bus/limits.hpp"
#include "wire/field_reader.hpp"

namespace vitalwire::bus {

using base::Errc;
using base::fail;
using base::Result;
using nlohmann::json;

namespace {

/// The message's size bounds a list already; this only keeps a list of nothing from growing.
constexpr wire::JsonLimits kLimits{8, kMaxBusMessage / 32};

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

/// The message without its type.
struct Encoder {
    json operator()(const Hello& message) const {
        return {{"version", message.version},
                {"host", message.host.str()},
                {"agent_version", message.agent_version},
                {"instance", message.instance},
                {"lead", message.lead}};
    }
    json operator()(const LeadChanged& message) const { return {{"lead", message.lead}}; }
    json operator()(const StateBegin&) const { return json::object(); }
    json operator()(const StateEnd&) const { return json::object(); }
    json operator()(const Guests& message) const { return {{"guests", array_of(message.guests)}}; }
    json operator()(const GuestGone& message) const { return {{"guest", message.guest.str()}}; }
    json operator()(const Faults& message) const { return {{"faults", array_of(message.faults)}}; }
    json operator()(const Welcome& message) const {
        return {{"version", message.version}, {"controller", message.controller}};
    }
    json operator()(const Rejected& message) const { return {{"reason", message.reason}}; }
    json operator()(const FaultsDelivered& message) const {
        json items = json::array();
        for (const FaultsDelivered::Item& item : message.items)
            items.push_back({{"fault", item.fault.str()}, {"revision", item.revision}});
        return {{"items", std::move(items)}};
    }
    json operator()(const Policies& message) const {
        return {{"complete", message.complete}, {"policies", array_of(message.policies)}};
    }
};

Result<ToController> decode_hello(const json& object) {
    wire::FieldReader in(object);
    Hello message;
    message.version = static_cast<int>(in.integer("version", 1, wire::kMaxInt31));
    message.host = base::HostId(in.plain_name("host", kMaxHostName));
    message.agent_version = in.text_or("agent_version", kMaxWord);
    message.instance = in.text("instance", 1, kMaxWord);
    message.lead = in.boolean("lead");
    return in.finish(ToController(std::move(message)));
}

Result<ToController> decode_lead_changed(const json& object) {
    wire::FieldReader in(object);
    LeadChanged message{in.boolean("lead")};
    return in.finish(ToController(message));
}

Result<ToController> decode_state_begin(const json&) {
    return StateBegin{};
}

Result<ToController> decode_state_end(const json&) {
    return StateEnd{};
}

Result<ToController> decode_guests(const json& object) {
    wire::FieldReader in(object);
    Guests message{in.take(read_array(object, "guests", guest_report_from_json))};
    return in.finish(ToController(std::move(message)));
}

Result<ToController> decode_guest_gone(const json& object) {
    wire::FieldReader in(object);
    GuestGone message{base::GuestId(in.plain_name("guest", kMaxGuestId))};
    return in.finish(ToController(std::move(message)));
}

Result<ToController> decode_faults(const json& object) {
    wire::FieldReader in(object);
    Faults message{in.take(read_array(object, "faults", fault_from_json))};
    return in.finish(ToController(std::move(message)));
}

Result<ToAgent> decode_welcome(const json& object) {
    wire::FieldReader in(object);
    Welcome message;
    message.version = static_cast<int>(in.integer("version", 1, wire::kMaxInt31));
    message.controller = in.text_or("controller", kMaxHostName);
    return in.finish(ToAgent(std::move(message)));
}

Result<ToAgent> decode_rejected(const json& object) {
    wire::FieldReader in(object);
    Rejected message{in.text_or("reason", kMaxReason)};
    return in.finish(ToAgent(std::move(message)));
}

Result<FaultsDelivered::Item> delivered_item_from_json(const json& object) {
    wire::FieldReader in(object);
    FaultsDelivered::Item item;
    item.fault = base::FaultId(in.plain_name("fault", kMaxFaultId));
    item.revision = static_cast<std::uint64_t>(in.integer("revision", 1, INT64_MAX));
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
    message.policies = in.take(read_array(object, "policies", guest_policy_from_json));
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
     {"lead_changed", decode_lead_changed},
     {"state_begin", decode_state_begin},
     {"state_end", decode_state_end},
     {"guests", decode_guests},
     {"guest_gone", decode_guest_gone},
     {"faults", decode_faults}}};

constexpr std::array<MessageType<ToAgent>, std::variant_size_v<ToAgent>> kToAgent = {
    {{"welcome", decode_welcome},
     {"rejected", decode_rejected},
     {"faults_delivered", decode_faults_delivered},
     {"policies", decode_policies}}};

template <class Message, std::size_t N>
std::string encode_with(const std::array<MessageType<Message>, N>& types, const Message& message) {
    json out = std::visit(Encoder{}, message);
    out["type"] = types.at(message.index()).name;
    return wire::dump(out);
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
