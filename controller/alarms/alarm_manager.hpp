#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/moment.hpp"
#include "bus/messages.hpp"
#include "controller/alarms/acknowledger.hpp"
#include "controller/alarms/alarm_list.hpp"
#include "controller/alarms/dispatcher.hpp"
#include "controller/alarms/fault_log.hpp"
#include "controller/alarms/internal_alarms.hpp"
#include "controller/alarms/reconciler.hpp"
#include "controller/delivery/journal.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/inventory.hpp"

namespace vitalwire::controller {

/// From the agents' reports to the sinks: keeps every fault (AlarmList), delivers it (Dispatcher), and acknowledges it
/// to the agent when all sinks have it (Acknowledger). Nothing waits for the disk: until it is acknowledged the agent
/// keeps a fault, and sends it again.
///
/// Only faults of agents whose primary this controller is are delivered. While such an agent is away, what it reported
/// last is still delivered; after a restart that waits for it to return first, `resume_grace` at most. So a raise may
/// come after the clear that another primary has delivered: the controller that raised a fault also clears it, primary
/// or not, once it has a report that it has ended. In order is what one controller delivers; across controllers the
/// revision decides which is newer.
class AlarmManager {
public:
    struct Options {
        std::size_t history = 10'000;
        base::Millis resume_grace{10'000};
    };
    struct Dependencies {
        const Fleet& fleet;
        std::function<base::Moment()> now;
        std::function<void(Alarm&)> enrich;
        Acknowledger::Send acknowledge;
        Acknowledger::Defer defer;
        std::function<bool(const base::GuestId&)> inventory_known = [](const auto&) { return true; };
        /// True if the host's agent may report about the guest now (fleet/authority.hpp).
        /// `withheld`: such a report was withheld before.
        std::function<bool(const base::HostId&, const base::GuestId&, bool withheld)> may_report =
            [](const auto&, const auto&, bool) { return true; };
        /// True if `host` continues the fault of a guest that an agent which `left` has reported.
        std::function<bool(const base::HostId& host, const base::HostId& left, const base::GuestId&)> takes_over =
            [](const auto&...) { return false; };
        /// True if the host's agent ends the fault because its guest is gone, and the cloud has that running there.
        std::function<bool(const TrackedFault&, const base::HostId&, const model::Fault& reported)> doubts_end =
            [](const auto&...) { return false; };
        std::function<std::size_t(const base::HostId&)> max_faults = [](const auto&) { return kMaxFaultsPerHost; };
        /// Absent: nobody works on the alarm's subject.
        std::function<std::optional<Maintained>(const Alarm&)> maintained = [](const auto&) {
            return std::optional<Maintained>();
        };
        /// Sinks are to be sent nothing now; `pump` is called when they are.
        std::function<bool()> held = [] { return false; };
        base::HostId controller{};
    };
    struct Rejected {
        model::Fault fault;
        base::Error error;
    };

    AlarmManager(Options options, AlarmRows& rows, Dependencies dependencies);

    /// For the notifier of the sink of that name, which is added next.
    NotifierContext context_of(const std::string& sink, const std::string& receiver = {}) {
        return sinks_.context_of(sink, receiver);
    }
    /// Before `load`, or followed by `sinks_changed`.
    void add_sink(std::unique_ptr<Notifier> sink) { sinks_.add_sink(std::move(sink)); }
    /// Followed by `sinks_changed`.
    std::unique_ptr<Notifier> remove_sink(const std::string& name);
    /// The sink is taken out, and with it its receiver; what was raised there is not ended from here. Before
    /// remove_sink.
    void receiver_goes(const std::string& sink, const std::string& receiver);
    /// It is there again: what had been raised there and has ended is ended there. What is still open it is sent like
    /// any new sink.
    void receiver_returns(const std::string& sink, const std::string& receiver);
    /// The sink is to notify another receiver: said in the journal of each fault that `earlier` has acknowledged. To be
    /// called before the sink is removed and added.
    void receiver_changes(const std::string& sink, const std::string& earlier);
    /// Sinks or their policies are others now: every alarm is offered again.
    void sinks_changed();
    /// What was known before a restart; the fleet is restored already.
    void load(base::TimePoint now);
    /// Sinks are notified of nothing after it.
    void stop();

    void tick(base::TimePoint now);
    /// When `tick` has something to do although nothing else happens.
    base::TimePoint next_due() const { return std::min(grace_ends_, may_show_due_); }

    // From the bus; the fleet is up to date already.
    void agent_up(const base::HostId& host);
    /// `in_doubt`: it may have another primary by now. Until it is back, or adopted, nothing of it is delivered.
    void agent_down(const base::HostId& host, bool in_doubt = false);
    bool left_in_doubt(const base::HostId& host) const { return in_doubt_.contains(host); }
    void primary_changed(const base::HostId& host);
    void begin_snapshot(const base::HostId& host);
    void end_snapshot(const base::HostId& host, base::WallTime now);
    /// The rejected ones are the result.
    /// `unconfirmed`: the agent keeps them, and does not find their guests.
    std::vector<Rejected> report(const base::HostId& host, const std::vector<model::Fault>& faults, base::WallTime now,
                                 bool unconfirmed = false);
    /// Of what the agent has reported since the last call, the faults of which newer revisions are known here: those
    /// revisions, the ended ones first.
    std::vector<model::Fault> take_outdated(const base::HostId& host);
    /// What an agent reported some time ago: counts as far as nothing newer is known.
    std::vector<Rejected> report_orphaned(const base::HostId& host, const std::vector<model::Fault>& faults,
                                          base::WallTime now);

    /// Ends an open fault without its agent; what that agent reported before does not open it again. `for_absent`: its
    /// primary may have raised it and be gone, so its clear is delivered from here.
    void end(const base::FaultId& fault, std::string_view why, bool for_absent, base::WallTime now);
    /// Adds to the fault's journal what somebody else did about it.
    void note(const base::FaultId& fault, std::string what, std::string detail, base::WallTime now) {
        journal_.note(fault, {now, std::move(what), "", std::move(detail)});
    }
    /// Keeps in the history a fault that opened and ended while this controller was away.
    void learn_past(const TrackedFault& past);
    /// What has become of an alarm about the suite itself that another controller has raised.
    void note(const Alarm& alarm) { journal_.note(alarm); }
    /// This controller is the primary of an agent that is away now: delivers what no other has.
    void adopt(const base::HostId& host);
    /// Who may report what may be another now: delivers what was withheld and no longer is.
    void release_withheld();

    /// Sends what was held back.
    void pump() { sinks_.pump(); }
    /// Sends one sink the open faults of a guest once more.
    void resend(const std::string& sink, const base::GuestId& guest);

    // The inventory has changed: what policies decide about a guest may be another.
    void reconsider(const std::vector<GuestChange>& changes);
    void reconsider_all();
    /// The agent of the host has reported these guests.
    void guests_reported(const base::HostId& host, const std::vector<model::GuestReport>& guests);
    /// A policy takes the I/O of the guest into account; the alarm has its names.
    bool asks_io(const Alarm& alarm) const { return sinks_.asks_io(alarm); }
    /// Maintenance has begun or ended.
    void maintenance_changed();

    /// The clock was set by that much: what was received before it compares with what comes as if it had not been.
    void clock_was_set(base::WallTime::duration by) {
        list_.clock_was_set(by);
        sinks_.clock_was_set(by);
        internal_.clock_was_set(by);
    }

    /// How many faults that are over are kept.
    void set_history(std::size_t limit) { list_.set_history(limit); }

    /// Alarms about the suite itself go to the same sinks.
    InternalAlarms& internal() { return internal_; }
    const InternalAlarms& internal() const { return internal_; }

    const FaultTable& table() const { return list_.table(); }
    const FaultHistory& history() const { return list_.history(); }
    const Journal& journal() const { return journal_; }
    /// What another controller has in its journal of the fault.
    void merge_journal(const base::FaultId& fault, const std::string& controller, Journal::Part part) {
        journal_.merge(fault, controller, std::move(part));
        internal_.trim();
    }
    /// How far the fault is at a sink; at another primary's, what that has delivered counts.
    DeliveryView view(const Notifier& sink, const TrackedFault& tracked) const;
    const Dispatcher::Sinks& sinks() const { return sinks_.sinks(); }
    std::vector<std::string> sink_names() const { return sinks_.names(); }
    Notifier* find_sink(const std::string& name) { return sinks_.find(name); }
    /// Since the start.
    std::uint64_t opened(model::FaultKind kind) const { return opened_.at(static_cast<std::size_t>(kind)); }
    std::uint64_t cleared(model::FaultKind kind) const { return cleared_.at(static_cast<std::size_t>(kind)); }

private:
    void load_acknowledged();
    void receivers_went(const std::vector<AlarmRows::AckedRow>& acknowledged);
    void note_removed_sink(const base::FaultId& fault, const std::string& name, const std::string& receiver);
    void note_earlier_receiver(const base::FaultId& fault, const std::string& sink, const std::string& earlier);
    void load_journal();
    void assume_under_way();
    bool delivers(const base::HostId& host) const;
    bool is_newer(const model::Fault& fault) const;
    bool known_as_ended(const base::HostId& host, model::Fault& fault);
    const TrackedFault* gives_way_to(const base::HostId& host, const model::Fault& own) const;
    bool ended_elsewhere(const base::HostId& host, const model::Fault& reported, const model::Fault& known) const;
    void keep_unconfirmed(const base::FaultId& fault, const std::optional<Unconfirmed>& before, base::WallTime now);
    base::Error doubt_end(const TrackedFault& tracked, base::WallTime now);
    void take(FaultTable::Entry entry);
    void name(TrackedFault& tracked);
    bool withhold(TrackedFault& tracked, FaultTable::Change change);
    void count(const FaultTable::Entry& entry);
    void note(const FaultTable::Entry& entry);
    void note(const base::FaultId& fault, JournalEntry entry);
    void trust_peers(const TrackedFault& tracked);
    void deliver(const TrackedFault& tracked);
    void finish(const TrackedFault& tracked, bool others_done);
    template <class Predicate>
    void offer_again(Predicate concerned);
    void hand_over(const base::HostId& host);
    void resume_unseen();
    void clear_what_may_show();
    void collect(Notifier& sink);
    void settle(const base::FaultId& fault);
    void retire(const TrackedFault& tracked, bool delivered);
    const model::GuestReport* report_of(const Alarm& alarm) const;
    void add_others_open(AlarmEvent& event) const;

    Options options_;
    std::map<base::HostId, std::vector<model::Fault>> outdated_;
    AlarmRows& rows_;
    Dependencies context_;
    AlarmList list_;
    Journal journal_;
    FaultLog log_;
    Dispatcher sinks_;
    InternalAlarms internal_;
    Acknowledger acknowledger_;
    Reconciler reconciler_;
    bool grace_over_ = false;
    base::TimePoint grace_ends_ = base::kNever;
    std::set<base::HostId> in_doubt_;   ///< hosts whose agents left so
    std::set<base::FaultId> may_show_;  ///< over, another primary's, and perhaps raised from here
    base::TimePoint may_show_due_ = base::kNever;
    std::array<std::uint64_t, model::kFaultKinds> opened_{};
    std::array<std::uint64_t, model::kFaultKinds> cleared_{};
};

}  // namespace vitalwire::controller
