#include "host/core/controller_clocks.hpp"

namespace vitalwire::host {

namespace {

base::WallTime::duration beyond_steady(base::WallTime wall, base::TimePoint steady) {
    return wall.time_since_epoch() - std::chrono::duration_cast<base::WallTime::duration>(steady.time_since_epoch());
}

}  // namespace

void ControllerClocks::said(std::size_t link, const std::string& controller, base::WallTime time,
                            const base::Moment& at) {
    if (time == base::WallTime{}) return lost(link);
    clocks_[link] = {controller, beyond_steady(time, at.steady)};
}

std::string ControllerClocks::problem(const base::Moment& at) const {
    std::string text;
    for (const auto& [link, clock] : clocks_) {
        const auto ahead = beyond_steady(at.wall, at.steady) - clock.beyond_steady;
        if (std::chrono::abs(ahead) <= kAgree) continue;
        const auto seconds = std::chrono::round<std::chrono::seconds>(std::chrono::abs(ahead)).count();
        text += (text.empty() ? "it is " : ", ") + std::to_string(seconds) + " s " +
                (ahead.count() > 0 ? "ahead of " : "behind ") + clock.controller;
    }
    return text;
}

}  // namespace vitalwire::host
