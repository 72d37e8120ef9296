#include "host/core/restarts.hpp"

#include <algorithm>
#include <sstream>

namespace vitalwire::host {

using base::Millis;
using base::TimePoint;

namespace {

/// What is beyond is not counted.
constexpr std::size_t kMostKept = 100;
/// Where the kernel names no boot.
constexpr const char* kUnnamed = "-";

}  // namespace

Restarts::Restarts(const std::string& row, const std::string& boot, TimePoint now)
    : boot_(boot.empty() ? kUnnamed : boot) {
    const auto at = std::chrono::duration_cast<Millis>(now.time_since_epoch());
    std::istringstream words(row);
    std::string kept_boot;
    words >> kept_boot;
    for (Millis::rep start = 0; kept_boot == boot_ && words >> start;) {
        const Millis earlier{start};
        if (earlier <= at && at - earlier < kWithin) starts_.push_back(earlier);
    }
    // The first of a run of the host, or after a while, is no restart that anybody wonders about.
    starts_.push_back(at);
    if (starts_.size() > kMostKept) starts_.erase(starts_.begin(), starts_.end() - kMostKept);
}

std::string Restarts::row() const {
    std::string row = boot_;
    for (const Millis start : starts_)
        row += ' ' + std::to_string(start.count());
    return row;
}

std::string Restarts::problem() const {
    const std::size_t restarts = starts_.size() - 1;
    if (restarts < kMany) return {};
    const auto minutes = std::chrono::ceil<std::chrono::minutes>(starts_.back() - starts_.front());
    return std::string(starts_.size() == kMostKept ? "at least " : "") + std::to_string(restarts) + " times in " +
           std::to_string(std::max<std::chrono::minutes::rep>(minutes.count(), 1)) + " min";
}

TimePoint Restarts::ends_at() const {
    if (problem().empty()) return base::kNever;
    return TimePoint(starts_[starts_.size() - 1 - kMany]) + kWithin;
}

}  // namespace vitalwire::host
