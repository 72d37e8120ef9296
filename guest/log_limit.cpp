#include "guest/log_limit.hpp"

#include <iterator>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::guest {

namespace {

/// Names may be made up one after the other: those beyond share one count.
constexpr std::size_t kMaxLogSources = 64;
constexpr const char* kOtherSources = "others";

}  // namespace

bool LogLimit::take(base::TimePoint now, const std::string& source) {
    Source& limited = find(now, source);
    if (!limited.lines.has(now, 1) || !all_.take(now)) {
        ++limited.unlogged;
        return false;
    }
    limited.lines.take(now);
    if (const auto count = std::exchange(limited.unlogged, 0); count > 0)
        log::warning("log lines left out, there were too many", {{"source", source}, {"count", count}});
    return true;
}

LogLimit::Source& LogLimit::find(base::TimePoint now, const std::string& source) {
    const auto known = sources_.find(source);
    if (known != sources_.end()) return known->second;
    if (sources_.size() >= kMaxLogSources) {
        // Those that were quiet since have all their lines again, and need not be known for that.
        std::uint64_t unlogged = 0;
        for (auto each = sources_.begin(); each != sources_.end();) {
            const bool quiet = each->second.lines.has(now, kAtOnce);
            if (quiet) unlogged += each->second.unlogged;
            each = quiet ? sources_.erase(each) : std::next(each);
        }
        if (unlogged > 0) sources_.try_emplace(kOtherSources, fresh()).first->second.unlogged += unlogged;
    }
    const std::string& name = sources_.size() < kMaxLogSources ? source : kOtherSources;
    return sources_.try_emplace(name, fresh()).first->second;
}

}  // namespace vitalwire::guest
