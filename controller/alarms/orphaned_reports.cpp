#include "controller/alarms/orphaned_reports.hpp"

#include <utility>

#include "base/log.hpp"

namespace vitalwire::controller {

OrphanedReports::OrphanedReports(base::Millis patience, Dependencies dependencies)
    : patience_(patience), context_(std::move(dependencies)) {}

void OrphanedReports::take(const base::HostId& host, Faults faults, std::function<void()> done, base::TimePoint now) {
    if (context_.connected(host)) return context_.when_durable(std::move(done));
    if (waiting_.empty()) checked_ = now;
    waiting_.push_back({host, std::move(faults), std::move(done), now + patience_});
}

void OrphanedReports::agent_up(const base::HostId& host) {
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        if (at->host != host) {
            ++at;
            continue;
        }
        context_.when_durable(std::move(at->done));
        at = waiting_.erase(at);
    }
}

void OrphanedReports::stop() {
    waiting_.clear();
}

base::TimePoint OrphanedReports::next_due() const {
    return waiting_.empty() ? base::kNever : checked_ + patience_ / 10;
}

void OrphanedReports::tick(base::Moment moment) {
    const base::TimePoint now = moment.steady;
    if (now < next_due()) return;
    checked_ = now;
    // After an outage of the broker that is no sign that an agent is away.
    if (!context_.reachable()) {
        for (Report& report : waiting_)
            report.until = now + patience_;
    }
    while (!waiting_.empty() && waiting_.front().until <= now) {
        Report report = std::move(waiting_.front());
        waiting_.pop_front();
        log::info("orphaned reports adopted", {{"host", report.host}, {"faults", report.faults.size()}});
        context_.adopt(report.host, report.faults, moment);
        context_.when_durable(std::move(report.done));
    }
}

}  // namespace vitalwire::controller
