#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/moment.hpp"
#include "base/token_bucket.hpp"
#include "heartbeat/stall_clock.hpp"
#include "host/core/agent_state.hpp"
#include "host/core/controller_clocks.hpp"
#include "host/core/controller_sync.hpp"
#include "host/core/group_relay.hpp"
#include "host/core/guest_agent_poller.hpp"
#include "host/core/io_watch.hpp"
#include "host/core/kept_channel.hpp"
#include "host/core/maintenance_notices.hpp"
#include "host/core/monitor.hpp"
#include "host/core/restarts.hpp"
#include "host/core/source_listing.hpp"
#include "host/core/wanted_channels.hpp"
#include "runtime/problems.hpp"

namespace vitalwire::host {

/// Everything the agent decides: sessions of guests, their faults, server groups, sessions with controllers, what is
/// stored, and the agent's own problems. Pure: events come in with the moment at which they happened, what is to be
/// done goes to the output, and `tick` is to be called at `next_due`. The agent and the simulator drive the same
/// object.
class AgentCore final : private Monitor::Output,
                        private GroupRelay::Output,
                        private ControllerSync::Output,
                        private GuestActions::Output,
                        private MaintenanceNotices::Output,
                        private GuestAgentPoller::Output,
                        private IoWatch::Output {
public:
    using LinkId = ControllerSync::LinkId;

    /// What the core asks for. Called from inside its functions: an implementation must not call back, except
    /// `heartbeat_received`, `group_received` and `refused` from within `final_drain`.
    class Output : public AgentState::Rows {
    public:
        virtual void send(const GuestKey& guest, wire::Dialect dialect, const wire::HeartbeatPdu& pdu) = 0;
        /// The guest's deadline has passed without an answer: read now what its channel holds, before it is judged.
        virtual void final_drain(const GuestKey& guest, wire::Dialect dialect) = 0;
        virtual bool channel_idle(const base::GuestId& guest, wire::Dialect dialect) = 0;
        virtual void write_group(const base::GuestId& guest, wire::Dialect dialect, std::string lines) = 0;
        virtual void group_not_read(const base::GuestId& guest, wire::Dialect dialect, std::uint64_t messages) = 0;
        /// What the guest may send to its group.
        virtual void allow(const base::GuestId& guest, const group::Limits& limits) = 0;
        virtual void send(LinkId link, const bus::ToController& message) = 0;
        virtual void retry_now(LinkId /*link*/) {}
        virtual void leave_at_broker(const bus::Faults& faults) = 0;
        virtual std::string discovery_problem() const { return {}; }
        /// `durable` is to be called when all that was put until now is on disk.
        virtual void await_durable() = 0;
        /// Find out now how the guest's machine is, and report it.
        virtual void ask_machine(const base::GuestId& guest) = 0;
        /// To the daemon of the hypervisor, which asks the guest's QEMU guest agent: `guest_agent_returned` tells what
        /// came of it.
        virtual void call_guest_agent(const GuestAgentCall& /*call*/, std::int64_t /*challenge*/) {}
        /// From the hypervisor, the guest's I/O: `io_returned` tells what it is. False: nobody knows.
        virtual bool read_io(const base::GuestId& /*guest*/, std::int64_t /*number*/) { return false; }
        /// The channels that guests should have, all of them.
        virtual void want(const WantedChannels& wanted) = 0;
        /// A source cannot be asked after a restart: connect these channels, if their sockets are the same still.
        /// `channel_recalled` tells which are.
        virtual void recall(const std::vector<KeptChannel>& /*channels*/) {}
        /// Every source has listed: give up what was recalled and none of them named, but for these guests.
        virtual void end_recall(const std::set<base::GuestId>& /*keep*/) {}
        // For an observer: nothing is to be done.
        virtual void fault_changed(const model::Fault&) {}
        virtual void fault_delivered(const model::Fault&, std::uint64_t /*revision*/) {}
    };

    struct Settings {
        Monitor::Settings heartbeat;
        GroupRelay::Settings groups;
        GuestActions::Settings actions{};
        GuestAgentPoller::Settings guest_agents{};
    };
    struct Identity {
        ControllerSync::Identity self;
        ControllerSync::Timing timing;
        bool discovery = false;  ///< controllers are found at a broker
        std::string new_state;   ///< id for a state that is empty yet
    };

    struct Counters {
        std::uint64_t registrations = 0;
        std::uint64_t faults_dropped = 0;
        std::uint64_t rows_unreadable = 0;
        std::uint64_t source_problems = 0;
        std::uint64_t attached = 0;
        std::uint64_t not_attached = 0;
        std::uint64_t without_controller = 0;     ///< machines without a virtio-serial controller
        std::uint64_t registrations_limited = 0;  ///< more than one a second
        std::array<std::uint64_t, model::kFaultKinds> faults_opened{};
        std::map<base::Errc, std::uint64_t> nacks;
    };

    AgentCore(Identity identity, Settings settings, IdGenerator& ids, Output& output);

    // Before everything else: sources by name, links, and what was stored.
    void add_source(const std::string& name) { unlisted_.insert(name); }
    LinkId add_link(const std::string& name, const base::Moment& at) { return controllers_.add(name, at.wall); }
    void start(const base::Moment& at);
    /// The state was unreadable, and is kept there.
    void state_quarantined(const std::string& path);
    void configure(const Settings& settings, const base::Moment& at);

    // Channels.
    /// `end_known_within`: so soon after a channel has closed its source knows whether the machine has ended.
    void channel_found(const base::GuestId& guest, wire::ChannelKind kind, base::Millis end_known_within,
                       const base::Moment& at);
    /// One of `recall` is connected; `channel_up` follows.
    void channel_recalled(const base::GuestId& guest, wire::ChannelKind kind, const base::Moment& at);
    /// Where it is connected.
    void keep_channel(KeptChannel channel);
    /// It cannot be connected, for `why`; the path is for people.
    void channel_unreachable(const base::GuestId& guest, wire::ChannelKind kind, const std::string& path,
                             const std::string& why);
    /// Whether the agent itself is what keeps it from being connected: then nothing is concluded about the guest.
    void channel_barred(const base::GuestId& guest, wire::ChannelKind kind, bool barred, const base::Moment& at);
    void channel_removed(const base::GuestId& guest, wire::ChannelKind kind, const base::Moment& at);
    void channel_up(const GuestKey& guest, wire::ChannelKind kind, const base::Moment& at);
    void channel_down(const GuestKey& guest, wire::ChannelKind kind, const base::Moment& at);
    /// All that the group's layer gave to write is written.
    void channel_drained(const base::GuestId& guest, wire::Dialect dialect) { groups_.drained(guest, dialect); }
    void heartbeat_received(const GuestKey& guest, wire::Dialect dialect, wire::HeartbeatPdu pdu,
                            const base::Moment& at);
    void group_received(const base::GuestId& guest, wire::Dialect dialect, const wire::GroupPdu& pdu, int base_version,
                        const base::Moment& at);
    /// Its first message on this connection that was understood, or another version of the base layer.
    void spoke(const base::GuestId& guest, wire::Dialect dialect, int base_version) {
        groups_.spoke(guest, dialect, base_version);
    }
    /// The daemon of the hypervisor has a port for the guest's QEMU guest agent, and the agent has it open or not;
    /// absent: there is no such port.
    void guest_agent_port(const base::GuestId& guest, std::optional<bool> open, const base::Moment& at);
    void guest_agent_returned(const base::GuestId& guest, std::int64_t challenge, GuestAgentResult result,
                              const base::Moment& at);
    void io_returned(const base::GuestId& guest, std::int64_t number, const std::optional<IoCounters>& counters,
                     const base::Moment& at);
    void refused(const base::GuestId& guest, std::uint64_t messages) { monitor_.count_refused(guest, messages); }

    // Machines.
    void machine(const base::GuestId& guest, const heartbeat::HostEvent& event, const base::Moment& at);
    void machine_gone(const base::GuestId& guest, heartbeat::StopReason why, const base::Moment& at);
    /// The guest exists, and its source cannot find out how it is (`problem`), or can again (empty).
    void machine_unreadable(const base::GuestId& guest, const std::string& problem);
    /// The cloud is about to act on the guest's machine, or has acted: `done` is called with what the guest answered,
    /// at once or later. Fails when too many are asked at once.
    base::Result<void> ask_guest(GuestActions::Request request, GuestActions::Done done, const base::Moment& at);
    /// Also when it looks at another place from then on.
    void source_listed(const std::string& name, const SourceListing& listing, const base::Moment& at);
    /// The source cannot see (`problem`), or sees again (empty).
    void source_problem(const std::string& name, const std::string& problem);
    /// It has entries that look like channels of guests and are not used; empty: no more.
    void source_entries_unused(const std::string& name, const std::string& entries);
    void attached(const base::GuestId& guest, wire::ChannelKind kind, const std::string& failure);
    void unattachable(const std::set<base::GuestId>& guests);

    // Controllers.
    /// One more, or one less, may be configured at any time.
    void remove_link(LinkId link, const base::Moment& at);
    void link_up(LinkId link, const base::Moment& at);
    void link_down(LinkId link, const std::string& why, const base::Moment& at);
    void link_alive(LinkId link, base::TimePoint steady);
    void controller_sent(LinkId link, const bus::ToAgent& message, const base::Moment& at);
    void broker_reached() { controllers_.leave_unacknowledged_at_broker(); }

    /// Empty: what is stored becomes durable.
    void store_problem(const std::string& problem);
    /// What was put before the last `await_durable` is on disk.
    void durable(const base::Moment& at);
    /// Of the agent's own certificate; empty: none.
    void certificate_problem(const std::string& problem);
    void metrics_certificate_problem(const std::string& problem);
    void named_files_problem(const std::string& problem);
    /// At least every StallClock::kProbe: a stall of this process is noticed before a guest is judged by it.
    void probe(base::TimePoint now);
    void tick(const base::Moment& at);
    base::TimePoint next_due() const;

    /// Every source has listed what exists.
    bool listed() const { return unlisted_.empty(); }
    const Monitor& monitor() const { return monitor_; }
    const GroupRelay& groups() const { return groups_; }
    const GuestActions& actions() const { return actions_; }
    const ControllerSync& controllers() const { return controllers_; }
    const heartbeat::StallClock& clock() const { return clock_; }
    const runtime::Problems& problems() const { return problems_; }
    const Counters& counters() const { return counters_; }
    std::size_t sources_blind() const { return blind_.size(); }

private:
    static constexpr const char* kUnwatched = "guests that were known are not watched";

    /// A problem of one guest; by guest and channel.
    struct GuestProblem {
        base::GuestId guest;
        std::string detail;
        base::WallTime since;
    };
    struct Judged {
        base::TimePoint now;
        base::WallTime wall;
    };
    struct Saved {
        base::GuestId guest;
        base::SessionId session;
    };
    struct Delivered {
        base::FaultId fault;
        std::uint64_t revision;
    };

    Judged judged(const base::Moment& at) { return {clock_.observe(at.steady), at.wall}; }
    template <class GuestRef>
    void step(const GuestRef& guest, const heartbeat::HostEvent& event, const base::Moment& at);
    /// Of what the hypervisor does with the machine, whoever asked it to.
    void notify_of(const base::GuestId& guest, std::optional<heartbeat::Inhibit> before, bool released,
                   base::TimePoint now);
    void log_fault(const model::Fault& fault);
    void allow(const model::GuestPolicy& policy);
    void want_channels();
    heartbeat::HostEvent in_this_boot(const heartbeat::Found& found) const;
    void guest_agent_routes_changed(const base::GuestId& guest, base::Millis grace, const base::Moment& at);
    void note_end_of_run(const base::GuestId& guest, const heartbeat::HostEvent& event, const base::Moment& at);
    void watch_io();
    void hurry_io(const model::Fault& fault);
    void show_attachments();
    void count_change();
    void load_state();
    void start_state();
    void end_restarted(base::TimePoint now);
    void note_state_lost(const bus::HandBack& handed);
    void end_state_lost(base::TimePoint now);
    void show_clocks(const base::Moment& at);
    void channel_reachable(const base::GuestId& guest, wire::ChannelKind kind);
    void show_controllers();
    void set_problem(const std::string& what, const std::string& detail);
    bool absence_is_proof() const;
    void show_missing();
    void use_channel(const base::GuestId& guest, wire::ChannelKind kind, base::Millis end_known_within,
                     const base::Moment& at);
    void load_channels();
    void forget_channel(const base::GuestId& guest, wire::ChannelKind kind);
    void forget_channels(const base::GuestId& guest);
    void recall_channels();
    void confirm_recalled(const base::GuestId& guest);
    void confirm_channel(const base::GuestId& guest, const base::Moment& at);
    void end_recall();
    void show_unwatched();
    void load_places();
    void keep_places();
    void forget_missing(const std::set<base::GuestId>& guests);
    void forget_missing_in_time(base::TimePoint now);
    bus::Policies with_those_of_faulty(bus::Policies policies);
    void drop_policies_of_unnamed();
    void show_guests_problem(const std::string& what, const std::map<std::string, GuestProblem>& guests);
    void report_problems(base::TimePoint now);

    // Monitor::Output
    void send(const GuestKey& guest, wire::Dialect dialect, const wire::HeartbeatPdu& pdu) override;
    void final_drain(const GuestKey& guest, wire::Dialect dialect) override { output_.final_drain(guest, dialect); }
    void fault_changed(const model::Fault& fault) override;
    void fault_delivered(const model::Fault& fault) override { state_.keep(fault); }
    void fault_forgotten(const base::FaultId& fault, bool dropped) override;
    void guest_changed(const base::GuestId& guest) override { controllers_.guest_changed(guest); }
    void guest_gone(const base::GuestId& guest) override { controllers_.guest_gone(guest); }
    void guest_warned(const base::GuestId& guest, const std::string& name, const std::string& warning) override;
    void save(const base::GuestId& guest, const heartbeat::SaveRegistration& saved) override;
    void closed_changed(const base::GuestId& guest, model::FaultKind kind,
                        const std::optional<heartbeat::OpenFault>& closed) override {
        count_change();
        state_.keep_closed(guest, kind, closed);
    }
    void standing_changed(const base::GuestId& guest, std::optional<heartbeat::Inhibit> why) override {
        state_.keep_standing(guest, why);
    }
    void waited_changed(const base::GuestId& guest, const heartbeat::Waited& waited) override {
        state_.keep_waited(guest, waited);
    }

    // GroupRelay::Output
    void to_primary(const bus::ToController& message) override { controllers_.send_to_primary(message); }
    bool channel_idle(const base::GuestId& guest, wire::Dialect dialect) override {
        return output_.channel_idle(guest, dialect);
    }
    void write(const base::GuestId& guest, wire::Dialect dialect, std::string lines) override {
        output_.write_group(guest, dialect, std::move(lines));
    }
    void not_read(const base::GuestId& guest, wire::Dialect dialect, std::uint64_t messages) override {
        output_.group_not_read(guest, dialect, messages);
    }

    // GuestActions::Output
    void send_action(const base::GuestId& guest, wire::Dialect dialect, const wire::ActionNotify& pdu) override {
        output_.send(GuestKey(guest), dialect, pdu);
    }

    void waiting_changed(const base::GuestId& guest, const GuestActions::Waiting& waiting) override {
        state_.keep_notices(guest, waiting, identity_.self.boot, at_.steady);
    }
    void notice_expired(const base::GuestId& guest, model::LifecycleEvent event) override;

    // MaintenanceNotices::Output
    bool notify_maintenance(const base::GuestId& guest, model::LifecycleEvent event) override {
        return actions_.notify_maintenance(guest, event, monitor_.standing(guest));
    }
    void keep_notified(const base::GuestId& guest, bool notified) override { state_.keep_notified(guest, notified); }

    // GuestAgentPoller::Output
    std::optional<base::Millis> guest_agent_interval(const base::GuestId& guest) const override {
        return monitor_.guest_agent_interval(guest);
    }
    bool guest_agent_in_doubt(const base::GuestId& guest) const override {
        return monitor_.guest_agent_in_doubt(guest);
    }
    void ask_guest_agent(const base::GuestId& guest, std::int64_t challenge) override;
    void call_guest_agent(const GuestAgentCall& call, std::int64_t challenge) override;
    void drain_guest_agent(const base::GuestId& guest) override {
        output_.final_drain(GuestKey(guest), wire::Dialect::guest_agent);
    }
    void guest_agent_result(const base::GuestId& guest, const heartbeat::HostEvent& event) override;

    // IoWatch::Output
    bool read_io(const base::GuestId& guest, std::int64_t number) override { return output_.read_io(guest, number); }
    void io_known(const base::GuestId& guest, const std::optional<model::GuestIo>& io) override {
        monitor_.set_io(guest, io);
    }

    // ControllerSync::Output
    void send(LinkId link, const bus::ToController& message) override { output_.send(link, message); }
    void retry_now(LinkId link) override { output_.retry_now(link); }
    void leave_at_broker(const bus::Faults& faults) override { output_.leave_at_broker(faults); }
    void policies_changed(const bus::Policies& policies) override;
    void handed_back(const bus::HandBack& handed) override;
    std::set<base::GuestId> unreadable_guests() const;
    void faults_delivered(const bus::FaultsDelivered& delivered) override;
    void maintenance_changed(const bus::GuestMaintenance& maintenance) override {
        maintenance_.take(maintenance, {at_.steady, sender_time_});
    }
    void primary_changed(bool any) override { groups_.primary_changed(any); }
    void group_message(const bus::ToAgent& message) override;
    void broadcast(const bus::GroupDeliver& message, const group::Route& route) override { groups_.on(message, route); }
    void reachable_changed(bool any) override;

    Output& output_;
    Identity identity_;
    heartbeat::StallClock clock_;
    base::Moment at_;  ///< of the event that is being handled
    AgentState state_;
    Monitor monitor_;
    ControllerSync controllers_;
    ControllerClocks controller_clocks_;
    base::WallTime sender_time_{};  ///< the time at the controller whose message is handled
    base::TimePoint show_clocks_at_ = base::kNever;
    GroupRelay groups_;
    GuestActions actions_;
    MaintenanceNotices maintenance_;
    GuestAgentPoller guest_agents_;
    IoWatch io_watch_;
    runtime::Problems problems_;
    Counters counters_;
    std::unordered_map<base::GuestId, base::TokenBucket> fault_logs_;
    std::unordered_map<base::GuestId, base::TokenBucket> registration_limits_;
    std::string store_problem_;
    std::vector<Saved> unsaved_;                         ///< registrations put since the disk is awaited
    std::vector<Saved> awaited_;                         ///< registrations that the disk is awaited for
    std::set<std::string> unlisted_;                     ///< sources
    std::set<base::GuestId> unread_;                     ///< until all have listed
    std::set<std::string> blind_;                        ///< sources that cannot see now
    std::set<base::GuestId> unattachable_;               ///< lack a channel and cannot be given it
    std::map<base::GuestId, std::string> not_attached_;  ///< lack a channel, and why the last attempt failed
    std::map<std::string, GuestProblem> unreachable_;    ///< channels that cannot be connected
    std::map<std::string, GuestProblem> unreadable_;     ///< machines that cannot be read
    std::unordered_map<base::GuestId, base::Millis> end_known_within_;
    using ChannelOf = std::pair<base::GuestId, wire::ChannelKind>;
    std::map<ChannelOf, KeptChannel> kept_channels_;  ///< as on disk
    bool recall_begun_ = false;
    std::set<base::GuestId> recalled_;  ///< and named by no source since
    std::size_t shown_unwatched_ = 0;
    std::map<base::GuestId, bool> copied_;  ///< their memory is written out; true: and they were told to migrate
    bool problems_changed_ = false;
    base::TimePoint problems_report_at_{};
    std::string state_id_;
    std::uint64_t state_starts_ = 0;
    std::uint64_t state_changes_ = 0;      ///< of faults and registrations, so far
    std::vector<bus::Hello::Life> lives_;  ///< on this state, before this one
    bool host_restarted_ = false;
    base::TimePoint restarted_until_ = base::kNever;  ///< so often that it is a problem
    std::size_t guests_handed_back_ = 0;
    std::size_t faults_handed_back_ = 0;
    base::TimePoint state_lost_until_ = base::kNever;
    std::map<std::string, std::string> places_;       ///< of the sources that have listed
    std::map<std::string, std::string> kept_places_;  ///< on disk: in these all guests were known
    bool proves_absence_ = true;                      ///< what they have listed
    std::set<base::GuestId> missing_;                 ///< as the monitor has them, when that was told last
    base::TimePoint forget_missing_at_ = base::kNever;
    std::set<base::GuestId>
        unnamed_;  ///< by the last complete list of policies, with a fault: theirs are kept until it ends
    std::vector<Delivered> delivered_here_;  ///< without any controller the log is all there is to be told
};

}  // namespace vitalwire::host
