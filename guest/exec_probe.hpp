#pragma once

#include <string>

#include "guest/probe.hpp"
#include "guest/shell_run.hpp"

namespace vitalwire::guest {

/// A command of a check, or systemctl for the state of a unit.
class ExecProbe : public Probe {
public:
    ExecProbe(MonitorClock& clock, Children& children, const CheckSettings& check, Done done);

    void look() override { children_.look(); }
    void stop() override { run_.kill(); }

private:
    void ended(const ShellRun::Outcome& outcome);

    Children& children_;
    std::string unit_;  ///< of a check of type systemd
    Done done_;
    ShellRun run_;
};

}  // namespace vitalwire::guest
