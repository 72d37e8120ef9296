#pragma once

#include <memory>
#include <string>

#include "guest/first_line.hpp"
#include "guest/probe.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// A command of a check, or systemctl for the state of a unit.
class ExecProbe : public Probe {
public:
    ExecProbe(MonitorClock& clock, Children& children, const CheckSettings& check, Done done);
    ~ExecProbe() override;

    void look() override { children_.look(); }
    void stop() override {
        if (process_ != 0) children_.kill(process_);
    }

private:
    void ended(Ending ending);

    Children& children_;
    std::string unit_;  ///< of a check of type systemd
    Done done_;
    runtime::Timer failed_;
    pid_t process_ = 0;
    std::shared_ptr<FirstLine> output_;
    std::shared_ptr<FirstLine> errors_;
};

}  // namespace vitalwire::guest
