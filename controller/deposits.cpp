#include "controller/deposits.hpp"

#include <utility>

#include "base/log.hpp"

namespace vitalwire::controller {

Deposits::Deposits(boost::asio::io_context& io, base::Millis patience, Surroundings surroundings)
    : patience_(patience), around_(std::move(surroundings)), timer_(io) {}

void Deposits::take(const base::HostId& host, Faults faults, std::function<void()> done) {
    if (around_.connected(host)) return around_.when_durable(std::move(done));
    waiting_.push_back({host, std::move(faults), std::move(done), base::Clock::now() + patience_});
    if (waiting_.size() == 1) arm();
}

void Deposits::agent_up(const base::HostId& host) {
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        if (at->host != host) {
            ++at;
            continue;
        }
        around_.when_durable(std::move(at->done));
        at = waiting_.erase(at);
    }
}

void Deposits::stop() {
    timer_.cancel();
    waiting_.clear();
}

void Deposits::arm() {
    if (waiting_.empty()) return;
    timer_.after(patience_ / 10, [this] { look(); });
}

void Deposits::look() {
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
        around_.take_on(deposit.host, deposit.faults);
        around_.when_durable(std::move(deposit.done));
    }
    arm();
}

}  // namespace vitalwire::controller
