#include "controller/alarms/fault_history.hpp"

#include <algorithm>
#include <utility>

#include "controller/alarms/evidence.hpp"

namespace vitalwire::controller {

namespace {

/// Operators close by hand.
constexpr std::size_t kMostClosed = 1000;

bool is_closed(const FaultHistory::Entry& entry) {
    return entry.tracked.fault.clear_reason == kByOperator;
}

}  // namespace

void FaultHistory::restore(Number number, Entry entry) {
    erase(entry.tracked.fault.id);
    numbers_[entry.tracked.fault.id] = number;
    if (is_closed(entry)) {
        closed_.insert(number);
    } else {
        of_host_[entry.tracked.host].insert(number);
    }
    entries_.insert_or_assign(number, std::move(entry));
    last_ = std::max(last_, number);
}

FaultHistory::Added FaultHistory::add(Entry entry) {
    Added added;
    if (const auto earlier = erase(entry.tracked.fault.id)) added.dropped.push_back(*earlier);
    added.number = last_ + 1;
    restore(added.number, std::move(entry));
    const auto drop = [&](Number number) {
        const base::FaultId fault = entries_.at(number).tracked.fault.id;
        erase(fault);
        added.dropped.push_back(number);
        added.gone.push_back(fault);
    };
    while (entries_.size() - closed_.size() > limit_)
        drop(oldest_of_largest());
    while (closed_.size() > kMostClosed)
        drop(*closed_.begin());
    return added;
}

FaultHistory::Number FaultHistory::oldest_of_largest() const {
    const auto largest = std::max_element(of_host_.begin(), of_host_.end(), [](const auto& a, const auto& b) {
        // Of two that have as many it is the one whose oldest is older.
        if (a.second.size() != b.second.size()) return a.second.size() < b.second.size();
        return *a.second.begin() > *b.second.begin();
    });
    return *largest->second.begin();
}

std::optional<FaultHistory::Number> FaultHistory::erase(const base::FaultId& fault) {
    const auto at = numbers_.find(fault);
    if (at == numbers_.end()) return std::nullopt;
    const Number number = at->second;
    if (closed_.erase(number) == 0) {
        const auto of_host = of_host_.find(entries_.at(number).tracked.host);
        of_host->second.erase(number);
        if (of_host->second.empty()) of_host_.erase(of_host);
    }
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
