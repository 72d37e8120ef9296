#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "bus/messages.hpp"
#include "controller/alarms/fault_history.hpp"
#include "controller/alarms/fault_table.hpp"
#include "controller/alarms/internal_alarms.hpp"
#include "controller/delivery/sink_worker.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/state/alarm_store.hpp"
#include "runtime/metrics.hpp"
#include "runtime/problems.hpp"

namespace vitalwire::controller {

/// From what the agents say to what the sinks are told: books faults, keeps them on disk, hands them to every sink, and
/// confirms them to the agent when all sinks have them. Nothing waits for the disk: until it is confirmed the agent
/// keeps a fault, and tells it again.
///
/// Only faults of agents that named this controller lead are handed out. While such an agent is away, what it last said
/// is still delivered; after a restart that waits for it to return first, `resume_grace` at most. So a raise may come
/// after the clear that another lead has told meanwhile: whoever raised a fault also clears it, lead or not, once it
/// knows that it is over. In order is what one controller tells; across controllers the revision says which is newer.
class AlarmManager {
public:
    struct Options {
        std::size_t history = 10'000;
        base::Millis resume_grace{10'000};
    };
    struct Dependencies {
        boost::asio::io_context& io;
        runtime::Metrics& metrics;
        runtime::Problems& problems;
        const Fleet& fleet;
        std::function<void(Alarm&)> enrich;
        std::function<void(const base::HostId&, const bus::FaultsDelivered&)> confirm;
        std::function<bool()> inventory_known = [] { return true; };
    };

    AlarmManager(Options options, AlarmStore& store, Dependencies surroundings);

    /// Before `load`.
    void add_sink(const std::string& name, const std::string& type, std::unique_ptr<Sink> sink, DeliveryOptions options,
                  std::optional<std::vector<Policy>> policies = std::nullopt);
    /// What was known before a restart; the fleet is restored already.
    void load();
    /// Sinks are told nothing after it.
    void stop();

    // From the bus; the fleet knows already.
    void agent_up(const base::HostId& host);
    void agent_down(const base::HostId& host);
    void lead_changed(const base::HostId& host);
    void begin_snapshot(const base::HostId& host);
    void end_snapshot(const base::HostId& host);
    /// The refused ones are the result.
    std::vector<base::Error> report(const base::HostId& host, const std::vector<model::Fault>& faults);
    /// What an agent said some time ago: counts as far as nothing newer is known.
    std::vector<base::Error> report_left(const base::HostId& host, const std::vector<model::Fault>& faults);

    /// Ends an open fault whose agent is away; what that agent said before does not open it again.
    void end(const base::FaultId& fault, std::string_view why);

    /// Tells one sink the open faults of a guest once more.
    void retell(const std::string& sink, const base::GuestId& guest);

    // The inventory has changed: what policies say of a guest may be another.
    void reconsider(const std::vector<GuestChange>& changes);
    void reconsider_all();

    /// The controller's own alarms go to the same sinks.
    InternalAlarms& own() { return own_; }
    const InternalAlarms& own() const { return own_; }

    const FaultTable& book() const { return book_; }
    const FaultHistory& history() const { return history_; }
    const std::vector<std::unique_ptr<SinkWorker>>& sinks() const { return sinks_; }

private:
    void assume_under_way();
    bool delivers(const base::HostId& host) const;
    base::Result<void> report_one(const base::HostId& host, const model::Fault& fault);
    /// True when there is nothing to do about the fault any more: it is over, and was told or is another lead's.
    bool is_newer(const model::Fault& fault) const;
    bool known_as_over(const base::HostId& host, const model::Fault& fault);
    void take(const FaultTable::Entry& entry);
    void count(const FaultTable::Entry& entry);
    void tell(const TrackedFault& booked);
    void finish(const TrackedFault& booked, bool others_done);
    template <class Predicate>
    void tell_again(Predicate concerned);
    base::Millis beat_of(const Alarm& alarm) const;
    void add_others_open(AlarmEvent& event) const;
    void collect(SinkWorker& runner);
    void audit(SinkWorker& runner);
    std::vector<base::FaultId> confirmed_open(const SinkWorker& runner) const;
    std::size_t raise_again(SinkWorker& runner, const std::vector<base::FaultId>& confirmed,
                            const std::vector<ShownAlarm>& shown);
    std::size_t raise_own_again(SinkWorker& runner, const std::vector<base::FaultId>& confirmed,
                                const std::vector<ShownAlarm>& shown);
    std::size_t clear_again(SinkWorker& runner, FaultHistory::Number newest, const std::vector<ShownAlarm>& shown);
    void clear_again(SinkWorker& runner, TrackedFault booked);
    void settle(const base::FaultId& fault);
    template <class Predicate>
    bool at_every_sink(Predicate holds) const;
    void leave(const TrackedFault& booked, bool delivered);
    std::vector<TrackedFault> faults_of(const base::HostId& host) const;
    void withdraw(const base::HostId& host);
    void resume_unheard();
    void confirm(const base::HostId& host, const model::Fault& fault);
    void flush_confirmations();

    Options options_;
    AlarmStore& store_;
    Dependencies around_;
    FaultTable book_;
    FaultHistory history_;
    std::vector<std::unique_ptr<SinkWorker>> sinks_;
    InternalAlarms own_;
    std::set<std::string> known_sinks_;
    bool grace_over_ = false;
    boost::asio::steady_timer grace_;
    std::map<base::HostId, std::map<base::FaultId, std::uint64_t>> confirmations_;  ///< of this turn of the loop
    bool flush_posted_ = false;
    std::map<model::FaultKind, runtime::Counter> opened_;
    std::map<model::FaultKind, runtime::Counter> cleared_;
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< a handler that finds it gone does nothing
};

}  // namespace vitalwire::controller
