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

/// The refusals that an application can tell apart; another reads as the general one.
constexpr std::array kRefusals = {Errc::bad_field, Errc::unsupported_version, Errc::in_use,
                                  Errc::too_many,  Errc::unknown_msg_type,    Errc::no_session};

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
};

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
    auto reason = wire::read_text_or(data, "reason", {}, wire::kMaxReason);
    if (!reason) return tl::make_unexpected(reason.error());
    return Health{*healthy, std::move(*reason)};
}

Result<Request> decode_register(const json& data) {
    auto name = wire::read_text(data, "name", 1, kMaxName);
    if (!name) return tl::make_unexpected(name.error());
    if (!base::is_plain_name(*name, kMaxName))
        return fail(Errc::bad_field, "key 'name': expected only letters, digits, '.', '_' and '-'");
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

struct Message {
    std::string type;
    json data;
};

Result<Message> open(std::string_view datagram) {
    auto data = wire::parse_object(datagram);
    if (!data) return tl::make_unexpected(data.error());
    const auto version = wire::read_int(*data, "version", kVersion, kVersion);
    if (!version) return fail(Errc::unsupported_version, version.error().message);
    return Message{wire::text_or(*data, "type"), std::move(*data)};
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
    return unknown_type(message->type);
}

Result<Event> decode_event(std::string_view datagram) {
    const auto message = open(datagram);
    if (!message) return tl::make_unexpected(message.error());
    if (message->type == "registered") return decode_registered(message->data);
    if (message->type == "refused") return decode_refused(message->data);
    if (message->type == "query") return decode_query(message->data);
    return unknown_type(message->type);
}

std::optional<std::int64_t> id_of(std::string_view datagram) {
    const auto data = wire::parse_object(datagram);
    if (!data) return std::nullopt;
    return read_id(*data).value_or(std::nullopt);
}

}  // namespace vitalwire::guest::app
