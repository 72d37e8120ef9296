#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>

namespace vitalwire::controller {

/// An event loop that a test runs until what it waits for has happened.
class Loop {
public:
    boost::asio::io_context io{1};

    /// False when it has not happened in time.
    template <class Condition>
    bool until(Condition condition, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!condition()) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            if (io.stopped()) io.restart();
            io.run_one_for(std::chrono::milliseconds(20));
        }
        return true;
    }

    /// Handles what is ready now.
    void poll() {
        if (io.stopped()) io.restart();
        io.poll();
    }
};

}  // namespace vitalwire::controller
