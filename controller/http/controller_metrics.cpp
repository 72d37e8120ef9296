#include "controller/http/controller_metrics.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "model/alarm_kind.hpp"

namespace vitalwire::controller {

namespace {

constexpr const char* kPrefix = "vitalwire_controller_";

/// The names of the controller's metrics begin alike.
class Registrar {
public:
    explicit Registrar(runtime::Metrics& metrics) : metrics_(metrics) {}

    template <class Read>
    void gauge(const char* name, const char* help, Read read, const runtime::Labels& labels = {}) {
        metrics_.gauge(
            std::string(kPrefix) + name, help, [read] { return static_cast<double>(read()); }, labels);
    }
    void counter(const char* name, const char* help, std::function<std::uint64_t()> read,
                 const runtime::Labels& labels = {}) {
        metrics_.counter(std::string(kPrefix) + name, help, std::move(read), labels);
    }

private:
    runtime::Metrics& metrics_;
};

void add_fleet(Registrar to, const ApiContext& context) {
    const Core& core = context.core;
    to.gauge("agents_connected", "Agents connected now.", [&core] { return core.fleet().connected(); });
    to.gauge("agents_known", "Agents known, connected or not.", [&core] { return core.fleet().agents().size(); });
    to.gauge("agents_away_in_maintenance", "Agents that are not connected while there is maintenance of their hosts.",
             [&core] { return core.agents_away_in_maintenance(); });
    to.gauge("inventory_guests", "Guests in the inventory.", [&core] { return core.inventory().guests().size(); });
    to.gauge("guests_uncovered", "Guests that should be watched and could fail unnoticed.",
             [&context] { return context.census.watches.at(static_cast<std::size_t>(Watch::uncovered)); });
    for (const char* state : kGuestStates)
        to.gauge("guests", "Guests by state.", [&context, state] { return count_guests(context, state); },
                 {{"state", state}});
    to.counter("bus_messages_total", "Messages from agents.", [&core] { return core.counters().messages; });
    to.counter("bus_refused_total", "Messages, or faults and guests in them, that were refused.",
               [&core] { return core.counters().refused; });
    to.counter("primary_changes_total", "Times an agent named another primary, or this one again.",
               [&core] { return core.counters().primary_changes; });
}

void add_alarms(Registrar to, const Core& core) {
    const AlarmManager& alarms = core.alarms();
    for (const model::FaultKind kind : model::all_fault_kinds()) {
        const runtime::Labels labels = {{"kind", std::string(model::to_string(kind))}};
        to.counter(
            "faults_opened_total", "Faults opened.", [&alarms, kind] { return alarms.opened(kind); }, labels);
        to.counter(
            "faults_cleared_total", "Faults cleared.", [&alarms, kind] { return alarms.cleared(kind); }, labels);
        to.gauge(
            "faults_open", "Faults open now.", [&alarms, kind] { return alarms.table().open_of_kind(kind); }, labels);
    }
    for (const model::AlarmKind& kind : model::alarm_kinds()) {
        if (kind.source != model::AlarmKind::Source::controller) continue;
        to.gauge("internal_alarms_open", "Internal alarms that are open.",
                 [&core, name = kind.name] { return core.self_monitoring().open_of_kind(name); },
                 {{"kind", std::string(kind.name)}});
        to.gauge("internal_alarms_in_maintenance", "Of these, those that maintenance keeps from sinks.",
                 [&core, name = kind.name] { return core.alarms_in_maintenance(name); },
                 {{"kind", std::string(kind.name)}});
    }
    to.gauge("orphaned_reports_waiting", "Reports in the durable fault queue of agents that are away.",
             [&core] { return core.orphans_waiting(); });
}

void add_maintenance(Registrar to, const Core& core) {
    for (const MaintenanceScope scope :
         {MaintenanceScope::guest, MaintenanceScope::host, MaintenanceScope::group, MaintenanceScope::all}) {
        const auto active = [&core, scope] {
            const base::WallTime now = core.time();
            const auto& windows = core.maintenance().all();
            return std::count_if(windows.begin(), windows.end(), [&](const auto& each) {
                return each.second.scope == scope && each.second.active(now);
            });
        };
        to.gauge("maintenance_active", "Maintenance that keeps faults from sinks now.", active,
                 {{"scope", std::string(to_string(scope))}});
    }
}

void add_groups(Registrar to, const GroupService& service) {
    const GroupCounters& groups = service.totals();
    to.counter("group_broadcasts_total", "Broadcasts of guests that were forwarded.",
               [&groups] { return groups.broadcasts; });
    to.counter("group_deliveries_total", "Guests that broadcasts were sent to.",
               [&groups] { return groups.deliveries; });
    to.counter("group_notifications_total", "Guests that were notified of a change of a peer.",
               [&groups] { return groups.notifications; });
    to.counter("group_queries_total", "Status queries that were answered.", [&groups] { return groups.queries; });
    to.counter("group_refusals_total", "Broadcasts and queries that were refused: no group, or another host's guest.",
               [&groups] { return groups.refusals; });
    to.counter("group_kept_total", "Broadcasts that were kept for a guest while it moved.",
               [&groups] { return groups.kept; });
    to.counter("group_kept_dropped_total", "Of these, what a guest that moved for too long did not get.",
               [&service] { return service.dropped(); });
}

void add_itself(Registrar to, const ApiContext& context) {
    to.gauge("build_info", "1; what runs is in the labels.", [] { return 1; }, {{"version", context.version}});
    to.gauge("problems", "Problems that the status shows now.", [&context] { return context.problems.size(); });
}

void add_shell(Registrar to, const ShellCounts& shell) {
    to.gauge("store_pending", "Rows that wait to be written to disk.", shell.store_pending);
    to.gauge("bus_connections_refused", "Connections that ended before they were an agent's.",
             shell.bus_connections_refused);
    to.gauge("bus_messages_dropped", "Messages to and from agents that full queues lost; a snapshot was sent after it.",
             shell.bus_messages_dropped);
    to.counter("http_connections_refused_total",
               "HTTP connections that sent nothing in time, or were closed for newer ones.",
               shell.http_connections_refused);
    to.counter("http_requests_denied_total", "HTTP requests without a token that allows them, or of web pages.",
               shell.http_requests_denied);
    to.gauge("certificate_seconds_left", "Until our own certificate ends; 0 without one.",
             shell.certificate_seconds_left);
    to.gauge("certificate_notice_seconds", "Before its end, from when on it needs renewal; 0 without one.",
             shell.certificate_notice_seconds);
    to.gauge("inventory_age_seconds", "Since the inventory was last known to be what Nova, or its file, has.",
             shell.inventory_age_seconds);
    to.gauge("state_rows_unreadable", "Rows of the state on disk that could not be read and are kept aside.",
             shell.state_rows_unreadable);
}

}  // namespace

void add_metrics(runtime::Metrics& metrics, const ApiContext& context, const ShellCounts& shell) {
    const Registrar to(metrics);
    add_itself(to, context);
    add_fleet(to, context);
    add_alarms(to, context.core);
    add_maintenance(to, context.core);
    add_groups(to, context.groups());
    add_shell(to, shell);
}

}  // namespace vitalwire::controller
