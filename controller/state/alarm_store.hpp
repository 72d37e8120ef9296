#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "controller/alarms/alarm_rows.hpp"
#include "runtime/store.hpp"
#include "runtime/unreadable_rows.hpp"

namespace vitalwire::controller {

/// The rows as JSON in tables of the store. A row that cannot be read is moved to a table of its own, counted and
/// logged: the agents report their state anyway.
class AlarmStore : public AlarmRows {
public:
    explicit AlarmStore(runtime::Store& store);

    std::vector<TrackedFault> load_faults() override;
    std::vector<AckedRow> load_acked() override;
    std::vector<std::pair<base::FaultId, Journal::Record>> load_journal() override;
    std::vector<std::pair<FaultHistory::Number, FaultHistory::Entry>> load_history() override;
    std::vector<SinkRow> load_sinks() override;
    std::vector<std::pair<base::HostId, Agent>> load_agents() override;
    std::map<base::GuestId, GuestPlace> load_places() override;
    std::vector<std::pair<base::HostId, model::GuestReport>> load_guests() override;
    std::map<base::HostId, std::vector<model::Fault>> load_orphans() override;
    std::vector<Alarm> load_internal_alarms() override;
    std::vector<Alarm> load_closed_alarms() override;
    std::vector<Maintenance> load_maintenance() override;
    void put_maintenance(const Maintenance& window) override;
    void erase_maintenance(const std::string& id) override;
    void put_fault(const TrackedFault& tracked) override;
    void erase_fault(const base::FaultId& fault) override;
    void put_journal(const base::FaultId& fault, const Journal::Record& record) override;
    void erase_journal(const base::FaultId& fault) override;
    void put_acked(const std::string& sink, const base::FaultId& fault, const Acked& acked) override;
    void erase_acked(const std::string& sink, const base::FaultId& fault) override;
    void put_history(FaultHistory::Number number, const FaultHistory::Entry& entry) override;
    void erase_history(FaultHistory::Number number) override;
    void put_internal_alarm(const Alarm& alarm) override;
    void erase_internal_alarm(const base::FaultId& alarm) override;
    void put_closed_alarm(const Alarm& alarm) override;
    void erase_closed_alarm(const base::FaultId& alarm) override;
    void put_sink(const SinkRow& sink) override;
    void erase_sink(const std::string& sink) override;
    void put_agent(const base::HostId& host, const Agent& agent) override;
    void erase_agent(const base::HostId& host) override;
    void put_place(const base::GuestId& guest, const GuestPlace& place) override;
    void erase_place(const base::GuestId& guest) override;
    void put_orphan(const base::HostId& host, const model::Fault& fault) override;
    void erase_orphan(const base::HostId& host, const base::FaultId& fault) override;
    void put_guest(const base::HostId& host, const model::GuestReport& report) override;
    void erase_guest(const base::HostId& host, const base::GuestId& guest) override;
    bool healthy() const override { return store_.healthy(); }
    void when_durable(std::function<void()> done) override { store_.when_durable(std::move(done)); }
    /// Another number whenever a row of a fault, an internal alarm or a maintenance window was written.
    std::uint64_t faults_version() const { return faults_version_; }
    /// Rows that are kept because they could not be read, now or at an earlier start.
    std::uint64_t unreadable() const { return unreadable_.rows(); }

private:
    void put(const std::string& table, const std::string& key, std::string row);
    void erase(const std::string& table, const std::string& key);
    /// Reads every row of a table; what `read` refuses is moved away.
    template <class Read>
    void load(const std::string& table, Read read);

    runtime::Store& store_;
    runtime::UnreadableRows<runtime::Store> unreadable_;
    std::uint64_t faults_version_ = 0;
};

}  // namespace vitalwire::controller
