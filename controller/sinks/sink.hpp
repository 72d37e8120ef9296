#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "controller/alarm.hpp"

namespace vitalwire::runtime {
class HttpClient;
}

namespace vitalwire::controller {

class Keystone;

/// How an attempt to tell a receiver ended.
struct Outcome {
    enum class Kind : std::uint8_t {
        confirmed,  ///< there is proof that the receiver has it
        retry,      ///< the receiver cannot be reached or cannot work now
        refused,    ///< the receiver works and does not take this one
    };
    Kind kind = Kind::confirmed;
    std::string why;  ///< for operators; empty when confirmed; holds no secret

    static Outcome confirmed() { return {}; }
    static Outcome retry(std::string why) { return {Kind::retry, std::move(why)}; }
    static Outcome refused(std::string why) { return {Kind::refused, std::move(why)}; }
};

/// A way out for faults. It carries one event at a time and says how that ended; order, repetition and back-off are
/// not its business (delivery.hpp).
class Sink {
public:
    using Done = std::function<void(Outcome)>;

    virtual ~Sink() = default;
    /// Calls `done` once, within the call or later on the event loop. Events of different guests come in parallel.
    virtual void deliver(const AlarmEvent& event, Done done) = 0;
};

/// What a sink may use.
struct SinkContext {
    boost::asio::io_context& io;
    runtime::HttpClient& http;
    Keystone* keystone = nullptr;  ///< there for the types of sink that need OpenStack
};

}  // namespace vitalwire::controller
