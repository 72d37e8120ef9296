#pragma once

#include <optional>
#include <string>
#include <vector>

#include "guest/app_protocol.hpp"

namespace vitalwire::guest {

// The commands of vitalwire-app. Each returns the exit status of the program.

struct AppCommand {
    std::string socket;  ///< empty: as libvitalwire has it
    std::vector<std::string> operands;
    std::vector<std::string> program;  ///< what comes after "--"
    std::string on_action;             ///< run: the command that is asked about actions of the cloud; empty: none
    std::optional<base::Millis> timeout;
    std::optional<base::Millis> every;
    bool json = false;
};

int complain(const std::string& what);
/// The program's own exit status, 128 and the signal that ended it, 124 after the timeout, 126 or 127 when it cannot be
/// started: as timeout(1) and the shell have it.
int run_watched(const AppCommand& command);
int send_report(const AppCommand& command);
int send_forget(const AppCommand& command);
int print_list(const AppCommand& command);
/// 0: healthy and watched by a host; 1: unhealthy; 3: no host watches it, or vitalwired is not there.
int print_status(const AppCommand& command);

/// One request to vitalwired and its answer.
base::Result<app::Event> ask_daemon(const std::string& socket, const app::Request& request);

}  // namespace vitalwire::guest
