#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"

namespace vitalwire::controller {

/// One thing that happened to a fault.
struct JournalEntry {
    base::WallTime at{};  ///< by this controller's clock; of several alike the last
    std::string what;     ///< opened, updated, cleared, held, suppressed, acknowledged, skipped, failed, ...
    std::string sink;     ///< empty: it concerns none
    std::string detail;
    std::uint64_t times = 1;
    base::WallTime first_at{};

    friend bool operator==(const JournalEntry&, const JournalEntry&) = default;
};

/// What happened to each fault, from its opening to its end and after it, as long as the fault is kept. Of entries
/// alike there is one, which counts them; beyond kMaxEntries the oldest but the first ones are dropped and counted. No
/// I/O, no clock.
class Journal {
public:
    static constexpr std::size_t kMaxEntries = 64;
    static constexpr std::size_t kFirstEntries = 16;  ///< how it began is always kept
    static constexpr std::size_t kMaxDetail = 256;

    struct Record {
        std::vector<JournalEntry> entries;
        std::uint64_t dropped = 0;
    };
    /// Called when the record of a fault has changed.
    using Changed = std::function<void(const base::FaultId&, const Record&)>;

    explicit Journal(Changed changed) : changed_(std::move(changed)) {}

    void restore(const base::FaultId& fault, Record record) { records_[fault] = std::move(record); }
    void note(const base::FaultId& fault, JournalEntry entry);
    void erase(const base::FaultId& fault) { records_.erase(fault); }
    /// Null for a fault that is not known.
    const Record* find(const base::FaultId& fault) const;

private:
    Changed changed_;
    std::unordered_map<base::FaultId, Record> records_;
};

}  // namespace vitalwire::controller
