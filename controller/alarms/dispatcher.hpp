#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/moment.hpp"
#include "controller/alarms/alarm_rows.hpp"
#include "controller/delivery/journal.hpp"
#include "controller/delivery/notifier.hpp"

namespace vitalwire::controller {

/// All sinks: what is done with an alarm is done at each of them.
class Dispatcher {
public:
    using Sinks = std::vector<std::unique_ptr<Notifier>>;
    struct Context {
        std::function<base::Moment()> now;
        // As NotifierContext has them.
        std::function<void(Alarm&)> enrich;
        std::function<bool(const base::GuestId&)> inventory_known;
        /// What the agent of its host reports of the guest; null: nothing.
        std::function<const model::GuestReport*(const Alarm&)> report;
        std::function<std::optional<Maintained>(const Alarm&)> maintained;
        std::function<void(AlarmEvent&)> add_others_open;
        /// The sink may have acknowledged something.
        std::function<void(Notifier&)> progress;
        /// It is time to compare what the sink's receiver shows.
        std::function<void(Notifier&)> reconcile;
        std::function<void(const base::FaultId&, JournalEntry)> note;
        /// The journal of a fault; null when there is none.
        std::function<const Journal::Record*(const base::FaultId&)> journal = [](const auto&) { return nullptr; };
        // As NotifierContext has them.
        std::function<bool()> held = [] { return false; };
        base::HostId controller{};
    };

    Dispatcher(AlarmRows& rows, Context context);

    /// For the notifier of the sink of that name, which is added next. `receiver`: who it notifies; when that is
    /// another one than before, what the one before has acknowledged does not count.
    NotifierContext context_of(const std::string& name, const std::string& receiver = {});
    /// Whom the sink notified before, if it is another one since this start; null otherwise.
    const std::string* earlier_receiver(const std::string& name) const;
    /// Whom a sink notified that was configured before this start and is not now; null otherwise.
    const std::string* removed_receiver(const std::string& name) const;
    /// The sinks that are configured since this start, and were not before, with their receivers.
    std::vector<std::pair<std::string, std::string>> added() const;
    SinkOf address_of(const Notifier& sink) const;
    void add_sink(std::unique_ptr<Notifier> sink);
    /// The sink of that name, which sends nothing more. Nothing waits for it.
    std::unique_ptr<Notifier> remove_sink(const std::string& name);
    /// Rows of sinks that are no longer configured.
    void erase_unconfigured();
    void stop();
    /// Each sink sends what it may send now.
    void pump();

    // As SinkQueue's, at each sink that takes the alarm.
    void restore(const Alarm& alarm);
    void restore(Notifier& sink, const Alarm& alarm, Acked acked);
    void offer(const Alarm& alarm);
    /// To those that hold it because of its guest's I/O, which has been read again.
    void offer_waiting_for_io(const Alarm& alarm);
    void finish(const Alarm& alarm, bool others_done);
    void withdraw(const Alarm& alarm);
    void erase(const Alarm& alarm);
    bool settled(const Alarm& alarm) const;
    bool busy(const Alarm& alarm) const;
    /// It is over, and what was raised from here may still be open at a receiver.
    bool may_show(const Alarm& alarm) const;
    /// The clock was set by that much.
    void clock_was_set(base::WallTime::duration by);
    /// Fault::delivered_to of what has been acknowledged here.
    std::vector<std::string> delivered_to(const Alarm& alarm) const;
    /// True unless the agent names the receivers that have the alarm, and the sink's is none of them.
    bool may_have(const Notifier& sink, const Alarm& alarm) const;
    /// A sink's policy, or maintenance, keeps it back for a time.
    bool hold(const base::FaultId& fault) const;
    /// What a sink is notified of depends on where the inventory has a guest.
    bool asks_inventory() const;
    /// It depends on the I/O of the alarm's guest.
    bool asks_io(const Alarm& alarm) const;
    Notifier* find(const std::string& name) const;
    std::vector<std::string> names() const;
    const Sinks& sinks() const { return sinks_; }

private:
    static AlarmPtr untold(const Alarm& alarm);
    AlarmPtr enriched(const Alarm& alarm) const;
    FilterContext filter_context(const Alarm& alarm) const;
    void note_decision(const Notifier& sink, const base::FaultId& fault, const FilterContext& context);
    bool delivered_counts(const Notifier& sink, const Alarm& alarm) const;
    void skip_ended_by_peer(Notifier& sink, const Alarm& alarm);
    void skip_raised_by_peer(Notifier& sink, const Alarm& alarm);

    AlarmRows& rows_;
    Context context_;
    std::map<std::string, AlarmRows::SinkRow> known_;       ///< from before this start
    std::map<std::string, std::string> receivers_;          ///< of sinks, as far as they are known
    std::map<std::string, std::string> earlier_receivers_;  ///< of sinks that have another one now
    std::set<std::string> fresh_;                           ///< sinks whose receiver knows of nothing yet
    Sinks sinks_;
};

}  // namespace vitalwire::controller
