#include "controller/alarms/fault_history.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

void FaultHistory::restore(Number number, Entry entry) {
    numbers_[entry.tracked.fault.id] = number;
    entries_.insert_or_assign(number, std::move(entry));
    last_ = std::max(last_, number);
}

FaultHistory::Added FaultHistory::add(Entry entry) {
    Added added;
    if (const auto earlier = erase(entry.tracked.fault.id)) added.dropped.push_back(*earlier);
    added.number = last_ + 1;
    restore(added.number, std::move(entry));
    while (entries_.size() > limit_) {
        const auto oldest = entries_.begin();
        added.dropped.push_back(oldest->first);
        added.gone.push_back(oldest->second.tracked.fault.id);
        numbers_.erase(oldest->second.tracked.fault.id);
        entries_.erase(oldest);
    }
    return added;
}

std::optional<FaultHistory::Number> FaultHistory::erase(const base::FaultId& fault) {
    const auto at = numbers_.find(fault);
    if (at == numbers_.end()) return std::nullopt;
    const Number number = at->second;
    entries_.erase(number);
    numbers_.erase(at);
    return number;
}

const FaultHistory::Entry* FaultHistory::find(const base::FaultId& fault) const {
    const auto at = numbers_.find(fault);
    return at == numbers_.end() ? nullptr : &entries_.at(at->second);
}

std::optional<FaultHistory::Number> FaultHistory::number_of(const base::FaultId& fault) const {
    const auto at = numbers_.find(fault);
    return at == numbers_.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace vitalwire::controller
