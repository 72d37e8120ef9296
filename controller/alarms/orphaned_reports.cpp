#include "controller/alarms/orphaned_reports.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::controller {

namespace {
/// Ten hosts that leave as much as they can have room in what the broker sends at once.
constexpr std::size_t kMostMessages = 20;
constexpr std::size_t kMostFaults = 1000;
/// The disk is written no more often for what a host leaves beyond that.
constexpr base::Millis kKeepPause{100};
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
        waiting_.push_back({host, std::move(faults), std::move(done), now + patience_, false, {}});
        return 0;
    }
    return join(*last, std::move(faults), std::move(done), now);
}

void OrphanedReports::restore(const base::HostId& host, Faults faults, base::TimePoint now) {
    if (waiting_.empty()) checked_ = now;
    Report report{host, std::move(faults), [] {}, now + patience_, true, {}};
    for (const model::Fault& fault : report.faults)
        report.kept.insert(fault.id);
    waiting_.push_back(std::move(report));
}

/// The newest of each fault counts.
std::size_t OrphanedReports::join(Report& report, Faults faults, std::function<void()> done, base::TimePoint now) {
    if (!std::exchange(report.joined, true))
        log::warning("an agent that is away has left many reports, the later ones wait together",
                     {{"host", report.host}});
    std::size_t refused = 0;
    for (model::Fault& fault : faults) {
        const auto same = std::find_if(report.faults.begin(), report.faults.end(),
                                       [&](const model::Fault& other) { return other.id == fault.id; });
        if (same == report.faults.end() && report.faults.size() >= kMostFaults) {
            ++refused;
            continue;
        }
        report.to_keep.insert(fault.id);
        if (same != report.faults.end()) {
            *same = std::move(fault);
        } else {
            report.faults.push_back(std::move(fault));
        }
    }
    report.joined_done.push_back(std::move(done));
    keep_due_ = std::min(keep_due_, now + kKeepPause);
    return refused;
}

void OrphanedReports::keep_joined() {
    keep_due_ = base::kNever;
    for (Report& report : waiting_) {
        if (report.to_keep.empty() && report.joined_done.empty()) continue;
        for (const model::Fault& fault : report.faults) {
            if (report.to_keep.contains(fault.id)) context_.put(report.host, fault);
        }
        report.kept.merge(report.to_keep);
        report.to_keep.clear();
        for (auto& done : std::exchange(report.joined_done, {}))
            context_.when_durable(std::move(done));
    }
}

/// Its faults are in the table now, or their agent is here.
void OrphanedReports::finish(Report& report) {
    for (const base::FaultId& fault : report.kept)
        context_.erase(report.host, fault);
    context_.when_durable(std::move(report.done));
    for (auto& done : std::exchange(report.joined_done, {}))
        context_.when_durable(std::move(done));
}

void OrphanedReports::agent_up(const base::HostId& host) {
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        if (at->host != host) {
            ++at;
            continue;
        }
        finish(*at);
        at = waiting_.erase(at);
    }
}

void OrphanedReports::stop() {
    waiting_.clear();
    keep_due_ = base::kNever;
}

base::TimePoint OrphanedReports::next_due() const {
    return waiting_.empty() ? base::kNever : std::min(keep_due_, checked_ + patience_ / 10);
}

void OrphanedReports::tick(base::Moment moment) {
    const base::TimePoint now = moment.steady;
    if (now < next_due()) return;
    if (now >= keep_due_) keep_joined();
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
        finish(report);
    }
}

}  // namespace vitalwire::controller
