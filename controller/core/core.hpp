#pragma once

// controller/core/: what a controller decides, without a socket, a timer, or a clock of its own: events go in with the
// moment at which they happen, messages and problems come out, and next_due() returns when to tick.
//   core.hpp              everything put together
//   sessions.hpp          which agent is connected, and whether another one of its name is admitted
//   policy_sync.hpp       the agents' policies as the inventory has them
//   maintenance_sync.hpp  which guests are to be notified of a maintenance, and may reject nothing in it
//   known_guests.hpp      what is kept over a restart about guests
//   rejected_reports.hpp  reports that could not be taken yet
//   stall_guard.hpp       what is held back after this process stood still
//   coverage.hpp          which guest is watched, and why not
//   followed_clock.hpp    the wall clock, and by how much it was set

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/moment.hpp"
#include "bus/messages.hpp"
#include "controller/alarms/alarm_manager.hpp"
#include "controller/alarms/evidence.hpp"
#include "controller/alarms/maintenance_list.hpp"
#include "controller/alarms/orphaned_reports.hpp"
#include "controller/alarms/self_monitoring.hpp"
#include "controller/core/coverage.hpp"
#include "controller/core/followed_clock.hpp"
#include "controller/core/known_guests.hpp"
#include "controller/core/maintenance_sync.hpp"
#include "controller/core/pacing.hpp"
#include "controller/core/policy_sync.hpp"
#include "controller/core/rejected_reports.hpp"
#include "controller/core/sessions.hpp"
#include "controller/core/stall_guard.hpp"
#include "controller/fleet/authority.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/host_names.hpp"
#include "controller/fleet/inventory.hpp"
#include "controller/fleet/peer_agents.hpp"
#include "controller/fleet/succession.hpp"
#include "controller/groups/group_service.hpp"
#include "heartbeat/silence_watch.hpp"
#include "runtime/problems.hpp"

namespace vitalwire::controller {

class Core {
public:
    struct Options {
        SelfMonitoring::Options monitoring;
        AlarmManager::Options alarms;
        base::Millis remove_agent_after = std::chrono::hours(24 * 7);
        base::WallTime started_at{};
        base::Millis host_unreachable_after{900};
    };
    /// What the core asks of its shell.
    class Output {
    public:
        virtual ~Output() = default;
        virtual void send(const Session& session, const bus::ToAgent& message) = 0;
        /// The inventory may be behind: to be read again soon.
        virtual void refresh_inventory() = 0;
        virtual Evidence::Source inventory_source() const = 0;
        /// An agent could connect now.
        virtual bool reachable() const = 0;
        /// What the other controllers know is needed now.
        virtual void ask_peers() = 0;
        virtual void defer(std::function<void()> call) = 0;
        /// For what a sink or the store leads to, which comes with no event.
        virtual base::Moment now() const = 0;
    };
    struct Context {
        runtime::Problems& problems;
        AlarmRows& rows;
        Inventory& inventory;
        Output& output;
    };

    /// What it has counted since its start.
    struct Counters {
        std::uint64_t messages = 0;         ///< from agents
        std::uint64_t refused = 0;          ///< messages, or faults and guests in them
        std::uint64_t primary_changes = 0;  ///< an agent named another primary, or this one again
    };

    Core(Options options, Context context);

    /// What was known before a restart; the sinks have been added.
    void load(base::Moment moment);
    void stop();

    // From the bus. `host` as the agent spells it.
    std::optional<bus::Rejected> admit(std::size_t port, const bus::Hello& hello, const std::string& peer,
                                       base::Moment moment);
    void agent_up(std::size_t port, const bus::Hello& hello, const std::string& peer, base::Moment moment);
    void agent_down(std::size_t port, const base::HostId& host, const std::string& why, base::Moment moment);
    /// It is no longer configured, and all its connections are closed.
    void port_closed(std::size_t port, base::Moment moment);
    /// Something came from an agent that keeps alive.
    void agent_alive(std::size_t port, const base::HostId& host, base::Moment moment);
    void message(std::size_t port, const base::HostId& host, const bus::ToController& message, base::Moment moment);
    void orphaned(const base::HostId& host, const bus::Faults& faults, std::function<void()> done, base::Moment moment);

    void inventory_changed(const std::vector<GuestChange>& changes, base::Moment moment);
    /// False when the fault is not open. An alarm about the suite itself is not raised again before its cause has
    /// ended.
    bool clear_by_operator(const base::FaultId& fault, const std::string& reason, base::Moment moment);

    /// An alarm for the sinks that nothing is the cause of. Fails while one is open.
    base::Result<base::FaultId> open_test_event(base::Moment moment);

    /// Resolves a name of a guest, host or group to what it means; fails when it means nothing, or several.
    base::Result<Maintenance> begin_maintenance(Maintenance window, base::Moment moment);
    base::Result<Maintenance> end_maintenance(const std::string& id, base::Moment moment);
    /// Windows that another controller has. Returns how many have no room here.
    std::size_t merge_maintenance(const std::vector<Maintenance>& windows, base::Moment moment);
    /// Which agents are connected to another controller, as it has just told.
    void peer_answered(PeerAnswer answer, base::TimePoint asked_at, base::Moment moment);
    /// It could not be asked.
    void peer_silent(const std::string& controller, base::Moment moment);
    void forget_peer(const std::string& controller) { peer_agents_.forget(controller); }
    /// What other controllers are told of the agents here.
    std::vector<PeerAgent> agents_for_peers(base::TimePoint now) const;
    base::Millis silent_after() const { return options_.host_unreachable_after; }
    /// A fault that is over, as another controller has it in its history: here there may be none of it.
    void learn_past(const TrackedFault& past) { alarms_.learn_past(past); }
    /// What another controller has in its journal of the fault. An operator's decision there counts here too.
    void merge_journal(const base::FaultId& fault, const std::string& controller, Journal::Part part,
                       base::Moment moment);
    /// Ends what is known of a host that is no more, its faults included. Fails while its agent is connected, here or,
    /// as far as others see, at its primary.
    base::Result<void> remove_host(const base::HostId& host, base::Moment moment);
    /// Records that an operator has seen the fault. False when it is not open.
    bool acknowledge_by_operator(const base::FaultId& fault, const std::string& note, base::Moment moment);

    void tick(base::Moment moment);
    base::TimePoint next_due() const;

    const Fleet& fleet() const { return fleet_; }
    const Inventory& inventory() const { return context_.inventory; }
    AlarmManager& alarms() { return alarms_; }
    /// Sinks or their policies are others now.
    void sinks_changed();
    const AlarmManager& alarms() const { return alarms_; }
    GroupService& groups() { return groups_; }
    const GroupService& groups() const { return groups_; }
    const Evidence& evidence() const { return evidence_; }
    const Coverage& coverage() const { return coverage_; }
    const MaintenanceList& maintenance() const { return maintenance_; }
    /// What covers the guest now; null when nothing does.
    const Maintenance* maintenance_of(const base::GuestId& guest, const base::HostId& host) const;
    /// What the windows that cover the guest are to it.
    MaintenanceList::Effect maintenance_effect(const base::GuestId& guest, const base::HostId& host) const {
        return maintenance_.for_guests(maintenance_subject(guest, host), time());
    }
    /// The wall time now that times of `maintenance()` are compared with.
    base::WallTime time() const;
    /// Those of the options that may change while it runs: patience, history, remove_agent_after.
    void set_limits(const Options& options);
    const SelfMonitoring& self_monitoring() const { return self_monitoring_; }
    /// Agents that are away while an operator works on their hosts.
    std::size_t agents_away_in_maintenance() const;
    /// Open internal alarms that maintenance keeps from sinks.
    std::size_t alarms_in_maintenance(std::string_view kind) const;
    std::size_t orphans_waiting() const { return orphans_.waiting(); }
    const Counters& counters() const { return counters_; }

private:
    AlarmManager::Dependencies alarm_dependencies();
    void notice_stall(base::Moment moment);
    base::TimePoint probe_due() const { return std::min(housekeeping_due_, silence_due_); }
    void send(const base::HostId& host, const bus::ToAgent& message);
    void forget_host(const base::HostId& name, base::Moment moment);
    bool close_internal(const base::FaultId& id, const std::string& reason, base::Moment moment);
    void hold_closed(const base::FaultId& id, base::WallTime closed_at, base::Moment moment);
    void decided_elsewhere(const base::FaultId& fault, const std::string& controller, const JournalEntry& decision,
                           base::Moment moment);
    void removed_elsewhere(const base::FaultId& fault, const std::string& controller, const JournalEntry& decision,
                           base::Moment moment);
    /// Counted as the host's; when it makes too much of it, its session ends, and false.
    bool take_round(const base::HostId& host, base::Moment moment);
    /// What is not taken, or not yet.
    std::vector<AlarmManager::Rejected> report(const base::HostId& host, const std::vector<model::Fault>& faults,
                                               base::Moment moment, bool unconfirmed = false);
    bool knows(const base::FaultId& fault, const std::string& controller, const Journal::Part& told,
               const JournalEntry& decision) const;
    void closed_elsewhere(const base::FaultId& alarm, const std::string& controller, const JournalEntry& decision,
                          base::Moment moment);
    static bool awaits_return(const Agent& known, const bus::Hello& hello, base::Millis patience, base::Moment moment);
    bool known_session(std::size_t port, const base::HostId& host) const;
    void put_agent(const base::HostId& host) { context_.rows.put_agent(host, *fleet_.find(host)); }

    void on(const base::HostId& host, const bus::Hello& hello, base::Moment moment);
    void on(const base::HostId& host, const bus::PrimaryChanged& changed, base::Moment moment);
    void on(const base::HostId& host, const bus::SnapshotBegin&, base::Moment moment);
    void on(const base::HostId& host, const bus::SnapshotEnd&, base::Moment moment);
    void on(const base::HostId& host, const bus::Guests& guests, base::Moment moment);
    void on(const base::HostId& host, const bus::GuestGone& gone, base::Moment moment);
    void on(const base::HostId& host, const bus::Faults& faults, base::Moment moment);
    void on(const base::HostId& host, const bus::AgentProblems& message, base::Moment moment);
    void on(const base::HostId& host, const bus::GroupSend& message, base::Moment moment);
    void on(const base::HostId& host, const bus::GroupQuery& message, base::Moment moment);

    void remember_for_hand_back(const base::HostId& host, const bus::Hello& hello);
    void hand_back(const base::HostId& host);
    bool left(const base::HostId& host, const base::GuestId& guest) const;
    void initial_sync(const base::HostId& host, base::Moment moment);
    void sync_next(base::Moment moment);
    void sync_policies(const base::HostId& host);
    bool asks_io(const InventoryGuest& guest) const;

    void housekeeping(base::Moment moment);
    void check_agents(base::Moment moment);
    std::set<base::HostId> missing_agents(base::Moment moment) const;
    void welcome(const base::HostId& host, base::Moment moment);
    void send_time(base::Moment moment);
    /// Something happens: each event from outside begins with it.
    void enter(base::Moment moment);
    void follow_clock(base::Moment moment);
    void check_silence(base::Moment moment);
    void remove_agent(const base::HostId& host);
    void end_by_evidence(base::Moment moment);
    void end(const TrackedFault& tracked, std::string_view why, base::Moment moment);
    void state_changed(const base::HostId& host, std::uint64_t changes);
    void send_newer(const base::HostId& host);
    void adopt_orphaned_hosts(base::Moment moment);
    void retry_rejected(base::Moment moment);
    void monitor(base::Moment moment);
    void show_problems(base::Moment moment);
    using PeerAlarmsSince = std::map<base::FaultId, base::TimePoint>;
    void check_peer_alarms(base::Moment moment);
    bool peer_alarm_lasts(const base::FaultId& id, base::Millis patience, PeerAlarmsSince& since,
                          base::Moment moment) const;
    bool is_of_peers_sink(const Alarm& alarm) const;
    void relay_failures(PeerAlarmsSince& since, base::Moment moment);
    void end_refuted(PeerAlarmsSince& since, base::Moment moment);
    void close_for_peer(const base::FaultId& id, const std::string& raiser, base::Moment moment);
    void end_closed_for_peers(base::Moment moment);
    const model::GuestReport* registered_where_it_comes_from(const base::HostId& host,
                                                             const model::GuestReport& report) const;
    bool may_report(const base::HostId& host, const base::GuestId& guest, bool withheld) const;
    bool asks_peers() const;
    void follow_primary(const base::HostId& host, const std::string& controller);
    std::string connected_elsewhere(const base::HostId& host, const Agent& agent) const;
    std::string elsewhere_problem(base::Moment moment) const;
    std::string withheld_problem() const;
    std::string claims_problem(const std::vector<Authority::Claim>& claims) const;
    std::string contradicted_problem() const;
    bool inventory_knows(const base::GuestId& guest) const;
    bool was_removed(const TrackedFault& tracked) const;
    std::string hosts_without_agent() const;
    std::string agents_without_host() const;
    bool peer_is_primary(const base::HostId& host, const Agent& agent) const;
    bool is_orphaned(const base::HostId& host, const Agent& agent, base::Moment moment) const;
    bool takes_over(const base::HostId& host, const base::HostId& left, const base::GuestId& guest) const;
    void enrich(Alarm& alarm) const;
    std::size_t max_faults(const base::HostId& host) const;
    base::Result<std::string> resolve(MaintenanceScope scope, const std::string& name) const;
    MaintenanceList::Subject maintenance_subject(const base::GuestId& guest, const base::HostId& host) const;
    std::optional<Maintained> maintained(const Alarm& alarm) const;
    void expire_maintenance(base::Moment moment);
    void make_room(base::Moment moment);
    void list_members(base::Moment moment);
    void maintenance_changed(base::Moment moment);
    /// An inventory that is not known yet must not end what a group's members were notified of.
    bool syncs_maintenance() const { return maintenance_sync_.pending() && context_.output.inventory_source().loaded; }

    Options options_;
    Context context_;
    FollowedClock clock_;
    Fleet fleet_;
    HostNames names_;
    Succession succession_;
    Authority authority_;
    Sessions sessions_;
    heartbeat::SilenceWatch<base::HostId> silence_;
    AlarmManager alarms_;
    Evidence evidence_;
    GroupService groups_;
    PolicySync policies_;
    SelfMonitoring self_monitoring_;
    OrphanedReports orphans_;
    MaintenanceList maintenance_;
    MaintenanceSync maintenance_sync_;
    RejectedReports rejected_;
    Pacing pacing_;
    StallGuard stall_guard_;
    PeerAgents peer_agents_;
    PeerAlarmsSince peer_alarms_since_;  ///< of which something is to be done from here, when they have lasted
    std::map<base::FaultId, base::TimePoint> closed_for_peers_;  ///< by then who raised them has ended them
    std::map<base::HostId, base::TimePoint> orphaned_since_;
    Coverage coverage_;
    KnownGuests known_guests_;
    struct Remembered {
        std::vector<model::GuestReport> guests;
        std::string boot;  ///< in which they were registered; empty: not known
    };
    std::map<base::HostId, std::optional<Remembered>> to_hand_back_;  ///< absent: it is new
    std::map<base::GuestId, base::WallTime> removed_;                 ///< from the inventory, since the start
    std::set<base::HostId> to_sync_;
    base::TimePoint now_{};  ///< of the event that is handled
    base::TimePoint sync_by_{};
    base::TimePoint sync_due_ = base::kNever;
    base::TimePoint housekeeping_due_ = base::kNever;
    base::TimePoint send_time_at_{};
    base::WallTime::duration sent_time_{};  ///< as it was sent last: the wall clock beyond the steady one
    base::TimePoint silence_due_ = base::kNever;
    base::TimePoint known_guests_from_{};        ///< when some of them may be written next
    base::TimePoint peers_due_ = base::kNever;   ///< an answer of peers is awaited
    base::TimePoint names_from_ = base::kNever;  ///< agents have had their time to come
    base::TimePoint refresh_from_{};
    bool inventory_seen_ = false;
    Counters counters_;
};

}  // namespace vitalwire::controller
