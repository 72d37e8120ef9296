#include "guest/app_protocol.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "wire/field_reader.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::guest::app {

using base::Errc;
using base::fail;
using base::Millis;
using base::Result;
using heartbeat::Health;
using nlohmann::json;

namespace {

/// What a script reports may be as seldom as a nightly backup.
constexpr Millis kLargestValidity = std::chrono::hours(24 * 7);

/// The refusals that an application can tell apart; another reads as the general one.
constexpr std::array kRefusals = {Errc::bad_field,        Errc::unsupported_version, Errc::in_use,   Errc::too_many,
                                  Errc::unknown_msg_type, Errc::no_session,          Errc::not_found};

json header(const char* type) {
    return {{"version", kVersion}, {"type", type}};
}

void put_id(json& out, const std::optional<std::int64_t>& id) {
    if (id) out["id"] = *id;
}

void put_health(json& out, const Health& health) {
    out["healthy"] = health.healthy;
    out["reason"] = base::cut_utf8(health.reason, wire::kMaxReason);
}

struct RequestEncoder {
    json operator()(const Register& request) const {
        json out = header("register");
        out["name"] = request.name;
        out["interval_ms"] = request.interval.count();
        out["timeout_ms"] = request.timeout.count();
        put_health(out, request.health);
        put_id(out, request.id);
        return out;
    }
    json operator()(const Report& request) const {
        json out = header("report");
        put_health(out, request.health);
        if (request.query) out["query"] = *request.query;
        put_id(out, request.id);
        return out;
    }
    json operator()(const Deregister&) const { return header("deregister"); }
    json operator()(const Subscribe& request) const {
        json out = header("subscribe");
        out["broadcasts"] = request.broadcasts;
        out["notifications"] = request.notifications;
        return out;
    }
    json operator()(const Set& request) const {
        json out = header("set");
        out["name"] = request.name;
        put_health(out, request.health);
        if (request.valid) out["valid_ms"] = request.valid->count();
        put_id(out, request.id);
        return out;
    }
    json operator()(const Forget& request) const {
        json out = header("forget");
        out["name"] = request.name;
        put_id(out, request.id);
        return out;
    }
    json operator()(const StatusRequest& request) const {
        json out = header("status");
        if (request.from > 0) out["from"] = request.from;
        put_id(out, request.id);
        return out;
    }
    json operator()(const WantActions& request) const {
        json out = header("actions");
        out["wanted"] = request.wanted;
        return out;
    }
    json operator()(const Vote& request) const {
        json out = header("vote");
        out["action"] = request.action;
        out["result"] = model::to_string(request.result);
        if (!request.reason.empty()) out["reason"] = base::cut_utf8(request.reason, wire::kMaxReason);
        return out;
    }
};

json encode_item(const Item& item) {
    json out = {{"kind", item.kind}, {"name", item.name}, {"state", item.state}};
    if (!item.reason.empty()) out["reason"] = base::cut_utf8(item.reason, wire::kMaxReason);
    if (item.pid) out["pid"] = *item.pid;
    if (item.uid) out["uid"] = *item.uid;
    return out;
}

struct EventEncoder {
    json operator()(const Registered& event) const {
        json out = header("registered");
        put_id(out, event.id);
        return out;
    }
    json operator()(const Refused& event) const {
        json out = header("refused");
        out["code"] = to_string(event.error.code);
        out["message"] = event.error.message;
        put_id(out, event.id);
        return out;
    }
    json operator()(const Query& event) const {
        json out = header("query");
        out["query"] = event.id;
        return out;
    }
    json operator()(const Done& event) const {
        json out = header("done");
        put_id(out, event.id);
        return out;
    }
    json operator()(const Action& event) const {
        json out = header("action");
        out["action"] = event.id;
        out["event"] = event.event;
        out["revocable"] = event.revocable;
        out["timeout_ms"] = event.timeout.count();
        return out;
    }
    json operator()(const Status& event) const {
        json out = header("status");
        out["registered"] = event.registered;
        out["host"] = base::cut_utf8(event.host, wire::kMaxReason);
        put_health(out, event.health);
        out["total"] = event.total;
        out["items"] = json::array();
        std::size_t size = 0;
        for (const Item& item : event.items) {
            json each = encode_item(item);
            size += wire::dump(each).size();
            if (size > kRoomForItems || out["items"].size() == wire::kMaxKeys) break;
            out["items"].push_back(std::move(each));
        }
        put_id(out, event.id);
        return out;
    }
};

Result<std::optional<std::int64_t>> read_id(const json& data) {
    if (wire::find(data, "id") == nullptr) return std::nullopt;
    const auto id = wire::read_int(data, "id", 0, kMaxId);
    if (!id) return tl::make_unexpected(id.error());
    return *id;
}

Result<Health> read_health(const json& data) {
    const auto healthy = wire::read_bool(data, "healthy");
    if (!healthy) return tl::make_unexpected(healthy.error());
    const auto reason = wire::read_text_or(data, "reason", {}, kMaxDatagram);
    if (!reason) return tl::make_unexpected(reason.error());
    return Health{*healthy, base::cut_utf8(*reason, wire::kMaxReason)};
}

Result<std::string> read_name(const json& data) {
    auto name = wire::read_text(data, "name", 1, kMaxName);
    if (name && !base::is_plain_name(*name, kMaxName))
        return fail(Errc::bad_field, "key 'name': expected only letters, digits, '.', '_' and '-'");
    return name;
}

Result<Request> decode_register(const json& data) {
    auto name = read_name(data);
    if (!name) return tl::make_unexpected(name.error());
    const auto interval = wire::read_int(data, "interval_ms", kSmallestInterval.count(), kLargestTime.count());
    if (!interval) return tl::make_unexpected(interval.error());
    const auto timeout = wire::read_int(data, "timeout_ms", kSmallestTimeout.count(), *interval);
    if (!timeout) return tl::make_unexpected(timeout.error());
    auto health = read_health(data);
    if (!health) return tl::make_unexpected(health.error());
    const auto id = read_id(data);
    if (!id) return tl::make_unexpected(id.error());
    return Register{std::move(*name), Millis(*interval), Millis(*timeout), std::move(*health), *id};
}

Result<Request> decode_set(const json& data) {
    auto name = read_name(data);
    if (!name) return tl::make_unexpected(name.error());
    auto health = read_health(data);
    if (!health) return tl::make_unexpected(health.error());
    const auto id = read_id(data);
    if (!id) return tl::make_unexpected(id.error());
    Set request{std::move(*name), std::move(*health), {}, *id};
    if (wire::find(data, "valid_ms") == nullptr) return request;
    const auto valid = wire::read_int(data, "valid_ms", kSmallestInterval.count(), kLargestValidity.count());
    if (!valid) return tl::make_unexpected(valid.error());
    request.valid = Millis(*valid);
    return request;
}

Result<Request> decode_forget(const json& data) {
    auto name = read_name(data);
    if (!name) return tl::make_unexpected(name.error());
    const auto id = read_id(data);
    if (!id) return tl::make_unexpected(id.error());
    return Forget{std::move(*name), *id};
}

Result<Request> decode_status_request(const json& data) {
    const auto id = read_id(data);
    if (!id) return tl::make_unexpected(id.error());
    StatusRequest request{0, *id};
    if (wire::find(data, "from") == nullptr) return request;
    const auto from = wire::read_int(data, "from", 0, kMaxId);
    if (!from) return tl::make_unexpected(from.error());
    request.from = *from;
    return request;
}

Result<Request> decode_report(const json& data) {
    auto health = read_health(data);
    if (!health) return tl::make_unexpected(health.error());
    const auto id = read_id(data);
    if (!id) return tl::make_unexpected(id.error());
    Report report{std::move(*health), {}, *id};
    if (wire::find(data, "query") == nullptr) return report;
    const auto query = wire::read_int(data, "query", 0, INT64_MAX);
    if (!query) return tl::make_unexpected(query.error());
    report.query = *query;
    return report;
}

Result<Request> decode_subscribe(const json& data) {
    wire::FieldReader in(data);
    const Subscribe request{in.boolean("broadcasts"), in.boolean("notifications")};
    return in.finish(Request(request));
}

Result<Request> decode_want_actions(const json& data) {
    wire::FieldReader in(data);
    const WantActions request{in.boolean("wanted")};
    return in.finish(Request(request));
}

Result<Request> decode_vote(const json& data) {
    wire::FieldReader in(data);
    Vote request;
    request.action = in.integer("action", 0, kMaxId);
    const auto result = model::parse_vote_result(in.text("result", 1, kMaxName));
    // That nobody answered in time, only the host can say.
    if (!result || result == model::VoteResult::timeout)
        in.refuse(Errc::bad_field, "key 'result': expected accept, complete, error or reject");
    request.result = result.value_or(model::VoteResult::error);
    request.reason = base::cut_utf8(in.text_or("reason", kMaxDatagram), wire::kMaxReason);
    return in.finish(Request(std::move(request)));
}

Result<Event> decode_action(const json& data) {
    wire::FieldReader in(data);
    Action event;
    event.id = in.integer("action", 0, kMaxId);
    event.event = in.text("event", 1, wire::kMaxState);
    event.revocable = in.boolean("revocable");
    event.timeout = in.millis("timeout_ms", Millis(0), model::kMaxNoticeTime);
    return in.finish(Event(std::move(event)));
}

Result<Event> decode_registered(const json& data) {
    const auto id = read_id(data);
    if (!id) return tl::make_unexpected(id.error());
    return Registered{*id};
}

Result<Event> decode_refused(const json& data) {
    const auto id = read_id(data);
    if (!id) return tl::make_unexpected(id.error());
    Refused event{{Errc::bad_field, wire::text_or(data, "message")}, *id};
    const std::string code = wire::text_or(data, "code");
    for (const Errc known : kRefusals) {
        if (to_string(known) == code) event.error.code = known;
    }
    return event;
}

Result<Event> decode_query(const json& data) {
    const auto id = wire::read_int(data, "query", 0, INT64_MAX);
    if (!id) return tl::make_unexpected(id.error());
    return Query{*id};
}

Result<Event> decode_done(const json& data) {
    const auto id = read_id(data);
    if (!id) return tl::make_unexpected(id.error());
    return Done{*id};
}

Result<Item> decode_item(const json& data) {
    if (!data.is_object()) return fail(Errc::bad_field, "key 'items': expected objects");
    Item item{wire::text_or(data, "kind"),
              wire::text_or(data, "name"),
              wire::text_or(data, "state"),
              wire::text_or(data, "reason"),
              {},
              {}};
    if (const auto pid = wire::read_int(data, "pid", 0, kMaxId)) item.pid = *pid;
    if (const auto uid = wire::read_int(data, "uid", 0, UINT32_MAX)) item.uid = *uid;
    return item;
}

Result<Event> decode_status(const json& data) {
    const auto id = read_id(data);
    if (!id) return tl::make_unexpected(id.error());
    const auto registered = wire::read_bool(data, "registered");
    if (!registered) return tl::make_unexpected(registered.error());
    auto health = read_health(data);
    if (!health) return tl::make_unexpected(health.error());
    const auto total = wire::read_int(data, "total", 0, kMaxId);
    if (!total) return tl::make_unexpected(total.error());
    const json* items = wire::find(data, "items");
    if (items == nullptr || !items->is_array()) return fail(Errc::bad_field, "key 'items': expected an array");
    Status event{*registered, wire::text_or(data, "host"), std::move(*health), *total, {}, *id};
    for (const json& each : *items) {
        auto item = decode_item(each);
        if (!item) return tl::make_unexpected(item.error());
        event.items.push_back(std::move(*item));
    }
    return event;
}

struct Message {
    std::string type;
    json data;
};

Result<Message> open(std::string_view datagram) {
    auto data = wire::parse_object(datagram);
    if (!data) return tl::make_unexpected(data.error());
    const auto version = wire::read_any_int(*data, "version");
    if (!version) return tl::make_unexpected(version.error());
    if (*version != kVersion)
        return fail(Errc::unsupported_version,
                    wire::not_supported(*version) + ", expected " + std::to_string(kVersion));
    auto type = wire::read_text(*data, "type", 0, kMaxDatagram);
    if (!type) return tl::make_unexpected(type.error());
    return Message{std::move(*type), std::move(*data)};
}

tl::unexpected<base::Error> unknown_type(const std::string& type) {
    return fail(Errc::unknown_msg_type, "unknown type '" + base::escape(type, wire::kMaxMsgType) + "'");
}

}  // namespace

std::string encode(const Request& request) {
    return wire::dump(std::visit(RequestEncoder{}, request));
}

std::string encode(const Event& event) {
    return wire::dump(std::visit(EventEncoder{}, event));
}

Result<Request> decode_request(std::string_view datagram) {
    const auto message = open(datagram);
    if (!message) return tl::make_unexpected(message.error());
    if (message->type == "register") return decode_register(message->data);
    if (message->type == "report") return decode_report(message->data);
    if (message->type == "deregister") return Deregister{};
    if (message->type == "subscribe") return decode_subscribe(message->data);
    if (message->type == "set") return decode_set(message->data);
    if (message->type == "forget") return decode_forget(message->data);
    if (message->type == "status") return decode_status_request(message->data);
    if (message->type == "actions") return decode_want_actions(message->data);
    if (message->type == "vote") return decode_vote(message->data);
    return unknown_type(message->type);
}

Result<Event> decode_event(std::string_view datagram) {
    const auto message = open(datagram);
    if (!message) return tl::make_unexpected(message.error());
    if (message->type == "registered") return decode_registered(message->data);
    if (message->type == "refused") return decode_refused(message->data);
    if (message->type == "query") return decode_query(message->data);
    if (message->type == "done") return decode_done(message->data);
    if (message->type == "status") return decode_status(message->data);
    if (message->type == "action") return decode_action(message->data);
    return unknown_type(message->type);
}

Origin origin_of(std::string_view datagram) {
    const auto data = wire::parse_object(datagram);
    if (!data) return {};
    return {read_id(*data).value_or(std::nullopt), wire::text_or(*data, "type") == "register",
            read_name(*data).value_or("")};
}

}  // namespace vitalwire::guest::app
