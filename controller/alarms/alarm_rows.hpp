#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "controller/alarms/fault_history.hpp"
#include "controller/delivery/alarm_queue.hpp"
#include "controller/delivery/journal.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/inventory.hpp"
#include "controller/model/maintenance.hpp"

namespace vitalwire::controller {

/// What a controller keeps over a restart: the faults in the table, what each sink has acknowledged of them, the
/// journal, the history, internal alarms, the known sinks, agents and guests. Writing never waits for the disk.
class AlarmRows {
public:
    struct AckedRow {
        std::string sink;
        base::FaultId fault;
        Acked acked;
    };
    struct SinkRow {
        std::string name;
        std::string receiver = {};  ///< empty: not known, by a release that did not keep it
        base::WallTime since{};     ///< since when the sink has that receiver; the epoch: before that was kept
    };

    virtual ~AlarmRows() = default;

    virtual std::vector<TrackedFault> load_faults() = 0;
    virtual std::vector<AckedRow> load_acked() = 0;
    virtual std::vector<std::pair<base::FaultId, Journal::Record>> load_journal() = 0;
    virtual std::vector<std::pair<FaultHistory::Number, FaultHistory::Entry>> load_history() = 0;
    virtual std::vector<SinkRow> load_sinks() = 0;
    virtual std::vector<std::pair<base::HostId, Agent>> load_agents() = 0;
    /// Where the inventory had the guests.
    virtual std::map<base::GuestId, GuestPlace> load_places() = 0;
    /// Those that agents had registered.
    virtual std::vector<std::pair<base::HostId, model::GuestReport>> load_guests() = 0;
    /// What agents that were away had left.
    virtual std::map<base::HostId, std::vector<model::Fault>> load_orphans() = 0;
    virtual std::vector<Alarm> load_internal_alarms() = 0;
    virtual std::vector<Alarm> load_closed_alarms() = 0;
    virtual std::vector<Maintenance> load_maintenance() = 0;

    virtual void put_maintenance(const Maintenance& window) = 0;
    virtual void erase_maintenance(const std::string& id) = 0;
    virtual void put_fault(const TrackedFault& tracked) = 0;
    virtual void erase_fault(const base::FaultId& fault) = 0;
    virtual void put_journal(const base::FaultId& fault, const Journal::Record& record) = 0;
    virtual void erase_journal(const base::FaultId& fault) = 0;
    virtual void put_acked(const std::string& sink, const base::FaultId& fault, const Acked& acked) = 0;
    virtual void erase_acked(const std::string& sink, const base::FaultId& fault) = 0;
    virtual void put_history(FaultHistory::Number number, const FaultHistory::Entry& entry) = 0;
    virtual void erase_history(FaultHistory::Number number) = 0;
    virtual void put_internal_alarm(const Alarm& alarm) = 0;
    virtual void erase_internal_alarm(const base::FaultId& alarm) = 0;
    /// An operator has closed it while its cause lasts.
    virtual void put_closed_alarm(const Alarm& alarm) = 0;
    virtual void erase_closed_alarm(const base::FaultId& alarm) = 0;
    virtual void put_sink(const SinkRow& sink) = 0;
    virtual void erase_sink(const std::string& sink) = 0;
    virtual void put_agent(const base::HostId& host, const Agent& agent) = 0;
    virtual void erase_agent(const base::HostId& host) = 0;
    virtual void put_place(const base::GuestId& guest, const GuestPlace& place) = 0;
    virtual void erase_place(const base::GuestId& guest) = 0;
    virtual void put_orphan(const base::HostId& host, const model::Fault& fault) = 0;
    virtual void erase_orphan(const base::HostId& host, const base::FaultId& fault) = 0;
    virtual void put_guest(const base::HostId& host, const model::GuestReport& report) = 0;
    virtual void erase_guest(const base::HostId& host, const base::GuestId& guest) = 0;

    /// False while the disk cannot be written.
    virtual bool healthy() const = 0;
    /// Calls `done` once what was put before is on disk.
    virtual void when_durable(std::function<void()> done) = 0;
};

}  // namespace vitalwire::controller
