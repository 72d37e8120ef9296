#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "controller/delivery/alarm_queue.hpp"
#include "controller/model/policy.hpp"
#include "model/guest.hpp"

namespace vitalwire::controller {

/// An operator works on the subject of an alarm.
struct Maintained {
    base::WallTime since{};
    base::TimePoint until{};
};

/// What policies take into account beside the alarm itself.
struct FilterContext {
    bool inventory_known = true;
    base::Millis interval{1000};  ///< of the guest's heartbeat
    base::TimePoint now{};
    std::optional<Maintained> maintained = {};
    std::optional<model::GuestIo> io = {};  ///< of the guest
    bool guest_reported = true;             ///< false: `io` may be known as soon as its agent has reported it
};

/// A policy that takes the guest's I/O into account holds an alarm, or does so no longer: for the fault's journal.
struct IoDecision {
    base::FaultId fault;
    bool held = false;
    std::string why;
};

/// Passes an alarm to one sink at once, after its hold-off, or never. What it has passed it always passes until that is
/// erased: a raise that was sent gets its clear. What is over before its hold-off is not sent at all. No I/O, no
/// clock.
///
/// What waits for the end of the guest's I/O is held as long as new readings of that come: without one for kIoPatience
/// it is unknown, and what is unknown holds nothing.
///
/// The hold-off counts from when this controller received the alarm, by its own clock; so it does not begin again with
/// a restart, and the clocks of other hosts do not matter. Without any policy everything passes and nothing is kept,
/// except while maintenance lasts: then what is not sent yet is held until it ends. Of what came before the maintenance
/// that is known only to who has passed it: a new primary, and a controller that was restarted, pass its end.
class AlarmFilter {
public:
    enum class Decision : std::uint8_t {
        pass,
        hold,  ///< `take_due` has it later, or a new offer once the inventory is known
        stop,
    };

    static constexpr base::Millis kIoPatience{30'000};  ///< the agent reads it three times in that

    /// `policies`: those that name this sink. Absent: there are none in the whole configuration.
    explicit AlarmFilter(std::optional<std::vector<Policy>> policies) : policies_(std::move(policies)) {}

    /// Others from now on. What is held or stopped is decided by them when it is offered again.
    void set_policies(std::optional<std::vector<Policy>> policies) { policies_ = std::move(policies); }

    /// The newest state of an alarm, with what the inventory has of it.
    Decision offer(const AlarmPtr& alarm, const FilterContext& context);
    /// It was sent already, before a restart.
    void note_passed(const base::FaultId& fault);
    /// It has passed, and was not sent: decided by the next offer.
    void take_back(const base::FaultId& fault);
    /// What is still held is not sent from here any more.
    void drop(const base::FaultId& fault);
    void erase(const base::FaultId& fault);

    /// Those whose hold-off is over; they have passed.
    std::vector<AlarmPtr> take_due(base::TimePoint now);
    base::TimePoint next_due() const { return due_.empty() ? base::kNever : due_.begin()->first; }

    bool has_passed(const base::FaultId& fault) const;
    bool holds(const base::FaultId& fault) const;
    /// No policy sends it there, or it was over too soon.
    bool stops(const base::FaultId& fault) const;
    bool asks_inventory() const;
    /// One of the policies takes the I/O of the alarm's guest into account.
    bool asks_io(const Alarm& alarm) const { return policies_ && controller::asks_io(*policies_, alarm); }
    /// Why the alarm waits for the end of the guest's I/O; empty when it does not.
    std::string io_hold(const base::FaultId& fault) const;
    std::vector<IoDecision> take_io_decisions() { return std::exchange(io_decisions_, {}); }
    std::size_t held() const { return held_; }
    /// Alarms that were over before their hold-off was.
    std::uint64_t suppressed() const { return suppressed_; }

private:
    enum class State : std::uint8_t { stopped, held, passed };
    /// What is known of the guest's I/O, as far as a policy takes it into account.
    struct IoHold {
        enum class Why : std::uint8_t { none, awaited, watched, seen };
        Why why = Why::none;       ///< the alarm waits
        std::string text;          ///< `why`, for people
        base::WallTime read_at{};  ///< the last reading
        bool is_first = false;     ///< and the first that is known here
        base::TimePoint until{};   ///< without a newer one it is unknown from then on
    };
    struct Entry {
        State state = State::stopped;
        AlarmPtr alarm;           ///< of those held
        base::TimePoint since{};  ///< when it was received
        base::TimePoint due = base::kNever;
        IoHold io;
        bool unsent = false;  ///< nobody has sent it before the maintenance that holds it
    };

    void leave_hold(Entry& entry);
    static IoKnowledge know_io(IoHold& hold, const Alarm& alarm, const FilterContext& context);
    void wait_for_io(Entry& entry, const Alarm& alarm, const IoKnowledge& io, const FilterContext& context);
    void end_io_hold(Entry& entry, const base::FaultId& fault, const std::string& why);
    static base::TimePoint due_of(const Entry& entry, const PolicyDecision& decision);
    Decision maintain(Entry& entry, const AlarmPtr& alarm, const Maintained& maintained,
                      const PolicyDecision& decision);
    Decision hold(Entry& entry, const AlarmPtr& alarm, base::TimePoint due);
    static Decision pass(Entry& entry);

    std::optional<std::vector<Policy>> policies_;
    std::unordered_map<base::FaultId, Entry> entries_;
    std::set<std::pair<base::TimePoint, base::FaultId>> due_;
    std::size_t held_ = 0;
    std::uint64_t suppressed_ = 0;
    std::vector<IoDecision> io_decisions_;
};

}  // namespace vitalwire::controller
