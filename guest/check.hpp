#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guest/children.hpp"
#include "guest/first_line.hpp"
#include "guest/health_board.hpp"
#include "guest/judge.hpp"
#include "guest/settings.hpp"

namespace vitalwire::guest {

/// One health check: runs its command every interval, never twice at once, and tells the board what came of it.
class Check {
public:
    Check(Judge& judge, Children& children, HealthBoard& board, CheckSettings settings);
    ~Check();
    Check(const Check&) = delete;
    Check& operator=(const Check&) = delete;

    const CheckSettings& settings() const { return settings_; }
    /// Its name on the board.
    const std::string& source() const { return source_; }

private:
    void run();
    void overdue();
    void ended(Ending ending);
    void run_again();
    void report(bool healthy, const std::string& reason);

    Judge& judge_;
    Children& children_;
    HealthBoard& board_;
    CheckSettings settings_;
    std::string source_;
    JudgedTimer timer_;
    base::TimePoint first_start_;
    base::TimePoint started_;
    pid_t process_ = 0;
    bool overdue_ = false;
    std::shared_ptr<FirstLine> output_;
    std::shared_ptr<FirstLine> errors_;
};

/// What a check's end says about the guest. `output` and `errors` are first lines.
heartbeat::Health judge_ending(Ending ending, const std::string& output, const std::string& errors);

/// The configured checks.
class Checks {
public:
    Checks(Judge& judge, Children& children, HealthBoard& board);

    /// Starts what is new or changed and ends what is gone; the others go on undisturbed.
    void configure(const std::vector<CheckSettings>& settings);
    std::size_t size() const { return checks_.size(); }

private:
    Judge& judge_;
    Children& children_;
    HealthBoard& board_;
    std::vector<std::unique_ptr<Check>> checks_;
};

}  // namespace vitalwire::guest
