#include "controller/alarms/orphaned_reports.hpp"

#include <utility>

#include "base/log.hpp"

namespace vitalwire::controller {

OrphanedReports::OrphanedReports(base::Millis patience, Dependencies dependencies)
    : patience_(patience), around_(std::move(dependencies)) {}

void OrphanedReports::take(const base::HostId& host, Faults faults, std::function<void()> done, base::TimePoint now) {
    if (around_.connected(host)) return around_.when_durable(std::move(done));
    if (waiting_.empty()) looked_ = now;
    waiting_.push_back({host, std::move(faults), std::move(done), now + patience_});
}

void OrphanedReports::agent_up(const base::HostId& host) {
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        if (at->host != host) {
            ++at;
            continue;
        }
        around_.when_durable(std::move(at->done));
        at = waiting_.erase(at);
    }
}

void OrphanedReports::stop() {
    waiting_.clear();
}

base::TimePoint OrphanedReports::next_due() const {
    return waiting_.empty() ? base::kNever : looked_ + patience_ / 10;
}

void OrphanedReports::tick(base::Moment moment) {
    const base::TimePoint now = moment.steady;
    if (now < next_due()) return;
    looked_ = now;
    // After an outage of the broker that is no sign that an agent is away.
    if (!around_.reachable()) {
        for (Deposit& deposit : waiting_)
            deposit.until = now + patience_;
    }
    while (!waiting_.empty() && waiting_.front().until <= now) {
        Deposit deposit = std::move(waiting_.front());
        waiting_.pop_front();
        log::info("orphaned reports adopted", {{"host", deposit.host}, {"faults", deposit.faults.size()}});
        around_.adopt(deposit.host, deposit.faults, moment);
        around_.when_durable(std::move(deposit.done));
    }
}

}  // namespace vitalwire::controller
