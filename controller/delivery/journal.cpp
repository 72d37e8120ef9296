#include "controller/delivery/journal.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"

namespace vitalwire::controller {

void Journal::note(const base::FaultId& fault, JournalEntry entry) {
    entry.detail = base::cut_utf8(entry.detail, kMaxDetail);
    entry.first_at = entry.at;
    const auto [at, is_new] = records_.try_emplace(fault);
    Record& record = at->second;
    if (is_new) {
        if (auto early = early_.extract(fault)) record.others = std::move(early.mapped());
    }
    std::vector<JournalEntry>& entries = record.entries;
    // The last one about this sink: what happened at others in between does not end a series.
    const auto last = std::find_if(entries.rbegin(), entries.rend(),
                                   [&](const JournalEntry& earlier) { return earlier.sink == entry.sink; });
    if (last != entries.rend() && last->what == entry.what && last->detail == entry.detail) {
        last->at = entry.at;
        ++last->times;
    } else {
        entries.push_back(std::move(entry));
    }
    if (entries.size() > kMaxEntries) {
        entries.erase(entries.begin() + kFirstEntries);
        ++record.dropped;
    }
    renumber(fault, record);
    changed_(fault, record);
}

void Journal::restore(const base::FaultId& fault, Record record) {
    Record& restored = records_[fault];
    by_number_.erase(restored.number);
    restored = std::move(record);
    restored.number = 0;
    renumber(fault, restored);
}

void Journal::renumber(const base::FaultId& fault, Record& record) {
    by_number_.erase(record.number);
    record.number = ++last_number_;
    by_number_.emplace(record.number, fault);
}

void Journal::put(Others& others, const std::string& controller, Part part) {
    if (others.contains(controller) || others.size() < kMaxControllers) others[controller] = std::move(part);
}

void Journal::merge(const base::FaultId& fault, const std::string& controller, Part part) {
    if (const auto known = records_.find(fault); known != records_.end()) {
        put(known->second.others, controller, std::move(part));
        return changed_(fault, known->second);
    }
    const auto [at, is_new] = early_.try_emplace(fault);
    put(at->second, controller, std::move(part));
    if (!is_new) return;
    early_order_.push_back(fault);
    if (early_order_.size() <= kMaxEarly) return;
    early_.erase(early_order_.front());
    early_order_.pop_front();
}

void Journal::erase(const base::FaultId& fault) {
    const auto at = records_.find(fault);
    if (at == records_.end()) return;
    by_number_.erase(at->second.number);
    records_.erase(at);
}

std::vector<base::FaultId> Journal::after(std::uint64_t number, std::size_t limit) const {
    std::vector<base::FaultId> faults;
    for (auto at = by_number_.upper_bound(number); at != by_number_.end() && faults.size() < limit; ++at)
        faults.push_back(at->second);
    return faults;
}

const Journal::Record* Journal::find(const base::FaultId& fault) const {
    const auto at = records_.find(fault);
    return at == records_.end() ? nullptr : &at->second;
}

}  // namespace vitalwire::controller
