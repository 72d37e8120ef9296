#include "controller/state/alarm_store.hpp"

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "bus/json.hpp"
#include "controller/alarms/tracked_fault_json.hpp"
#include "controller/delivery/journal_json.hpp"
#include "controller/model/alarm_json.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;

namespace {

constexpr const char* kFaults = "faults";
constexpr const char* kAcked = "deliveries";
constexpr const char* kHistory = "history";
constexpr const char* kSinks = "sinks";
constexpr const char* kAgents = "agents";
constexpr const char* kPlaces = "places";
constexpr const char* kGuests = "guests";
constexpr const char* kOrphans = "orphans";
constexpr const char* kInternalAlarms = "internal_alarms";
constexpr const char* kClosedAlarms = "closed_alarms";
constexpr const char* kJournal = "journal";
constexpr const char* kMaintenance = "maintenance";

/// Numbers as keys sort as numbers.
std::string number_key(FaultHistory::Number number) {
    char text[24];
    std::snprintf(text, sizeof text, "%020llu", static_cast<unsigned long long>(number));
    return text;
}

std::optional<FaultHistory::Number> number_from(const std::string& key) {
    FaultHistory::Number number = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
    if (error != std::errc{} || end != key.data() + key.size()) return std::nullopt;
    return number;
}

/// Neither part holds a '/'.
std::string acked_key(const std::string& sink, const base::FaultId& fault) {
    return sink + '/' + fault.str();
}

/// Nor does a host's name.
std::string guest_key(const base::HostId& host, const base::GuestId& guest) {
    return host.str() + '/' + guest.str();
}

}  // namespace

AlarmStore::AlarmStore(runtime::Store& store) : store_(store), unreadable_(store) {}

template <class Read>
void AlarmStore::load(const std::string& table, Read read) {
    for (const auto& [key, text] : store_.load(table)) {
        const auto row = wire::parse_object(text);
        if (row && read(key, *row)) continue;
        unreadable_.move(table, key, text, row ? "a value is missing or wrong" : row.error().message);
    }
}

std::vector<TrackedFault> AlarmStore::load_faults() {
    std::vector<TrackedFault> faults;
    load(kFaults, [&](const std::string&, const json& row) {
        auto tracked = tracked_fault_from_json(row);
        if (tracked) faults.push_back(std::move(*tracked));
        return tracked.has_value();
    });
    return faults;
}

std::vector<AlarmRows::AckedRow> AlarmStore::load_acked() {
    std::vector<AckedRow> rows;
    load(kAcked, [&](const std::string& key, const json& row) {
        const std::size_t slash = key.find('/');
        const std::string phase = wire::text_or(row, "phase");
        const auto revision = wire::int_or(row, "revision", 0);
        if (slash == std::string::npos || revision <= 0 || (phase != "open" && phase != "cleared")) return false;
        rows.push_back({key.substr(0, slash),
                        base::FaultId(key.substr(slash + 1)),
                        {phase == "open" ? Acked::Phase::open : Acked::Phase::cleared,
                         static_cast<std::uint64_t>(revision), wire::text_or(row, "skipped")}});
        return true;
    });
    return rows;
}

std::vector<std::pair<FaultHistory::Number, FaultHistory::Entry>> AlarmStore::load_history() {
    std::vector<std::pair<FaultHistory::Number, FaultHistory::Entry>> entries;
    load(kHistory, [&](const std::string& key, const json& row) {
        const auto number = number_from(key);
        auto tracked = tracked_fault_from_json(row);
        if (!number || !tracked) return false;
        entries.emplace_back(*number, FaultHistory::Entry{std::move(*tracked), wire::bool_or(row, "delivered", false)});
        return true;
    });
    return entries;
}

std::vector<std::pair<base::FaultId, Journal::Record>> AlarmStore::load_journal() {
    std::vector<std::pair<base::FaultId, Journal::Record>> records;
    load(kJournal, [&](const std::string& key, const json& row) {
        auto record = journal_from_json(row);
        if (record) records.emplace_back(base::FaultId(key), std::move(*record));
        return record.has_value();
    });
    return records;
}

void AlarmStore::put_journal(const base::FaultId& fault, const Journal::Record& record) {
    put(kJournal, fault.str(), wire::dump(to_json(record)));
}

void AlarmStore::erase_journal(const base::FaultId& fault) {
    erase(kJournal, fault.str());
}

std::vector<AlarmRows::SinkRow> AlarmStore::load_sinks() {
    std::vector<SinkRow> sinks;
    load(kSinks, [&](const std::string& name, const json& row) {
        sinks.push_back({name, wire::text_or(row, "receiver"), base::from_iso8601(wire::text_or(row, "since"))});
        return true;
    });
    return sinks;
}

std::vector<std::pair<base::HostId, Agent>> AlarmStore::load_agents() {
    std::vector<std::pair<base::HostId, Agent>> agents;
    load(kAgents, [&](const std::string& host, const json& row) {
        Agent agent;
        agent.version = wire::text_or(row, "version");
        agent.is_primary = wire::bool_or(row, "is_primary", false);
        agent.primary = wire::text_or(row, "primary");
        agent.instance = wire::text_or(row, "instance");
        agent.state = wire::text_or(row, "state");
        agent.boot = wire::text_or(row, "boot");
        agent.state_starts = static_cast<std::uint64_t>(wire::int_or(row, "state_starts", 0));
        agent.state_changes = static_cast<std::uint64_t>(wire::int_or(row, "state_changes", 0));
        agent.last_seen = base::from_iso8601(wire::text_or(row, "last_seen"));
        agent.since = agent.last_seen;
        agents.emplace_back(base::HostId(host), std::move(agent));
        return true;
    });
    return agents;
}

std::vector<Alarm> AlarmStore::load_internal_alarms() {
    std::vector<Alarm> alarms;
    load(kInternalAlarms, [&](const std::string&, const json& row) {
        auto alarm = alarm_from_json(row);
        if (alarm) alarms.push_back(std::move(*alarm));
        return alarm.has_value();
    });
    return alarms;
}

std::vector<Alarm> AlarmStore::load_closed_alarms() {
    std::vector<Alarm> alarms;
    load(kClosedAlarms, [&](const std::string&, const json& row) {
        auto alarm = alarm_from_json(row);
        if (alarm) alarms.push_back(std::move(*alarm));
        return alarm.has_value();
    });
    return alarms;
}

void AlarmStore::put_closed_alarm(const Alarm& alarm) {
    put(kClosedAlarms, alarm.id.str(), wire::dump(to_json(alarm)));
}

void AlarmStore::erase_closed_alarm(const base::FaultId& alarm) {
    erase(kClosedAlarms, alarm.str());
}

std::vector<Maintenance> AlarmStore::load_maintenance() {
    std::vector<Maintenance> windows;
    load(kMaintenance, [&](const std::string&, const json& row) {
        auto window = maintenance_from_json(row);
        if (window) windows.push_back(std::move(*window));
        return window.has_value();
    });
    return windows;
}

void AlarmStore::put_maintenance(const Maintenance& window) {
    put(kMaintenance, window.id, wire::dump(to_json(window)));
}

void AlarmStore::erase_maintenance(const std::string& id) {
    erase(kMaintenance, id);
}

void AlarmStore::put_internal_alarm(const Alarm& alarm) {
    put(kInternalAlarms, alarm.id.str(), wire::dump(to_json(alarm)));
}

void AlarmStore::erase_internal_alarm(const base::FaultId& alarm) {
    erase(kInternalAlarms, alarm.str());
}

void AlarmStore::put(const std::string& table, const std::string& key, std::string row) {
    ++faults_version_;
    store_.put(table, key, std::move(row));
}

void AlarmStore::erase(const std::string& table, const std::string& key) {
    ++faults_version_;
    store_.erase(table, key);
}

void AlarmStore::put_fault(const TrackedFault& tracked) {
    put(kFaults, tracked.fault.id.str(), wire::dump(to_json(tracked)));
}

void AlarmStore::erase_fault(const base::FaultId& fault) {
    erase(kFaults, fault.str());
}

void AlarmStore::put_acked(const std::string& sink, const base::FaultId& fault, const Acked& acked) {
    if (acked.phase == Acked::Phase::nothing) return erase_acked(sink, fault);
    json row = {{"phase", acked.phase == Acked::Phase::open ? "open" : "cleared"}, {"revision", acked.revision}};
    if (!acked.skipped.empty()) row["skipped"] = acked.skipped;
    put(kAcked, acked_key(sink, fault), wire::dump(row));
}

void AlarmStore::erase_acked(const std::string& sink, const base::FaultId& fault) {
    erase(kAcked, acked_key(sink, fault));
}

void AlarmStore::put_history(FaultHistory::Number number, const FaultHistory::Entry& entry) {
    json row = to_json(entry.tracked);
    row["delivered"] = entry.delivered;
    put(kHistory, number_key(number), wire::dump(row));
}

void AlarmStore::erase_history(FaultHistory::Number number) {
    erase(kHistory, number_key(number));
}

void AlarmStore::put_sink(const SinkRow& sink) {
    json row = json::object();
    if (!sink.receiver.empty()) row["receiver"] = sink.receiver;
    if (sink.since != base::WallTime{}) row["since"] = base::to_iso8601(sink.since);
    store_.put(kSinks, sink.name, wire::dump(row));
}

void AlarmStore::erase_sink(const std::string& sink) {
    store_.erase(kSinks, sink);
}

void AlarmStore::put_agent(const base::HostId& host, const Agent& agent) {
    const json row = {{"version", agent.version},
                      {"is_primary", agent.is_primary},
                      {"primary", agent.primary},
                      {"instance", agent.instance},
                      {"state", agent.state},
                      {"boot", agent.boot},
                      {"state_starts", agent.state_starts},
                      {"state_changes", agent.state_changes},
                      {"last_seen", base::to_iso8601(agent.last_seen)}};
    store_.put(kAgents, host.str(), wire::dump(row));
}

void AlarmStore::erase_agent(const base::HostId& host) {
    store_.erase(kAgents, host.str());
}

std::map<base::GuestId, GuestPlace> AlarmStore::load_places() {
    std::map<base::GuestId, GuestPlace> places;
    load(kPlaces, [&](const std::string& guest, const json& row) {
        const std::string state = wire::text_or(row, "state");
        GuestPlace place{base::HostId(wire::text_or(row, "host")), base::HostId(wire::text_or(row, "move_partner")),
                         state.empty() ? "active" : state,         wire::text_or(row, "task"),
                         wire::bool_or(row, "heartbeat", false),   {}};
        if (const json* earlier = wire::find(row, "earlier"); earlier != nullptr && earlier->is_array()) {
            for (const json& host : *earlier) {
                if (host.is_string()) place.earlier.emplace_back(host.get<std::string>());
            }
        }
        places.emplace(base::GuestId(guest), std::move(place));
        return true;
    });
    return places;
}

void AlarmStore::put_place(const base::GuestId& guest, const GuestPlace& place) {
    json row = {{"host", place.host.str()}};
    if (!place.move_partner.empty()) row["move_partner"] = place.move_partner.str();
    if (place.state != "active") row["state"] = place.state;
    if (!place.state_description.empty()) row["task"] = place.state_description;
    if (place.heartbeat) row["heartbeat"] = true;
    for (const base::HostId& host : place.earlier)
        row["earlier"].push_back(host.str());
    store_.put(kPlaces, guest.str(), wire::dump(row));
}

void AlarmStore::erase_place(const base::GuestId& guest) {
    store_.erase(kPlaces, guest.str());
}

std::vector<std::pair<base::HostId, model::GuestReport>> AlarmStore::load_guests() {
    std::vector<std::pair<base::HostId, model::GuestReport>> guests;
    load(kGuests, [&](const std::string& key, const json& row) {
        const std::size_t slash = key.find('/');
        if (slash == std::string::npos) return false;
        model::GuestReport report;
        report.guest = base::GuestId(key.substr(slash + 1));
        report.state = wire::text_or(row, "state");
        report.name = wire::text_or(row, "name");
        report.interval = base::Millis(wire::int_or(row, "interval_ms", 0));
        report.response_deadline = base::Millis(wire::int_or(row, "response_deadline_ms", 0));
        report.registered_since = base::from_iso8601(wire::text_or(row, "registered_since"));
        if (report.state.empty()) return false;
        guests.emplace_back(base::HostId(key.substr(0, slash)), std::move(report));
        return true;
    });
    return guests;
}

std::map<base::HostId, std::vector<model::Fault>> AlarmStore::load_orphans() {
    std::map<base::HostId, std::vector<model::Fault>> orphans;
    load(kOrphans, [&](const std::string& key, const json& row) {
        const std::size_t slash = key.find('/');
        auto fault = bus::fault_from_json(row);
        if (slash == std::string::npos || !fault) return false;
        orphans[base::HostId(key.substr(0, slash))].push_back(std::move(*fault));
        return true;
    });
    return orphans;
}

void AlarmStore::put_orphan(const base::HostId& host, const model::Fault& fault) {
    store_.put(kOrphans, host.str() + '/' + fault.id.str(), wire::dump(bus::to_json(fault)));
}

void AlarmStore::erase_orphan(const base::HostId& host, const base::FaultId& fault) {
    store_.erase(kOrphans, host.str() + '/' + fault.str());
}

void AlarmStore::put_guest(const base::HostId& host, const model::GuestReport& report) {
    json row = {{"state", report.state}};
    if (!report.name.empty()) row["name"] = report.name;
    if (report.interval.count() != 0) row["interval_ms"] = report.interval.count();
    if (report.response_deadline.count() != 0) row["response_deadline_ms"] = report.response_deadline.count();
    if (report.registered_since != base::WallTime{})
        row["registered_since"] = base::to_iso8601(report.registered_since);
    store_.put(kGuests, guest_key(host, report.guest), wire::dump(row));
}

void AlarmStore::erase_guest(const base::HostId& host, const base::GuestId& guest) {
    store_.erase(kGuests, guest_key(host, guest));
}

}  // namespace vitalwire::controller
