#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vitalwire::cli {

enum ExitCode : std::uint8_t {
    kOk = 0,
    kUnhealthy = 1,    ///< status: it answers, and reports a problem; group, send: it answers, and refuses
    kUsage = 2,        ///< the command line is wrong
    kUnreachable = 3,  ///< nobody answered, or the answer was none
};

enum class Command : std::uint8_t { status, guests, faults, agents, groups, group, send, watch };

struct Options {
    Command command = Command::status;
    std::vector<std::string> controllers;  ///< URLs; the default one when none was chosen
    std::string agent;                     ///< UNIX socket of the local agent
    bool controllers_chosen = false;       ///< by option or environment
    bool agent_chosen = false;
    bool json = false;
    bool color = false;  ///< standard output is a terminal, and $NO_COLOR does not object
    // What to show; empty: everything.
    std::string host;
    std::string group;
    std::string state;
    std::string guest;
    bool all_faults = false;
    // Of group and send.
    std::string to_group;
    std::string message;
};

struct Parsed {
    std::optional<Options> options;
    int exit_code = kOk;  ///< when there are none: help was asked for, or a mistake was printed
};

/// `environment`: the value of $VITALWIRE_CONTROLLER.
Parsed parse_options(int argc, const char* const* argv, const std::string& environment);

}  // namespace vitalwire::cli
