#include "controller/sinks/tacker/registration_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "base/text.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller::tacker {

using base::Errc;
using base::fail;
using base::Result;
using nlohmann::json;

namespace {

constexpr std::size_t kFaultIdSize = 4;
constexpr std::size_t kMaxFaultIds = 64;
constexpr std::size_t kMaxUrl = 2048;
constexpr wire::JsonLimits kRequestLimits{8, 1000};

Result<std::set<std::string>> fault_ids_in(const json& object) {
    const auto wrong = [] {
        return fail(Errc::bad_field, "'fault_id': expected a list of 1 to 64 texts of 4 characters each");
    };
    const json* list = wire::find(object, "fault_id");
    if (list == nullptr || !list->is_array() || list->empty() || list->size() > kMaxFaultIds) return wrong();
    std::set<std::string> ids;
    for (const json& id : *list) {
        if (!id.is_string() || !is_fault_id(id.get_ref<const std::string&>())) return wrong();
        ids.insert(id.get<std::string>());
    }
    return ids;
}

bool is_url(std::string_view text) {
    const std::size_t scheme = text.starts_with("http://") ? 7 : text.starts_with("https://") ? 8 : 0;
    const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
    if (scheme == 0 || text.size() > kMaxUrl || !printable) return false;
    const std::string_view host = text.substr(scheme, text.find('/', scheme) - scheme);
    return !host.empty() && host.find('@') == std::string_view::npos;
}

}  // namespace

bool is_fault_id(std::string_view text) {
    return text.size() == kFaultIdSize && base::is_plain_name(text, kFaultIdSize);
}

json to_json(const Registration& registration) {
    return {{"alarm_id", registration.alarm_id},
            {"tenant", registration.tenant},
            {"server_id", registration.server.str()},
            {"fault_action", registration.fault_action},
            {"fault_id", registration.fault_ids},
            {"removed", registration.removed},
            {"registered_here", registration.registered_here},
            {"changed_at", base::to_iso8601(registration.changed_at)}};
}

Result<Registration> registration_from(const json& object) {
    Registration registration;
    registration.alarm_id = wire::text_or(object, "alarm_id");
    registration.tenant = wire::text_or(object, "tenant");
    registration.server = base::GuestId(wire::text_or(object, "server_id"));
    registration.removed = wire::bool_or(object, "removed", false);
    registration.registered_here = wire::bool_or(object, "registered_here", false);
    registration.changed_at = base::from_iso8601(wire::text_or(object, "changed_at"));
    if (!base::is_uuid(registration.alarm_id) || !base::is_uuid(registration.server.str()))
        return fail(Errc::bad_field, "a registration needs 'alarm_id' and 'server_id', both uuids");
    if (registration.removed) return registration;
    registration.fault_action = wire::text_or(object, "fault_action");
    if (!is_url(registration.fault_action)) return fail(Errc::bad_field, "'fault_action': expected an http(s) URL");
    auto ids = fault_ids_in(object);
    if (!ids) return tl::make_unexpected(ids.error());
    registration.fault_ids = std::move(*ids);
    return registration;
}

Result<Registration> read_request(std::string_view body) {
    const auto object = wire::parse_object(body, kRequestLimits);
    if (!object) return tl::make_unexpected(object.error());
    Registration registration;
    registration.fault_action = wire::text_or(*object, "fault_action");
    if (!is_url(registration.fault_action)) return fail(Errc::bad_field, "'fault_action': expected an http(s) URL");
    auto ids = fault_ids_in(*object);
    if (!ids) return tl::make_unexpected(ids.error());
    registration.fault_ids = std::move(*ids);
    return registration;
}

}  // namespace vitalwire::controller::tacker
