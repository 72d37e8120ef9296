#include "controller/alarms/orphaned_reports.hpp"

#include <utility>

#include "base/log.hpp"

namespace vitalwire::controller {

OrphanedReports::OrphanedReports(boost::asio::io_context& io, base::Millis patience, Dependencies surroundings)
    : patience_(patience), around_(std::move(surroundings)), timer_(io) {}

void OrphanedReports::take(const base::HostId& host, Faults faults, std::function<void()> done) {
    if (around_.connected(host)) return around_.when_durable(std::move(done));
    waiting_.push_back({host, std::move(faults), std::move(done), base::Clock::now() + patience_});
    if (waiting_.size() == 1) arm();
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
    timer_.cancel();
    waiting_.clear();
}

void OrphanedReports::arm() {
    if (waiting_.empty()) return;
    timer_.after(patience_ / 10, [this] { look(); });
}

void OrphanedReports::look() {
    const base::TimePoint now = base::Clock::now();
    // After an outage of the broker that is no sign that an agent is away.
    if (!around_.reachable()) {
        for (Deposit& deposit : waiting_)
            deposit.until = now + patience_;
    }
    while (!waiting_.empty() && waiting_.front().until <= now) {
        Deposit deposit = std::move(waiting_.front());
        waiting_.pop_front();
        log::info("takes on what an agent left that is away",
                  {{"host", deposit.host}, {"faults", deposit.faults.size()}});
        around_.adopt(deposit.host, deposit.faults);
        around_.when_durable(std::move(deposit.done));
    }
    arm();
}

}  // namespace vitalwire::controller
