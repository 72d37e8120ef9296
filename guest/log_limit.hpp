#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/clock.hpp"
#include "base/token_bucket.hpp"

namespace vitalwire::guest {

/// For log lines that applications and services cause at will: each source has so many, and all of them together, so
/// that none fills the disk. How many were left out is a line of its own, before the next one of that source.
class LogLimit {
public:
    /// True when a line about `source` may be written.
    bool take(base::TimePoint now, const std::string& source);

private:
    struct Source {
        base::TokenBucket lines;
        std::uint64_t unlogged = 0;
    };
    static Source fresh() { return {{kPerSecond, kAtOnce}}; }
    Source& find(base::TimePoint now, const std::string& source);

    std::map<std::string, Source> sources_;
    base::TokenBucket all_{kAllPerSecond, kAllAtOnce};

    static constexpr double kPerSecond = 1;
    static constexpr double kAtOnce = 10;
    static constexpr double kAllPerSecond = 5;
    static constexpr double kAllAtOnce = 100;
};

}  // namespace vitalwire::guest
