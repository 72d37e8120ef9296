#pragma once

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace vitalwire::guest {

/// What the command line says; each wins over the same key of the configuration file.
struct Options {
    std::string config = "/etc/vitalwire/vitalwired.conf";
    bool config_given = false;  ///< a default file that is missing is no mistake
    std::optional<std::string> channel;
    std::optional<std::string> name;
    std::optional<base::Millis> detection_time;
    std::optional<base::Millis> interval;
    std::optional<std::string> app_socket;
    std::optional<std::string> log_level;
    bool check_config = false;
    bool help = false;
    bool version = false;
};

std::string usage();
base::Result<Options> parse_options(int argc, char* argv[]);

}  // namespace vitalwire::guest
