#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "cli/table.hpp"

namespace vitalwire::cli {

enum ExitCode : std::uint8_t {
    kOk = 0,
    kUnhealthy = 1,    ///< status: it answers, and reports a problem; other commands: it answers, and rejects
    kUsage = 2,        ///< the command line is wrong
    kUnreachable = 3,  ///< nobody answered, or the answer was none
    kWriteFailed = 4,  ///< the output could not be written
};

enum class Command : std::uint8_t {
    status,
    guests,
    guest,
    faults,
    fault,
    agents,
    host,
    groups,
    group,
    send,
    close,
    ack,
    forget,
    maintenance,
    reload,
    coverage,
    events,
    top,
    watch,
    doctor,
};

enum class Format : std::uint8_t { table, wide, json, yaml, csv };

struct Options {
    Command command = Command::status;
    std::vector<std::string> controllers;  ///< URLs; the default one when none was chosen
    std::string agent;                     ///< UNIX socket of the local agent
    bool controllers_chosen = false;       ///< by option or environment
    std::string token;                     ///< sent to controllers over TCP; empty: none
    std::string ca_file;                   ///< of their certificates; empty: the system's
    bool agent_chosen = false;
    Format format = Format::table;
    Style style;
    // What to show; empty: everything.
    std::string host;
    std::string group;
    std::string state;
    std::string guest;
    bool all = false;
    /// guest, fault, host, group, send, close: the one that is meant, by id, name or prefix.
    std::string target;
    std::string message;       ///< of send; the reason of close and maintenance, the note of ack
    std::string action;        ///< of maintenance: guest, host, group, all, end, or list
    std::int64_t seconds = 0;  ///< how long maintenance lasts
    bool notify = false;       ///< of maintenance: its guests are notified
    bool force = false;        ///< of maintenance: its guests' votes do not count
    // events
    std::optional<base::WallTime> since;
    std::optional<base::WallTime> until;
    bool follow = false;

    bool machine_readable() const { return format == Format::json || format == Format::yaml || format == Format::csv; }
};

struct Parsed {
    std::optional<Options> options;
    int exit_code = kOk;  ///< when there are none: help was asked for, or a mistake was printed
};

/// The value of a variable; empty when it is not set.
using Environment = std::function<std::string(const char* name)>;

/// Reads $VITALWIRE_CONTROLLER, $VITALWIRE_TOKEN_FILE and $VITALWIRE_CA_FILE where the options do not say.
Parsed parse_options(int argc, const char* const* argv, const Environment& environment);

}  // namespace vitalwire::cli
