#include "runtime/reload.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::runtime {

Reloader::Reloader(ConfigValues running, std::vector<std::string> applicable, Take take)
    : Reloader(
          std::move(running),
          [applicable = std::move(applicable)](const std::string& section, const std::string& key) {
              return std::any_of(applicable.begin(), applicable.end(), [&](const std::string& form) {
                  return form == section || form == section + ' ' + key;
              });
          },
          std::move(take)) {}

Reloader::Reloader(ConfigValues running, Applies applies, Take take)
    : running_(std::move(running)), applies_(std::move(applies)), take_(std::move(take)) {}

ReloadReport Reloader::operator()() {
    ReloadReport report = run_quietly(take_);
    if (report.mistakes.empty()) return report;
    for (const std::string& mistake : report.mistakes)
        log::error("mistake in the configuration", {{"what", mistake}});
    log::error("the configuration has mistakes, continuing with the one before",
               {{"mistakes", report.mistakes.size()}});
    return report;
}

ReloadReport Reloader::run_quietly(const Take& take) {
    ConfigErrors errors;
    if (const auto values = take(errors)) return compare(*values);
    ReloadReport report;
    for (const ConfigError& error : errors)
        report.mistakes.push_back(to_string(error));
    return report;
}

ReloadReport Reloader::compare(const ConfigValues& values) {
    ReloadReport report;
    for (const ConfigChange& change : differences(running_, values)) {
        const bool applied = applies_(change.section, change.key);
        (applied ? report.applied : report.needs_restart).push_back(to_string(change));
        if (!applied && change.of_content) report.waiting_files.push_back(to_string(change));
        if (applied) {
            log::info("configuration changed", {{"applied", report.applied.back()}});
        } else {
            log::warning("a change of the configuration needs a restart", {{"what", report.needs_restart.back()}});
        }
    }
    log::info("configuration reloaded",
              {{"applied", report.applied.size()}, {"needs_restart", report.needs_restart.size()}});
    // What needs a restart stays different until then.
    std::erase_if(running_, [&](const ConfigValue& value) { return applies_(value.section, value.key); });
    for (const ConfigValue& value : values) {
        if (applies_(value.section, value.key)) running_.push_back(value);
    }
    return report;
}

}  // namespace vitalwire::runtime
