#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "base/clock.hpp"

namespace vitalwire::runtime {

/// A timer that calls its function once, and never after cancel(), a new after(), or its destruction: a handler that is
/// already on its way when the timer is cancelled finds its generation gone.
class Timer {
public:
    explicit Timer(boost::asio::io_context& io) : timer_(io) {}
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    void after(base::Duration delay, std::function<void()> call) {
        cancel();
        generation_ = std::make_shared<char>();
        timer_.expires_after(delay);
        timer_.async_wait([alive = std::weak_ptr(generation_), call = std::move(call)](const auto& error) {
            if (!error && !alive.expired()) call();
        });
    }

    void cancel() {
        generation_.reset();
        timer_.cancel();
    }

private:
    boost::asio::steady_timer timer_;
    std::shared_ptr<char> generation_;
};

}  // namespace vitalwire::runtime
