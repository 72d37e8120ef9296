#include "host/core/controller_clocks.hpp"

namespace vitalwire::host {

void ControllerClocks::said(std::size_t link, const std::string& controller, base::WallTime time,
                            const base::Moment& at) {
    if (time == base::WallTime{}) return lost(link);
    clocks_[link] = {controller, base::Moment{at.steady, time}.beyond_steady()};
}

base::WallTime ControllerClocks::time(std::size_t link, const base::Moment& at) const {
    const auto known = clocks_.find(link);
    return known == clocks_.end() ? at.wall : at.wall - (at.beyond_steady() - known->second.beyond_steady);
}

std::string ControllerClocks::problem(const base::Moment& at) const {
    std::string text;
    for (const auto& [link, clock] : clocks_) {
        const auto ahead = at.beyond_steady() - clock.beyond_steady;
        if (std::chrono::abs(ahead) <= kAgree) continue;
        const auto seconds = std::chrono::round<std::chrono::seconds>(std::chrono::abs(ahead)).count();
        text += (text.empty() ? "it is " : ", ") + std::to_string(seconds) + " s " +
                (ahead.count() > 0 ? "ahead of " : "behind ") + clock.controller;
    }
    return text;
}

}  // namespace vitalwire::host
