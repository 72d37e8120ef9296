#include "controller/alarms/orphaned_reports.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::controller {

namespace {
/// Ten hosts that leave as much as they can have room in what the broker sends at once.
constexpr std::size_t kMostMessages = 20;
constexpr std::size_t kMostFaults = 1000;
}  // namespace

OrphanedReports::OrphanedReports(base::Millis patience, Dependencies dependencies)
    : patience_(patience), context_(std::move(dependencies)) {}

std::size_t OrphanedReports::take(const base::HostId& host, Faults faults, std::function<void()> done,
                                  base::TimePoint now) {
    if (context_.connected(host)) {
        context_.when_durable(std::move(done));
        return 0;
    }
    if (waiting_.empty()) checked_ = now;
    std::size_t of_host = 0;
    Report* last = nullptr;
    for (Report& report : waiting_) {
        if (report.host != host) continue;
        ++of_host;
        last = &report;
    }
    if (of_host < kMostMessages) {
        waiting_.push_back({host, std::move(faults), std::move(done), now + patience_});
        return 0;
    }
    context_.when_durable(std::move(done));
    return join(*last, std::move(faults));
}

/// The newest of each fault counts.
std::size_t OrphanedReports::join(Report& report, Faults faults) {
    if (!std::exchange(report.joined, true))
        log::warning("an agent that is away has left many reports, the later ones wait together",
                     {{"host", report.host}});
    std::size_t refused = 0;
    for (model::Fault& fault : faults) {
        const auto same = std::find_if(report.faults.begin(), report.faults.end(),
                                       [&](const model::Fault& other) { return other.id == fault.id; });
        if (same != report.faults.end()) {
            *same = std::move(fault);
        } else if (report.faults.size() < kMostFaults) {
            report.faults.push_back(std::move(fault));
        } else {
            ++refused;
        }
    }
    return refused;
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
