#include "controller/delivery/journal.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"

namespace vitalwire::controller {

void Journal::note(const base::FaultId& fault, JournalEntry entry) {
    entry.detail = base::cut_utf8(entry.detail, kMaxDetail);
    entry.first_at = entry.at;
    Record& record = records_[fault];
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
    changed_(fault, record);
}

const Journal::Record* Journal::find(const base::FaultId& fault) const {
    const auto at = records_.find(fault);
    return at == records_.end() ? nullptr : &at->second;
}

}  // namespace vitalwire::controller
