#pragma once

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <queue>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "virtual_time.hpp"

namespace vitalwire::simulator {

using base::Duration;
using base::Millis;
using base::TimePoint;
using std::chrono::seconds;

/// An invariant does not hold. The message names it, when, and about whom.
class Violation : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// How much of what happens is printed.
enum class Detail : std::uint8_t { nothing, story, everything };

/// Time, chance and order: everything that happens is an event here, and two runs of one seed are the same run.
class World {
public:
    World(std::uint64_t seed, Detail detail) : random_(seed), detail_(detail) { virtual_time::begin(seed); }

    boost::asio::io_context& io() { return io_; }
    TimePoint now() const { return virtual_time::now(); }
    /// Since the beginning.
    Duration elapsed() const { return now() - TimePoint(virtual_time::kUptimeStart); }

    void at(TimePoint time, std::function<void()> call) { events_.push({time, next_number_++, std::move(call)}); }
    void after(Duration delay, std::function<void()> call) { at(now() + delay, std::move(call)); }
    void run_for(Duration time);

    bool chance(double probability) { return std::uniform_real_distribution<>(0, 1)(random_) < probability; }
    std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }
    Duration between(Duration least, Duration most) {
        return Duration(std::uniform_int_distribution<Duration::rep>(least.count(), most.count())(random_));
    }
    /// For things that happen every `mean` on average. Never so late that they outlast the end of a run.
    Duration exponential(Duration mean) {
        constexpr double kLongest = 5;
        return std::chrono::duration_cast<Duration>(mean *
                                                    std::min(kLongest, std::exponential_distribution<>(1)(random_)));
    }
    template <class Items>
    auto& pick(Items& items) {
        return items[below(std::size(items))];
    }

    /// Part of the story.
    void log(const std::string& what) const {
        if (detail_ != Detail::nothing) print(what);
    }
    bool tells_everything() const { return detail_ == Detail::everything; }
    [[noreturn]] void violated(const std::string& what) const;
    std::uint64_t events() const { return events_run_; }

private:
    struct Event {
        TimePoint time;
        std::uint64_t number;
        std::function<void()> call;
        bool operator<(const Event& other) const {
            return time != other.time ? time > other.time : number > other.number;
        }
    };

    void print(const std::string& what) const;
    std::string stamp() const;

    boost::asio::io_context io_;
    /// A context without work does not look at its timer, not even to find that it is no longer set.
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
    std::mt19937_64 random_;
    Detail detail_;
    std::priority_queue<Event> events_;
    std::uint64_t next_number_ = 0;
    std::uint64_t events_run_ = 0;
};

}  // namespace vitalwire::simulator
