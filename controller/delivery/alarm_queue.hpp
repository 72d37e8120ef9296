#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

/// What one sink has confirmed of one alarm. Kept on disk, so that a restart repeats nothing and forgets nothing.
struct Acked {
    enum class Phase : std::uint8_t { nothing, open, cleared };
    Phase phase = Phase::nothing;
    std::uint64_t revision = 0;

    friend bool operator==(const Acked&, const Acked&) = default;
};

struct AckChange {
    base::FaultId fault;
    Acked told;
};

/// Of one alarm at one sink, for operators.
struct DeliveryView {
    enum class State : std::uint8_t {
        confirmed,
        queued,
        sending,
        held,    ///< its hold-off lasts, or where its guest belongs is not known yet
        untold,  ///< no policy sends it there, or it was over before its hold-off
    };
    State state = State::confirmed;
    std::uint64_t revision = 0;  ///< the last one confirmed
    std::uint64_t attempts = 0;  ///< failed ones since the last that was confirmed
    std::string last_error;
};

/// The messages about one subject that one sink still has to hear, in the order things happened: a raise before its
/// clear, also when both waited. One message is under way at a time. Updates that wait are merged, and of alarms that
/// came and went while the sink was behind only the newest are kept; the others are counted in the next one.
class AlarmQueue {
public:
    /// `backlog`: alarms of one kind that may wait although they are over.
    explicit AlarmQueue(int backlog) : backlog_(backlog) {}

    /// What was confirmed before a restart; of an alarm that may have been told without that: nothing.
    void restore(const Alarm& alarm, Acked told);
    /// The newest state of an alarm: whatever it takes to bring the sink there is queued. `trust_delivered`: what an
    /// earlier lead has delivered needs no repetition. Returns what counts as told from now on.
    std::vector<AckChange> offer(const Alarm& alarm, bool trust_delivered);
    /// Somebody else tells this alarm from now on: what waits is dropped, what was told is remembered.
    void withdraw(const base::FaultId& fault);
    /// The alarm is over, and somebody else tells it. What this sink was raised from here is cleared from here too: our
    /// raise may have come after the other's clear. So is what may have been raised, but only when the other is done
    /// with it: before, our clear could come before its raise.
    void finish(const Alarm& alarm, bool others_done);
    void forget(const base::FaultId& fault);
    /// The sink has lost an open alarm that it had confirmed: it is told again. Returns what counts as told from now
    /// on; nothing when something about the alarm is to be told anyway.
    std::optional<AckChange> retell(const base::FaultId& fault);

    /// The next message; it is under way until `confirm` or `requeue`. Absent when none waits or one is under way.
    std::optional<AlarmEvent> take();
    std::optional<AckChange> confirm();
    void requeue(const std::string& why);

    bool has_waiting() const { return !steps_.empty(); }
    bool idle() const { return entries_.empty() && !under_way_; }
    /// When what it would tell first has happened.
    std::optional<base::WallTime> oldest() const;
    std::size_t size() const { return steps_.size() + (under_way_ ? 1 : 0); }
    bool settled(const base::FaultId& fault) const;
    /// Something about the alarm waits or is under way.
    bool busy(const base::FaultId& fault) const { return last_waiting(fault) != nullptr || is_under_way(fault); }
    DeliveryView view(const base::FaultId& fault) const;

private:
    struct Entry {
        Alarm current;
        Alarm last_open;  ///< what a raise or an update tells, also when the alarm is over by then
        Acked told;
        bool raised = false;  ///< it was at least tried to tell that it is open, and may have arrived
        bool withdrawn = false;
        std::uint64_t attempts = 0;
        std::string last_error;
    };
    struct Step {
        base::FaultId fault;
        AlarmChange change;
    };

    static bool reached(const Entry& entry);
    bool settled(const Entry& entry) const;
    void trust(Entry& entry);
    void queue_open(Entry& entry);
    void queue_clear(Entry& entry);
    std::vector<AckChange> collapse(const std::string& kind);
    bool over_and_untold(const Entry& entry) const;
    Acked expected(const Entry& entry) const;
    AlarmEvent event_of(const Step& step) const;
    const Step* last_waiting(const base::FaultId& fault) const;
    void push(const Entry& entry, AlarmChange change) { steps_.push_back({entry.current.id, change}); }
    void drop_waiting(const base::FaultId& fault);
    bool is_under_way(const base::FaultId& fault) const { return under_way_ && under_way_->alarm.id == fault; }

    int backlog_;
    std::unordered_map<base::FaultId, Entry> entries_;
    std::deque<Step> steps_;
    std::optional<AlarmEvent> under_way_;
    std::map<std::string, std::uint64_t> collapsed_;  ///< by kind, not yet told
};

}  // namespace vitalwire::controller
