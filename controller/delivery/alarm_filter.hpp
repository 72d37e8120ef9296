#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "controller/model/alarm.hpp"
#include "controller/model/policy.hpp"

namespace vitalwire::controller {

/// Stands before what one sink is told: lets an alarm through at once, after its hold-off, or never. What it has let
/// through it always lets through until that is forgotten: a raise that was told gets its clear. What is over before
/// its hold-off is not told at all. No I/O, no clock.
///
/// The hold-off counts from when the alarm opened, by the wall clocks of agent and controller: so it does not begin
/// again when a controller restarts or another one leads. Without any policy everything passes and nothing is kept.
class AlarmFilter {
public:
    enum class Verdict : std::uint8_t {
        pass,
        hold,  ///< `take_due` has it later, or a new offer once the inventory is known
        stop,
    };
    struct Moment {
        base::TimePoint now{};
        base::WallTime wall{};
    };

    /// `policies`: those that name this sink. Absent: there are none in the whole configuration.
    explicit AlarmFilter(std::optional<std::vector<Policy>> policies) : policies_(std::move(policies)) {}

    bool lets_all_through() const { return !policies_; }

    /// The newest state of an alarm, with what the inventory says of it.
    Verdict offer(const Alarm& alarm, bool inventory_known, base::Millis beat, Moment moment);
    /// It was told already, before a restart.
    void note_passed(const base::FaultId& fault);
    /// What is still held is not told from here any more.
    void drop(const base::FaultId& fault);
    void forget(const base::FaultId& fault);

    /// Those whose hold-off is over; they have passed.
    std::vector<Alarm> take_due(base::TimePoint now);
    base::TimePoint next_due() const { return due_.empty() ? base::kNever : due_.begin()->first; }

    bool has_passed(const base::FaultId& fault) const;
    bool holds(const base::FaultId& fault) const;
    /// No policy sends it there, or it was over too soon.
    bool stops(const base::FaultId& fault) const;
    bool asks_inventory() const;
    std::size_t held() const { return held_; }
    /// Alarms that were over before their hold-off was.
    std::uint64_t spared() const { return spared_; }

private:
    enum class State : std::uint8_t { stopped, held, passed };
    struct Entry {
        State state = State::stopped;
        Alarm alarm;  ///< of those held
        base::TimePoint due = base::kNever;
    };

    void leave_hold(Entry& entry);
    Verdict hold(Entry& entry, const Alarm& alarm, base::TimePoint due);
    static Verdict pass(Entry& entry);

    std::optional<std::vector<Policy>> policies_;
    std::unordered_map<base::FaultId, Entry> entries_;
    std::set<std::pair<base::TimePoint, base::FaultId>> due_;
    std::size_t held_ = 0;
    std::uint64_t spared_ = 0;
};

}  // namespace vitalwire::controller
