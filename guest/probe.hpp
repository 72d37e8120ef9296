#pragma once

#include <functional>
#include <memory>
#include <string>

#include "guest/children.hpp"
#include "guest/monitor_clock.hpp"
#include "guest/settings.hpp"
#include "heartbeat/guest_session.hpp"

namespace vitalwire::guest {

/// One run of a check: a process, or a connection.
class Probe {
public:
    using Done = std::function<void(heartbeat::Health)>;

    virtual ~Probe() = default;
    Probe(const Probe&) = delete;
    Probe& operator=(const Probe&) = delete;

    /// Handles an end that has happened but was not seen yet, for a caller that is about to judge it late.
    virtual void look() {}
    /// What it is waiting for, where it is more than an answer; empty otherwise.
    virtual std::string awaits() const { return {}; }
    /// Ends it; `done` follows as soon as nothing of it is left.
    virtual void stop() = 0;

protected:
    Probe() = default;
};

/// Starts a run of `check`. `done` is called once, not from within this function, and not after the probe is destroyed.
std::unique_ptr<Probe> start_probe(MonitorClock& clock, Children& children, const CheckSettings& check,
                                   Probe::Done done);

/// What the end of a command says about the guest. `output` and `errors` are first lines.
heartbeat::Health health_of_ending(Ending ending, const std::string& output, const std::string& errors);

}  // namespace vitalwire::guest
