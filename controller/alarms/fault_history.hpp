#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "controller/alarms/fault_table.hpp"

namespace vitalwire::controller {

/// The faults that are over, `limit` of them: of the host that has most, the oldest makes room. None can drive out the
/// others' by making many. Those that an operator has closed are kept beside them, whatever the limit: their agent may
/// be away, and has them open still.
class FaultHistory {
public:
    struct Entry {
        TrackedFault tracked;
        /// Every sink of this controller has acknowledged the clear; false when another controller was to deliver it.
        bool delivered = false;
    };
    using Number = std::uint64_t;  ///< grows with every entry; the entry's key on disk

    explicit FaultHistory(std::size_t limit) : limit_(limit) {}

    /// Those that are too many go with the next `add`.
    void set_limit(std::size_t limit) { limit_ = limit; }

    void restore(Number number, Entry entry);
    /// Adds the fault, in place of an earlier entry of it. `dropped` are the numbers that are no longer kept.
    struct Added {
        Number number = 0;
        std::vector<Number> dropped;
        std::vector<base::FaultId> gone;  ///< faults that are no longer kept
    };
    Added add(Entry entry);
    std::optional<Number> erase(const base::FaultId& fault);

    const Entry* find(const base::FaultId& fault) const;
    /// Absent when `find` finds nothing.
    std::optional<Number> number_of(const base::FaultId& fault) const;
    /// The newest entry's number; 0 before the first.
    Number newest() const { return last_; }
    const std::map<Number, Entry>& all() const { return entries_; }

private:
    Number oldest_of_largest() const;

    std::size_t limit_;
    std::map<Number, Entry> entries_;
    std::map<base::HostId, std::set<Number>> of_host_;  ///< without the closed ones
    std::set<Number> closed_;                           ///< by an operator
    std::unordered_map<base::FaultId, Number> numbers_;
    Number last_ = 0;
};

}  // namespace vitalwire::controller
