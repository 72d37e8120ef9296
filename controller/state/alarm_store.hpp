#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "controller/alarms/fault_history.hpp"
#include "controller/delivery/alarm_queue.hpp"
#include "controller/delivery/journal.hpp"
#include "controller/fleet/fleet.hpp"
#include "runtime/store.hpp"

namespace vitalwire::controller {

/// The controller's rows in its store: the faults in the book, what each sink has confirmed of them, the history, the
/// known sinks and agents. A row that cannot be read is dropped and logged: the agents tell their state anyway.
class AlarmStore {
public:
    explicit AlarmStore(runtime::Store& store) : store_(store) {}

    struct AckedRow {
        std::string sink;
        base::FaultId fault;
        Acked acked;
    };
    std::vector<TrackedFault> load_faults();
    std::vector<AckedRow> load_acked();
    std::vector<std::pair<base::FaultId, Journal::Record>> load_journal();
    std::vector<std::pair<FaultHistory::Number, FaultHistory::Entry>> load_history();
    std::vector<std::string> load_sinks();
    std::vector<std::pair<base::HostId, Agent>> load_agents();

    std::vector<Alarm> load_own_alarms();

    void put_fault(const TrackedFault& booked);
    void erase_fault(const base::FaultId& fault);
    void put_journal(const base::FaultId& fault, const Journal::Record& record);
    void erase_journal(const base::FaultId& fault);
    void put_acked(const std::string& sink, const base::FaultId& fault, const Acked& acked);
    void erase_acked(const std::string& sink, const base::FaultId& fault);
    void put_history(FaultHistory::Number number, const FaultHistory::Entry& entry);
    void erase_history(FaultHistory::Number number);
    bool healthy() const { return store_.healthy(); }
    /// As Store's.
    void when_durable(std::function<void()> done) { store_.when_durable(std::move(done)); }

    void put_own_alarm(const Alarm& alarm);
    void erase_own_alarm(const base::FaultId& alarm);
    void put_sink(const std::string& sink);
    void erase_sink(const std::string& sink);
    void put_agent(const base::HostId& host, const Agent& agent);
    void erase_agent(const base::HostId& host);

private:
    /// Reads every row of a table; what `read` refuses is dropped.
    template <class Read>
    void load(const std::string& table, Read read);

    runtime::Store& store_;
};

}  // namespace vitalwire::controller
