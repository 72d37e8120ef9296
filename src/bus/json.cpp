#include "bus/json.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "bus/limits.hpp"
#include "wire/field_reader.hpp"
#include "wire/object_writer.hpp"

namespace vitalwire::bus {

using base::Errc;
using base::Millis;
using base::Result;
using base::WallTime;
using model::Fault;
using nlohmann::json;

namespace {

constexpr std::int64_t kMaxCount = INT64_MAX;
constexpr std::size_t kMaxRoundTrips = 32;
constexpr std::int64_t kMaxRevision = INT64_MAX / 2;  // it is counted up here, and has to be readable after that
constexpr Millis kLongest = std::chrono::hours(24 * 365);

class ObjectReader : public wire::FieldReader<json> {
public:
    using FieldReader::FieldReader;

    base::GuestId guest() { return base::GuestId(plain_name("guest", kMaxGuestId)); }

    /// Alarms about the suite itself are called KIND.NAME: an agent's fault of such an id would stand for one.
    base::FaultId fault_id() {
        const std::string id = plain_name("id", kMaxFaultId);
        if (id.find('.') != std::string::npos)
            refuse(Errc::bad_field, "key 'id': a guest's fault has an id without '.'");
        return base::FaultId(id);
    }

    WallTime time(const char* key) {
        const std::string value = text(key, 1, kMaxWord);
        const WallTime parsed = base::from_iso8601(value);
        if (parsed == WallTime{})
            refuse(Errc::bad_field, std::string("key '") + key + "': expected a time like 2026-11-22T06:05:08.123456Z");
        return parsed;
    }

    std::uint64_t count(const char* key) { return static_cast<std::uint64_t>(integer_or(key, 0, 0, kMaxCount)); }

    Millis millis_or_zero(const char* key) { return millis_or(key, Millis(0), Millis(0), kLongest); }

    model::FaultKind kind() {
        const std::string found = text("kind", 1, kMaxWord);
        const auto parsed = model::parse_fault_kind(found);
        if (!parsed) refuse(Errc::bad_field, "key 'kind': '" + base::escape(found, kMaxWord) + "' is no kind of fault");
        return parsed.value_or(model::FaultKind::heartbeat_lost);
    }

    model::CorrectiveAction corrective_action() {
        const std::string found = text_or("corrective_action", kMaxWord);
        // An action of a later release is none that this one can name.
        return model::parse_corrective_action(found).value_or(model::CorrectiveAction::none);
    }

    std::vector<std::uint32_t> round_trips() {
        std::vector<std::uint32_t> out;
        const json* list = wire::find(object(), "round_trips");
        if (list == nullptr) return out;
        const bool fits = list->is_array() && list->size() <= kMaxRoundTrips;
        if (!fits) refuse(Errc::bad_field, "key 'round_trips': expected at most 32 counts");
        for (const json& count : fits ? *list : json::array()) {
            if (!count.is_number_integer() || count.get<std::int64_t>() < 0 || count.get<std::int64_t>() > UINT32_MAX) {
                refuse(Errc::bad_field, "key 'round_trips': expected counts below 2^32");
                break;
            }
            out.push_back(count.get<std::uint32_t>());
        }
        return out;
    }

    std::vector<std::string> channels() {
        std::vector<std::string> out;
        const json* list = wire::find(object(), "channels");
        if (list == nullptr) return out;
        if (!list->is_array() || list->size() > kMaxChannels) {
            refuse(Errc::bad_field, "key 'channels': expected at most 8 names");
            return out;
        }
        for (const json& name : *list) {
            if (!name.is_string() || !base::is_plain_name(name.get_ref<const std::string&>(), kMaxWord))
                refuse(Errc::bad_field, "key 'channels': expected names of channels");
            else
                out.push_back(name.get<std::string>());
        }
        return out;
    }
};

}  // namespace

json to_json(const Fault& fault) {
    json out = {{"id", fault.id.str()},
                {"guest", fault.guest.str()},
                {"guest_name", fault.guest_name},
                {"kind", to_string(fault.kind)},
                {"severity", severity(fault.kind)},
                {"state", fault.open() ? "open" : "cleared"},
                {"detail", fault.detail},
                {"reason", fault.reason},
                {"corrective_action", to_string(fault.corrective_action)},
                {"revision", fault.revision},
                {"delivered", fault.delivered},
                {"opened_at", base::to_iso8601(fault.opened_at)},
                {"updated_at", base::to_iso8601(fault.updated_at)}};
    if (fault.delivered_to) out["delivered_to"] = *fault.delivered_to;
    if (fault.cleared_at) {
        out["cleared_at"] = base::to_iso8601(*fault.cleared_at);
        out["clear_reason"] = fault.clear_reason;
    }
    return out;
}

std::optional<std::vector<std::string>> receivers_from_json(const json& object, const char* key) {
    const json* list = wire::find(object, key);
    if (list == nullptr || !list->is_array() || list->size() > kMaxReceivers) return std::nullopt;
    std::vector<std::string> receivers;
    for (const json& mark : *list) {
        if (!mark.is_string() || mark.get_ref<const std::string&>().size() > kMaxWord) return std::nullopt;
        receivers.push_back(mark.get<std::string>());
    }
    return receivers;
}

Result<Fault> fault_from_json(const json& object) {
    ObjectReader in(object);
    Fault fault;
    fault.id = in.fault_id();
    fault.guest = in.guest();
    fault.guest_name = in.text_or("guest_name", wire::kMaxName);
    fault.kind = in.kind();
    fault.detail = in.text_or("detail", kMaxWord);
    fault.reason = in.text_or("reason", kMaxReason);
    fault.corrective_action = in.corrective_action();
    fault.revision = static_cast<std::uint64_t>(in.integer("revision", 1, kMaxRevision));
    fault.delivered = in.count("delivered");
    fault.delivered_to = receivers_from_json(object, "delivered_to");
    fault.opened_at = in.time("opened_at");
    fault.updated_at = in.time("updated_at");
    if (in.has("cleared_at")) fault.cleared_at = in.time("cleared_at");
    fault.clear_reason = in.text_or("clear_reason", kMaxReason);
    return in.finish(std::move(fault));
}

std::string to_text(const model::GuestReport& report) {
    const auto count = [](std::uint64_t counter) { return static_cast<std::int64_t>(counter); };
    wire::ObjectWriter out;
    out.text("guest", report.guest.str()).text("name", report.name);
    out.text("state", report.state).text("hold", report.hold).texts("channels", report.channels);
    if (!report.warning.empty()) out.text("warning", report.warning);
    out.number("interval_ms", report.interval.count());
    out.number("response_deadline_ms", report.response_deadline.count());
    out.number("challenges", count(report.challenges)).number("responses", count(report.responses));
    out.number("late", count(report.late)).number("misses", count(report.misses));
    out.number("refused", count(report.refused));
    out.number("last_round_trip_us", report.last_round_trip_us);
    out.number("longest_round_trip_us", report.longest_round_trip_us);
    if (!report.round_trips.empty()) out.numbers("round_trips", report.round_trips);
    if (report.registered_since != WallTime{}) out.text("registered_since", base::to_iso8601(report.registered_since));
    if (report.io) {
        out.text("io_read_at", base::to_iso8601(report.io->read_at));
        out.number("io_watched_ms", report.io->watched.count()).number("io_idle_ms", report.io->idle.count());
    }
    return out.finish();
}

json to_json(const model::GuestReport& report) {
    return json::parse(to_text(report), nullptr, false);
}

Result<model::GuestReport> guest_report_from_json(const json& object) {
    ObjectReader in(object);
    model::GuestReport report;
    report.guest = in.guest();
    report.name = in.text_or("name", wire::kMaxName);
    report.state = in.plain_name("state", kMaxWord);
    report.hold = in.text_or("hold", kMaxWord);
    report.warning = in.text_or("warning", kMaxReason);
    report.channels = in.channels();
    report.interval = in.millis_or_zero("interval_ms");
    report.response_deadline = in.millis_or_zero("response_deadline_ms");
    if (in.has("registered_since")) report.registered_since = in.time("registered_since");
    report.challenges = in.count("challenges");
    report.responses = in.count("responses");
    report.late = in.count("late");
    report.misses = in.count("misses");
    report.refused = in.count("refused");
    report.last_round_trip_us = in.integer_or("last_round_trip_us", -1, -1, kMaxCount);
    report.longest_round_trip_us = in.integer_or("longest_round_trip_us", -1, -1, kMaxCount);
    report.round_trips = in.round_trips();
    if (in.has("io_read_at"))
        report.io = {in.time("io_read_at"), in.millis_or_zero("io_watched_ms"), in.millis_or_zero("io_idle_ms")};
    return in.finish(std::move(report));
}

json to_json(const model::GuestPolicy& policy) {
    // Thousands of these travel in one message: what the agent decides is left out.
    json out = {{"guest", policy.guest.str()}};
    if (policy.heartbeat) out["heartbeat"] = true;
    if (policy.messaging) out["messaging"] = true;
    if (policy.guest_agent) out["guest_agent"] = true;
    if (policy.machine_faults) out["machine_faults"] = true;
    if (policy.watch_io) out["watch_io"] = true;
    if (policy.detect_multiplier != 0) out["misses"] = policy.detect_multiplier;
    if (policy.min_interval.count() != 0) out["interval_floor_ms"] = policy.min_interval.count();
    if (policy.detection_time.count() != 0) out["detection_time_ms"] = policy.detection_time.count();
    if (policy.establish_timeout.count() != 0) out["establish_timeout_ms"] = policy.establish_timeout.count();
    if (policy.messages_per_second != 0) out["messages_per_second"] = policy.messages_per_second;
    if (policy.bytes_per_second != 0) out["bytes_per_second"] = policy.bytes_per_second;
    if (policy.corrective_action != model::CorrectiveAction::none)
        out["corrective_action"] = to_string(policy.corrective_action);
    if (!policy.channels.empty()) out["channels"] = policy.channels;
    return out;
}

Result<model::GuestPolicy> guest_policy_from_json(const json& object) {
    ObjectReader in(object);
    model::GuestPolicy policy;
    policy.guest = in.guest();
    policy.heartbeat = in.boolean_or("heartbeat", false);
    policy.messaging = in.boolean_or("messaging", false);
    policy.guest_agent = in.boolean_or("guest_agent", false);
    policy.machine_faults = in.boolean_or("machine_faults", false);
    policy.watch_io = in.boolean_or("watch_io", false);
    policy.detect_multiplier = static_cast<int>(in.integer_or("misses", 0, 0, 1000));
    policy.min_interval = in.millis_or_zero("interval_floor_ms");
    policy.detection_time = in.millis_or_zero("detection_time_ms");
    policy.establish_timeout = in.millis_or_zero("establish_timeout_ms");
    policy.messages_per_second = static_cast<int>(in.integer_or("messages_per_second", 0, 0, 1'000'000));
    policy.bytes_per_second = in.integer_or("bytes_per_second", 0, 0, wire::kMaxInt31);
    policy.corrective_action = in.corrective_action();
    policy.channels = in.channels();
    return in.finish(std::move(policy));
}

json to_json(const AgentProblems::Item& item) {
    json out = {{"what", item.what}, {"detail", item.detail}, {"since", base::to_iso8601(item.since)}};
    if (!item.guest.empty()) out["guest"] = item.guest.str();
    return out;
}

Result<AgentProblems::Item> agent_problem_from_json(const json& object) {
    ObjectReader in(object);
    AgentProblems::Item item;
    item.what = in.text("what", 1, kMaxReason);
    item.detail = in.text_or("detail", kMaxReason);
    item.since = base::from_iso8601(in.text_or("since", kMaxWord));
    if (in.has("guest")) item.guest = in.guest();
    return in.finish(std::move(item));
}

json to_json(const Hello::Life& life) {
    return {{"instance", life.instance}, {"state_changes", life.state_changes}};
}

Result<Hello::Life> life_from_json(const json& object) {
    ObjectReader in(object);
    Hello::Life life;
    life.instance = in.text("instance", 1, kMaxWord);
    life.state_changes = in.count("state_changes");
    return in.finish(std::move(life));
}

}  // namespace vitalwire::bus
