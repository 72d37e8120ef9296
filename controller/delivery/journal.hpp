#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

/// One thing that happened to a fault.
struct JournalEntry {
    base::WallTime at{};  ///< by this controller's clock; of several alike the last
    std::string what;     ///< opened, updated, cleared, held, suppressed, acknowledged, skipped, failed, ...
    std::string sink;     ///< empty: it concerns none
    std::string detail;
    std::uint64_t times = 1;
    base::WallTime first_at{};
    std::uint64_t revision = 0;  ///< of the fault that was acknowledged; 0: not known

    friend bool operator==(const JournalEntry&, const JournalEntry&) = default;
};

/// JournalEntry::what of an operator's decision to end the fault, with his reason.
inline constexpr const char* kClosedEntry = "closed by the operator";
/// The same where he had the fault's host removed.
inline constexpr const char* kHostRemovedEntry = "host removed by the operator";
inline constexpr const char* kOpenedEntry = "opened";
inline constexpr const char* kClearedEntry = "cleared";
inline constexpr const char* kAcknowledgedEntry = "acknowledged";
inline constexpr const char* kSinkRemovedEntry = "sink removed";
/// Between what was acknowledged and by whom, in the detail of kAcknowledgedEntry.
inline constexpr const char* kAtReceiver = " at ";

/// What happened to each fault, from its opening to its end and after it, as long as the fault is kept: here, and at
/// the other controllers, as they tell. Of entries alike there is one, which counts them; beyond kMaxEntries the oldest
/// but the first ones are dropped and counted. No I/O, no clock.
class Journal {
public:
    static constexpr std::size_t kMaxEntries = 64;
    static constexpr std::size_t kFirstEntries = 16;  ///< how it began is always kept
    static constexpr std::size_t kMaxDetail = 256;

    /// Of others, whose faults are not known here yet.
    static constexpr std::size_t kMaxEarly = 1000;
    static constexpr std::size_t kMaxControllers = 16;

    struct Part {
        std::vector<JournalEntry> entries;
        std::uint64_t dropped = 0;
        std::optional<Alarm> alarm = {};  ///< the record of an alarm about the suite itself: as it is, or was last
        /// By how much the times of another controller were set back, because its clock is ahead of the one here.
        std::chrono::microseconds ahead{};
    };
    struct Record : Part {                   ///< what happened here
        std::map<std::string, Part> others;  ///< and elsewhere, by the controller's name
        std::uint64_t number = 0;            ///< of its last change here, as `after` counts
    };
    /// Called when the record of a fault has changed.
    using Changed = std::function<void(const base::FaultId&, const Record&)>;

    explicit Journal(Changed changed) : changed_(std::move(changed)) {}

    void restore(const base::FaultId& fault, Record record);
    void note(const base::FaultId& fault, JournalEntry entry);
    /// An alarm about the suite itself is raised, changed, or ended.
    void note(const Alarm& alarm);
    /// What another controller has; of a fault that is not known here it is kept for a while, of an alarm about the
    /// suite itself like what is noted here.
    void merge(const base::FaultId& fault, const std::string& controller, Part part);
    void erase(const base::FaultId& fault);
    /// What that controller has told of the fault; null: nothing.
    const Part* part_of(const base::FaultId& fault, const std::string& controller) const;
    /// Null for a fault that is not known.
    const Record* find(const base::FaultId& fault) const;
    /// The faults whose record has changed here since the change of that number, in the order of their last changes.
    std::vector<base::FaultId> after(std::uint64_t number, std::size_t limit) const;
    /// Those of which the last entry about the sink is this one.
    std::vector<base::FaultId> with_last(const std::string& sink, std::string_view what, std::string_view detail) const;
    /// The records of alarms about the suite itself.
    const std::set<base::FaultId>& alarms() const { return alarms_; }

private:
    using Others = std::map<std::string, Part>;

    void renumber(const base::FaultId& fault, Record& record);
    Record& record_of(const base::FaultId& fault);
    static void put(Others& others, const std::string& controller, Part part);

    Changed changed_;
    std::unordered_map<base::FaultId, Record> records_;
    std::set<base::FaultId> alarms_;
    std::map<std::uint64_t, base::FaultId> by_number_;
    std::uint64_t last_number_ = 0;
    std::map<base::FaultId, Others> early_;
    std::deque<base::FaultId> early_order_;
};

/// An alarm about the suite itself as it is known now, and at which other controller (empty: here): as long as it is
/// open here as it is here, otherwise as it changed last. Null when the record is of none.
std::pair<std::string, const Alarm*> alarm_of(const Journal::Record& record);

/// The same at the other controllers alone.
std::pair<std::string, const Alarm*> alarm_elsewhere(const Journal::Record& record);

/// A sink, and whom it notifies. Two controllers may have sinks of one name that notify different receivers.
struct SinkOf {
    std::string name;
    std::string receiver = {};  ///< empty: any
};
/// The same at each controller that has this sink for this receiver; says nothing else of either.
std::string mark_of(const SinkOf& sink);

/// What another controller has had acknowledged by the sink last: whether of the fault's end; absent: nothing.
std::optional<bool> end_acknowledged_elsewhere(const Journal::Record& record, const SinkOf& sink);

/// The newest revision that the sink has acknowledged to another controller; null: none.
const JournalEntry* acknowledged_elsewhere(const Journal::Record& record, const SinkOf& sink);

/// Sinks have acknowledged the fault, here or elsewhere, and not this one: it was not there, or was not to be notified.
bool is_told_to_others_only(const Journal::Record& record, const SinkOf& sink);

/// The controller that has had the fault's end acknowledged, last of all, by this receiver of the sink; empty: none
/// has.
std::string who_ended_at(const Journal::Record& record, const std::string& sink, const std::string& receiver);

/// The controller that has had the newest revision of the fault, and its number, acknowledged by the sink, which nobody
/// has told the end since; empty: none has.
std::pair<std::string, std::uint64_t> who_raised_at(const Journal::Record& record, const SinkOf& sink);

/// The entry of another controller that saw the fault end; null when none has told of it.
const JournalEntry* end_seen_elsewhere(const Journal::Record& record);

/// One time that an alarm about the suite itself was open.
struct Occurrence {
    base::WallTime opened_at{};
    base::WallTime cleared_at{};
    std::string clear_reason;
};
/// Those that ended before the one that `alarm_of` has, at all controllers, as far as their entries are kept.
std::vector<Occurrence> earlier_occurrences(const Journal::Record& record);

}  // namespace vitalwire::controller
