#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

/// An alarm is the same object in the queues of all sinks.
using AlarmPtr = std::shared_ptr<const Alarm>;

/// What one sink has acknowledged of one alarm. Kept on disk, so that a restart repeats nothing and loses nothing.
struct Acked {
    enum class Phase : std::uint8_t { nothing, open, cleared };
    Phase phase = Phase::nothing;
    std::uint64_t revision = 0;
    std::string skipped = {};  ///< why the sink was not notified that it is open, and never will be; empty: it was

    friend bool operator==(const Acked&, const Acked&) = default;
};

struct AckChange {
    base::FaultId fault;
    Acked acked;
};

/// One alarm at one sink, for operators.
struct DeliveryView {
    enum class State : std::uint8_t {
        acknowledged,
        acknowledged_by_peer,  ///< another controller is primary for its host, and has delivered it
        pending_at_peer,       ///< another controller is primary for its host, and has not delivered it yet
        queued,
        sending,
        held,        ///< its hold-off lasts, or where its guest belongs is not known yet
        suppressed,  ///< no policy sends it there, or it was over before its hold-off
        skipped,     ///< the receiver has no use for it; `last_error` is the reason
    };
    State state = State::acknowledged;
    std::uint64_t revision = 0;  ///< the last one acknowledged
    std::uint64_t attempts = 0;  ///< failed ones since the last that was acknowledged
    std::string last_error;
};
std::string_view to_string(DeliveryView::State state);

/// The messages about one subject that wait for one sink, in the order things happened: a raise before its clear, also
/// when both waited. One message is under way at a time. Updates that wait are merged, and of alarms that came and went
/// while the sink was behind only the newest are kept; the others are counted in the next one.
class AlarmQueue {
public:
    /// `backlog`: alarms of one kind that may wait although they are over.
    explicit AlarmQueue(int backlog) : backlog_(backlog) {}

    /// What was acknowledged before a restart; of an alarm that may have been sent without that: nothing.
    void restore(AlarmPtr alarm, Acked acked);
    /// The newest state of an alarm: whatever it takes to bring the sink there is queued. `trust_delivered`: what an
    /// earlier primary has delivered needs no repetition. `clear_alone`: of one that is over, of which no raise waits,
    /// only the clear is sent, though whether its raise has arrived is unknown. Returns what counts as acknowledged
    /// from now on.
    std::vector<AckChange> offer(AlarmPtr alarm, bool trust_delivered, bool clear_alone = false);
    /// Another controller delivers this alarm from now on: what waits is dropped, what was acknowledged is kept.
    void withdraw(const base::FaultId& fault);
    /// The alarm is over, and another controller delivers it. What was raised from here is cleared from here too: our
    /// raise may have come after the other's clear. So is what may have been raised, but only when the other is done
    /// with it: before, our clear could come before its raise.
    void finish(AlarmPtr alarm, bool others_done);
    void erase(const base::FaultId& fault);
    /// The sink has lost an open alarm that it had acknowledged: it is sent again. Returns what counts as acknowledged
    /// from now on; nothing when something about the alarm is to be sent anyway.
    std::optional<AckChange> resend(const base::FaultId& fault);

    /// The next message; it is under way until `confirm`, `skip` or `requeue`. Absent when none waits or one is under
    /// way.
    std::optional<AlarmEvent> take();
    std::optional<AckChange> confirm();
    /// The sink has no use for it: nothing was sent, and nothing will be.
    std::optional<AckChange> skip(const std::string& why);
    /// `failed`: an attempt was made. `unsent`: it cannot have arrived.
    void requeue(const std::string& why, bool failed, bool unsent = false);
    /// Takes out an open alarm of which nothing can have arrived. False when there is none, or its raise is under way.
    bool take_back(const base::FaultId& fault);

    bool has_waiting() const { return !steps_.empty(); }
    bool idle() const { return entries_.empty() && !under_way_; }
    /// A message about an alarm that is critical waits.
    bool urgent() const;
    /// When what it would send first has happened.
    std::optional<base::WallTime> oldest() const;
    std::size_t size() const { return steps_.size() + (under_way_ ? 1 : 0); }
    bool contains(const base::FaultId& fault) const { return entries_.contains(fault); }
    std::vector<base::FaultId> faults() const;  ///< of which anything is kept
    bool settled(const base::FaultId& fault) const;
    /// The sink has acknowledged the newest state; it was not skipped.
    bool acknowledged(const base::FaultId& fault) const;
    /// Something about the alarm waits or is under way.
    bool busy(const base::FaultId& fault) const { return last_waiting(fault) != nullptr || is_under_way(fault); }
    /// It is over, and whether what was raised from here has arrived is unknown.
    bool may_show(const base::FaultId& fault) const;
    DeliveryView view(const base::FaultId& fault) const;

private:
    struct Entry {
        AlarmPtr current;
        AlarmPtr last_open;  ///< what a raise or an update sends, also when the alarm is over by then
        Acked acked;
        bool raised = false;  ///< a raise was sent at least once, and may have arrived
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
    void queue_clear(Entry& entry, bool alone = false);
    std::vector<AckChange> collapse(const std::string& kind);
    bool over_and_unsent(const Entry& entry) const;
    std::optional<AckChange> end_message(const std::string& skipped);
    Acked expected(const Entry& entry) const;
    AlarmEvent event_of(const Step& step) const;
    const Step* last_waiting(const base::FaultId& fault) const;
    void push(const Entry& entry, AlarmChange change) { steps_.push_back({entry.current->id, change}); }
    void drop_waiting(const base::FaultId& fault);
    bool is_under_way(const base::FaultId& fault) const { return under_way_ && under_way_->alarm.id == fault; }

    int backlog_;
    std::unordered_map<base::FaultId, Entry> entries_;
    std::deque<Step> steps_;
    std::optional<AlarmEvent> under_way_;
    bool raised_before_ = false;                      ///< the alarm of which a message is under way, before that
    std::map<std::string, std::uint64_t> collapsed_;  ///< by kind, not yet acknowledged
};

}  // namespace vitalwire::controller
