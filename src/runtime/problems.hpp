#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace vitalwire::runtime {

/// What is wrong with a daemon now, since when: what `/v1/status` shows. A problem is logged when it begins and when it
/// ends, not while it lasts.
class Problems {
public:
    struct Problem {
        std::string what;  ///< a fixed sentence of ours, with at most the name of a part: "sink doctor: cannot deliver"
        std::string detail;  ///< the newest reason; may come from outside
        base::WallTime since{};
    };

    /// A core passes its own clock.
    explicit Problems(std::function<base::WallTime()> now = std::chrono::system_clock::now) : now_(std::move(now)) {}

    /// Begins the problem, or renews its detail.
    void raise(const std::string& what, const std::string& detail);
    /// Ends it, when it was there.
    void clear(const std::string& what);
    /// raise or clear, by whether `detail` says anything.
    void set(const std::string& what, const std::string& detail);

    bool empty() const { return problems_.empty(); }
    std::size_t size() const { return problems_.size(); }
    std::vector<Problem> list() const;  ///< the oldest first
    /// Another number whenever a problem began or ended, or has another detail.
    std::uint64_t version() const { return version_; }

private:
    std::function<base::WallTime()> now_;
    std::map<std::string, Problem> problems_;
    std::uint64_t version_ = 0;
};

}  // namespace vitalwire::runtime
