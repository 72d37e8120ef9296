#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "guest/options.hpp"
#include "heartbeat/guest_session.hpp"
#include "runtime/config.hpp"
#include "wire/limits.hpp"

namespace vitalwire::guest {

enum class CheckType { exec, http, tcp, unix_socket, systemd };
/// As of the probes of Kubernetes: until every startup check has succeeded no other check runs; a readiness check that
/// fails is a warning; a failure of the others makes the guest unhealthy.
enum class CheckRole { liveness, readiness, startup };

/// What finds out whether this guest is healthy (vitalwired.conf(5), [check NAME]).
struct CheckSettings {
    std::string name;
    std::string target;  ///< command for /bin/sh -c, URL, address, path or unit
    base::Millis interval{};
    base::Millis timeout{};
    base::Millis grace{};  ///< after its first start, in which a failure does not count
    CheckType type = CheckType::exec;
    CheckRole role = CheckRole::liveness;
    std::string user;   ///< that runs the command; empty: the daemon's
    int failures = 1;   ///< in a row until it counts as failed
    int successes = 1;  ///< in a row until it counts as healthy again

    friend bool operator==(const CheckSettings&, const CheckSettings&) = default;
};

/// The socket for applications that link libvitalwire.
struct ApplicationSettings {
    std::string socket;  ///< empty: none
    std::string group;   ///< that may connect besides the daemon's user; empty: no further one
    std::size_t max = 0;
    std::size_t max_per_user = 16;  ///< of them, of one user other than root; ended ones kept of each user

    std::string notify_socket;                     ///< for services that notify as sd_notify(3) does; empty: none
    base::Millis watchdog = base::Millis(30'000);  ///< of a service that does not say its own
    std::string state;                             ///< file for what a restart must not end; empty: none

    friend bool operator==(const ApplicationSettings&, const ApplicationSettings&) = default;
};

/// The sockets of the cgcs guest SDK's applications: those of the server group by their names in the abstract
/// namespace.
struct SdkSettings {
    std::string socket;       ///< the daemon's; empty: none
    std::string application;  ///< the application's

    std::string heartbeat_socket;  ///< path of the heartbeat interface's socket; empty: none

    friend bool operator==(const SdkSettings&, const SdkSettings&) = default;
};

/// What is asked before actions of the cloud; the times are part of the heartbeat's settings.
struct ActionSettings {
    std::string event_script;  ///< command for /bin/sh -c, without its arguments; empty: none
    std::string user;          ///< that runs it; empty: the daemon's

    friend bool operator==(const ActionSettings&, const ActionSettings&) = default;
};

struct Settings {
    std::string channel;
    heartbeat::GuestSettings heartbeat;
    ActionSettings actions{};
    std::vector<CheckSettings> checks;
    ApplicationSettings applications;
    SdkSettings sdk;
    log::Level log_level = log::Level::info;
};

/// Reads the configuration file and puts the command line over it. All mistakes are in `errors` when it is absent.
std::optional<Settings> load_settings(const Options& options, runtime::ConfigErrors& errors);

/// Every value in force, one a line: `[section] key = value  (where it comes from)`.
std::string describe_settings(const Options& options, const Settings& settings);

}  // namespace vitalwire::guest
