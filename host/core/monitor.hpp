#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/token_bucket.hpp"
#include "bus/messages.hpp"
#include "heartbeat/host_session.hpp"
#include "host/core/fault_table.hpp"
#include "host/core/guest_actions.hpp"
#include "host/core/guest_map.hpp"
#include "host/core/id_generator.hpp"

namespace vitalwire::host {

/// All guests of this host: a session each, their faults and policies, and what is told of them. Pure: it owns no
/// socket and reads no clock; its driver (the agent, the simulator, a benchmark) hands in events and time, and
/// implements Output. `now` is stall-compensated time (heartbeat::StallClock) and never goes backwards; `wall` is for
/// people. Single-threaded.
class Monitor {
public:
    /// What the monitor asks for. Called from inside its functions: an implementation must not call back, except
    /// `count_refused`, and `step` from within `final_drain`.
    class Output {
    public:
        virtual ~Output() = default;
        virtual void send(const GuestKey& guest, wire::Dialect dialect, const wire::HeartbeatPdu& pdu) = 0;
        /// The guest's deadline has passed without an answer: read now what its channel holds, before it is judged.
        virtual void final_drain(const GuestKey& guest, wire::Dialect dialect) = 0;
        /// The fault was opened, updated or cleared: keep it and tell it.
        virtual void fault_changed(const model::Fault& fault) = 0;
        /// `fault.delivered` has grown: keep it.
        virtual void fault_delivered(const model::Fault& fault) = 0;
        /// Cleared and delivered (or given way to newer ones, `dropped`): forget it.
        virtual void fault_forgotten(const base::FaultId& fault, bool dropped) = 0;
        /// What an operator sees of the guest has changed at once: its state, its channels, its registration. Counters
        /// grow silently.
        virtual void guest_changed(const base::GuestId& guest) = 0;
        virtual void guest_gone(const base::GuestId& guest) = 0;
        /// A healthy guest warns of something else than before; of nothing more when `warning` is empty.
        virtual void guest_warned(const base::GuestId& guest, const std::string& name, const std::string& warning) = 0;
        /// Keep, or forget when empty, what must survive a restart.
        virtual void save(const base::GuestId& guest, const heartbeat::SaveRegistration& saved) = 0;
        /// An operator has closed the guest's fault of that kind, and it has not been well since: keep it, or forget it
        /// when absent.
        virtual void closed_changed(const base::GuestId& guest, model::FaultKind kind,
                                    const std::optional<heartbeat::OpenFault>& closed) = 0;
        /// The guest's machine stands still for that reason, or no more (absent): keep it, or forget it.
        virtual void standing_changed(const base::GuestId& guest, std::optional<heartbeat::Inhibit> why) = 0;
        /// How long the guest was awaited in vain: keep it, or forget it when empty.
        virtual void waited_changed(const base::GuestId& guest, const heartbeat::Waited& waited) = 0;
    };

    /// Whose QEMU guest agents are asked: nobody's, theirs whose flavor says so, or everybody's.
    enum class GuestAgents : std::uint8_t { none, flavor, all };

    struct Settings {
        heartbeat::HostPolicy defaults;  ///< for every guest; a guest's own policy goes on top
        bool only_enabled = false;       ///< guests whose policy does not ask for heartbeat may not register
        GuestAgents guest_agents = GuestAgents::flavor;
    };

    struct Totals {
        std::size_t total = 0, registered = 0, lost = 0, unhealthy = 0, held = 0, crashed = 0, unregistered = 0;
        std::size_t unwatched = 0;                         ///< not among the total
        std::size_t critical = 0, major = 0, warning = 0;  ///< open faults
    };

    Monitor(Settings settings, IdGenerator& ids, Output& output);

    // At start, before any event: what was kept on disk. It takes effect when the guest is first heard of.
    void restore(const base::GuestId& guest, heartbeat::SaveRegistration saved);
    void restore(model::Fault fault);
    void restore(model::GuestPolicy policy);
    void restore_closed(const base::GuestId& guest, const heartbeat::OpenFault& closed);
    void restore_standing(const base::GuestId& guest, heartbeat::Inhibit why);
    void restore_waited(const base::GuestId& guest, const heartbeat::Waited& waited);
    /// With the host all machines went down.
    void forget_runs();
    /// What it means that a restored guest is not found.
    enum class Absence : std::uint8_t {
        removed,    ///< it was where it was looked for, and was taken away
        went_down,  ///< with the host
        unproven,   ///< nothing: it may run all the same
    };
    /// Every source has listed what exists. Of those in `unknown` nothing is known yet.
    void listed(const std::set<base::GuestId>& unknown, Absence absence, base::TimePoint now, base::WallTime wall);
    /// Restored guests that were not found, which proves nothing.
    const std::set<base::GuestId>& missing() const { return missing_; }
    /// Guests that were known before the start, or that a controller has here, and that are not found yet: nobody
    /// watches them. Those of which every source has listed nothing are missing.
    std::size_t unwatched() const { return listed_ ? missing_.size() : restored_.size(); }
    template <class Visit>
    void for_each_unwatched(Visit&& visit) const {
        for (const auto& [id, restored] : restored_) {
            if (!listed_ || missing_.contains(id)) visit(unwatched_report(id, restored));
        }
    }
    bool has(const base::GuestId& guest) const { return guests_.find(guest) != nullptr; }
    /// The same for guests that were handed back after that: of the others' end only the hypervisor's word tells.
    void handed_back_listed(const std::set<base::GuestId>& unknown, base::TimePoint now, base::WallTime wall);
    /// The boot of this host that lasts.
    struct HostBoot {
        std::string id;  ///< empty: not known
        base::WallTime at = {};
    };
    /// What a controller remembers of this host, which came without its state: of guests about which nothing better is
    /// known here. Those registered in an earlier boot went down with the host if nobody lists them.
    void adopt(const bus::HandBack& handed, const HostBoot& boot, base::TimePoint now, base::WallTime wall);

    /// It is of this host, as far as is known here, or one of this host gives way to it.
    bool concerns(const model::Fault& handed) const;

    /// A channel of the guest was found, whether it can be connected or not.
    void found(const base::GuestId& guest, base::TimePoint now);
    /// The channel on which a cgcs guest only talks to its server group.
    void messaging_channel(const base::GuestId& guest, bool connected, base::TimePoint now);
    void step(const base::GuestId& guest, const heartbeat::HostEvent& event, base::TimePoint now, base::WallTime wall);
    /// The same, for what happens with every beat.
    void step(const GuestKey& guest, const heartbeat::HostEvent& event, base::TimePoint now, base::WallTime wall);
    /// Nothing of the guest is left on this host (undefined, migrated away, its sockets removed).
    void gone(const base::GuestId& guest, heartbeat::StopReason why, base::TimePoint now, base::WallTime wall);
    /// How the guest's machine is cannot be found out: what was known of it last holds.
    void unreadable(const base::GuestId& guest, base::TimePoint now, base::WallTime wall);
    /// A message of the guest was refused or dropped.
    void count_refused(const base::GuestId& guest, std::uint64_t messages);
    /// Policies from a controller. `complete`: guests not named have none.
    void set_policies(const bus::Policies& policies, base::TimePoint now, base::WallTime wall);
    void erase_policy(const base::GuestId& guest, base::TimePoint now, base::WallTime wall);
    /// A fault of the guest is open.
    bool faulty(const base::GuestId& guest) const;
    /// New configuration.
    void configure(Settings settings, base::TimePoint now, base::WallTime wall);
    void delivered(const base::FaultId& fault, std::uint64_t revision,
                   const std::optional<std::vector<std::string>>& to = std::nullopt);
    /// What is known of the guest's I/O; told at once while the guest is lost, or did not appear.
    void set_io(const base::GuestId& guest, const std::optional<model::GuestIo>& io);

    /// To be called when `next_deadline` has come.
    void tick(base::TimePoint now, base::WallTime wall);
    base::TimePoint next_deadline() const { return due_.empty() ? base::kNever : due_.begin()->at; }

    /// Absent for a guest about which there is nothing to tell: no channel, no registration, no policy, no fault.
    std::optional<model::GuestReport> report(const base::GuestId& guest) const;
    /// Calls `visit(const model::GuestReport&)` for every guest about which there is something to tell, in no order.
    template <class Visit>
    void for_each_report(Visit&& visit) const {
        for (const auto& [id, guest] : guests_) {
            if (guest.shown) visit(make_report(guest));
        }
    }
    /// Whether the guest can be asked before the cloud acts on it.
    GuestActions::Standing standing(const base::GuestId& guest) const;
    std::optional<heartbeat::Inhibit> inhibited(const base::GuestId& guest) const;
    Totals totals() const;
    /// How often the guest's QEMU guest agent is to be asked; absent: not now.
    std::optional<base::Millis> guest_agent_interval(const base::GuestId& guest) const;
    bool guest_agent_in_doubt(const base::GuestId& guest) const;
    heartbeat::HostSessionCounters counters() const;  ///< sums over all guests since start
    heartbeat::RoundTrips round_trips() const;        ///< likewise
    const FaultTable& faults() const { return faults_; }
    const std::unordered_map<base::GuestId, model::GuestPolicy>& policies() const { return policies_; }

private:
    enum class State : std::uint8_t { unregistered, registered, lost, unhealthy, held, crashed };

    /// What is told at once when it changes.
    struct Shown {
        State state = State::unregistered;
        std::optional<heartbeat::Inhibit> inhibit;
        bool native = false;
        bool cgcs = false;
        bool messaging = false;
        bool guest_agent = false;
        bool answers = false;  ///< it has given a valid answer: that is the evidence, not its registration
        friend bool operator==(const Shown&, const Shown&) = default;
    };

    struct Guest;

    // A guest whose faults come and go faster than this is flapping: its clears are withheld until it has been well for
    // a while.
    static constexpr double kClearsPerSecond = 1.0 / 6;
    static constexpr double kClearBurst = 10;
    // A guest that words its warning differently each time is told and logged no faster.
    static constexpr double kWarningsPerSecond = 1.0 / 30;
    static constexpr double kWarningBurst = 4;
    struct WithheldClear {
        heartbeat::ClearFault clear;
        base::TimePoint due;
    };

    /// In the tree itself all that decides an order: the guests are in no cache when they are passed by.
    struct Due {
        base::TimePoint at;
        std::uint64_t ordinal;
        Guest* guest;
        bool operator<(const Due& other) const { return at != other.at ? at < other.at : ordinal < other.ordinal; }
    };
    using Schedule = std::set<Due>;

    struct Guest {
        Guest(base::GuestId guest, heartbeat::HostSession new_session, std::uint64_t number)
            : key(std::move(guest)), session(std::move(new_session)), ordinal(number) {}

        GuestKey key;  ///< of the output's own map
        heartbeat::HostSession session;
        std::uint64_t ordinal;  ///< makes guests due at the same time come in a fixed order
        base::TimePoint due = base::kNever;
        Schedule::iterator place;  ///< in the schedule, unless never due
        std::optional<Shown> shown;
        std::uint64_t refused = 0;
        base::TokenBucket clears{kClearsPerSecond, kClearBurst};
        std::vector<WithheldClear> withheld;
        bool messaging = false;                      ///< its messaging channel is connected
        std::optional<heartbeat::Inhibit> standing;  ///< its machine, as it was told to be kept
        // Of the last registration: a fault names them also when the registration ended with the machine.
        std::string name;
        model::CorrectiveAction corrective_action = model::CorrectiveAction::none;
        base::TimePoint update_allowed_at{};
        std::optional<model::GuestIo> io;
        std::string warning;  ///< as it was told last
        base::TokenBucket warnings{kWarningsPerSecond, kWarningBurst};
        std::set<model::FaultKind> untold;  ///< their faults' new reasons are not told yet
    };

    struct Restored {
        heartbeat::SaveRegistration saved;
        std::vector<heartbeat::OpenFault> open;
        std::vector<model::Fault> handed{};  ///< back by a controller; told to nobody before the guest is seen here
        bool went_down = false;              ///< it is known to have been here before the host started
    };

    void keep_until_seen(const model::Fault& handed);
    std::vector<base::FaultId> restore_handed(Restored& restored);
    void give_way(const model::Fault& own, const model::Fault& handed, base::WallTime wall);
    void replace(const model::Fault& open, model::Fault by, base::WallTime wall);
    void adopt_newer(const model::Fault& handed, base::TimePoint now, base::WallTime wall);
    bool judged_open(const base::GuestId& guest, model::FaultKind kind) const;
    void judge_anew(const base::GuestId& guest, model::FaultKind kind, base::TimePoint now, base::WallTime wall);
    void judge_closed_anew(base::TimePoint now, base::WallTime wall);
    void end_closed(const base::GuestId& guest, model::FaultKind kind);
    Guest& guest_for(const base::GuestId& id, base::TimePoint now);
    heartbeat::HostPolicy policy_for(const base::GuestId& id) const;
    void step(Guest& guest, const heartbeat::HostEvent& event, base::TimePoint now, base::WallTime wall);
    void step_or_forget(Guest& guest, const heartbeat::HostEvent& event, base::TimePoint now, base::WallTime wall);
    void erase(Guest& guest);
    void reschedule(Guest& guest);
    void show(Guest& guest, bool changed);
    bool tell_warning(Guest& guest, base::TimePoint now);
    void keep_standing(Guest& guest);
    void resume_standing(Guest& guest, base::TimePoint now);
    void apply_policy(Guest& guest, base::TimePoint now, base::WallTime wall);

    model::CorrectiveAction corrective_action_for(const Guest& guest) const;
    void open_fault(Guest& guest, const heartbeat::OpenFault& action, base::TimePoint now, base::WallTime wall);
    void update_fault(Guest& guest, const heartbeat::UpdateFault& action, base::TimePoint now, base::WallTime wall);
    bool happened_since_it_was_closed(const Guest& guest, model::FaultKind kind) const;
    void clear_fault(Guest& guest, const heartbeat::ClearFault& action, base::TimePoint now, base::WallTime wall);
    void clear_now(const Guest& guest, const heartbeat::ClearFault& action, base::WallTime wall);
    void clear_withheld(Guest& guest, base::TimePoint now, base::WallTime wall);
    void adopt(const model::GuestReport& report, bool went_down, base::TimePoint now);
    void adopt(const model::Fault& fault, base::TimePoint now, base::WallTime wall);
    void tell_waiting_updates(Guest& guest, base::TimePoint now, base::WallTime wall);
    void publish(model::Fault& fault, base::WallTime wall);

    static State state_of(const heartbeat::HostSession& session);
    static bool has_channel(const Guest& guest);
    static bool has_guest_agent(const Guest& guest);
    std::optional<Shown> shown_of(const Guest& guest) const;
    static std::string to_string(State state);
    model::GuestReport make_report(const Guest& guest) const;
    model::GuestReport unwatched_report(const base::GuestId& id, const Restored& restored) const;

    Settings settings_;
    IdGenerator& ids_;
    Output& output_;
    GuestMap<Guest> guests_;
    std::unordered_map<base::GuestId, Restored> restored_;
    bool listed_ = false;                                             ///< every source has
    std::set<base::GuestId> missing_;                                 ///< of them
    std::unordered_map<base::GuestId, heartbeat::Inhibit> standing_;  ///< machines that stood still before the start
    std::unordered_map<base::GuestId, heartbeat::Waited> waited_;     ///< before the start
    std::unordered_map<base::FaultId, base::GuestId> handed_;         ///< what of them was handed back
    std::unordered_map<base::FaultId, model::Fault> gave_way_;        ///< own faults, by what they gave way to
    std::unordered_map<base::GuestId, model::GuestPolicy> policies_;
    std::set<base::GuestId> kept_on_;  ///< known from before the start: that they have no policy is nobody's word yet
    FaultTable faults_;
    using Kinds = std::set<std::pair<base::GuestId, model::FaultKind>>;
    Kinds closed_;           ///< by an operator; their guests have not been well since
    Kinds restored_closed_;  ///< of them, those of before the start
    Schedule due_;
    std::uint64_t next_ordinal_ = 0;
    heartbeat::HostActions actions_;
    heartbeat::HostSessionCounters counters_of_gone_;
    heartbeat::RoundTrips round_trips_of_gone_;
};

}  // namespace vitalwire::host
