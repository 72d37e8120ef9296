#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/config.hpp"

namespace vitalwire::runtime {

/// What a reload did. With mistakes it did nothing.
struct ReloadReport {
    std::vector<std::string> mistakes;
    std::vector<std::string> applied;        ///< "[heartbeat] detection_time: 900 ms -> 600 ms"
    std::vector<std::string> needs_restart;  ///< the same, of what the running process does not have yet
    std::vector<std::string>
        waiting_files;  ///< those of `needs_restart` of which only the content of a file is another
};

/// Reads the configuration of a running daemon again, and tells what of it is in force now.
class Reloader {
public:
    /// Reads it and applies what can be applied; returns its values, or nothing when there are mistakes.
    using Take = std::function<std::optional<ConfigValues>(ConfigErrors&)>;

    /// True if what `take` has just taken applies this key of "[section]".
    using Applies = std::function<bool(const std::string& section, const std::string& key)>;

    /// `running`: what the daemon was started with. `applicable`: what `take` applies, each "[section] key" or
    /// "[section]" for all of its keys.
    Reloader(ConfigValues running, std::vector<std::string> applicable, Take take);
    Reloader(ConfigValues running, Applies applies, Take take);

    /// Also logs the report.
    ReloadReport operator()();
    /// What another `take` reads, which is tried again and again: mistakes are the caller's to show.
    ReloadReport run_quietly(const Take& take);

private:
    ReloadReport compare(const ConfigValues& values);

    ConfigValues running_;
    Applies applies_;
    Take take_;
};

}  // namespace vitalwire::runtime
