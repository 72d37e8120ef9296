#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "guest/children.hpp"
#include "guest/health_board.hpp"
#include "guest/kept.hpp"
#include "guest/monitor_clock.hpp"
#include "guest/probe.hpp"
#include "guest/settings.hpp"

namespace vitalwire::guest {

/// One health check: a probe every interval, never two at once. So many failures or successes in a row change what the
/// board has: a readiness check sets a warning, the others the guest's health.
class Check {
public:
    /// `held`: true while its first run is to wait because the guest still starts.
    Check(MonitorClock& clock, Children& children, HealthBoard& board, CheckSettings settings,
          std::function<bool()> held);
    Check(const Check&) = delete;
    Check& operator=(const Check&) = delete;

    const CheckSettings& settings() const { return settings_; }
    /// True for a startup check that has not succeeded yet.
    bool is_starting() const { return settings_.role == CheckRole::startup && !succeeded_; }
    /// For people.
    std::string_view state() const;
    const std::string& reason() const { return reason_; }
    bool has_failed() const { return has_failed_; }
    bool has_run() const { return has_run_; }
    /// What it found last; before its first run.
    void restore(const std::string& reason) { failed(reason); }

private:
    void run();
    void overdue();
    void ended(const heartbeat::Health& health);
    void run_again();
    void count(const heartbeat::Health& health);
    void failed(const std::string& reason);
    void succeeded();

    MonitorClock& clock_;
    Children& children_;
    HealthBoard& board_;
    CheckSettings settings_;
    std::function<bool()> held_;
    std::string source_;
    MonitorTimer timer_;
    base::TimePoint first_start_;
    base::TimePoint started_;
    std::unique_ptr<Probe> probe_;
    bool has_run_ = false;
    bool overdue_ = false;
    int failures_ = 0;   ///< in a row
    int successes_ = 0;  ///< in a row
    bool succeeded_ = false;
    bool has_failed_ = false;  ///< what the board has, as far as this check set it
    std::string reason_;
};

/// The configured checks.
class Checks {
public:
    Checks(MonitorClock& clock, Children& children, HealthBoard& board);

    /// Starts what is new or changed and ends what is gone; the others go on undisturbed.
    void configure(const std::vector<CheckSettings>& settings);
    std::size_t size() const { return checks_.size(); }
    const std::vector<std::unique_ptr<Check>>& all() const { return checks_; }
    void keep(std::vector<Kept>& out) const;
    /// Before the first configure(): one that had failed is so until it has another result.
    void restore(const Kept& kept) { failed_before_[kept.name] = kept.health.reason; }

private:
    bool starting() const;

    MonitorClock& clock_;
    Children& children_;
    HealthBoard& board_;
    std::vector<std::unique_ptr<Check>> checks_;
    std::map<std::string, std::string> failed_before_;  ///< reasons by name, of those that are to be made again
};

}  // namespace vitalwire::guest
