#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/config.hpp"

namespace vitalwire::runtime {

/// The command line of a daemon with a configuration file: --config, --set, --check-config, --version, --help.
class CommandLine {
public:
    struct Program {
        std::string name;
        std::string purpose;  ///< one sentence, for --help
        std::string version;
        std::string default_file;  ///< read when no other is named; it may be missing
    };

    explicit CommandLine(Program program) : program_(std::move(program)) {}

    /// The status to exit with, when there is nothing left to do.
    std::optional<int> parse(int argc, char** argv);
    bool check_only() const { return check_only_; }

    /// What `read(const ConfigFile&, ConfigErrors&)` makes of the configuration. Every mistake goes to standard error,
    /// and then there is none. May be called again for a reload.
    template <class Read>
    auto load(Read read) const {
        ConfigErrors errors;
        const auto file = open(errors);
        std::optional<decltype(read(*file, errors))> config;
        if (file) config = read(*file, errors);
        report(errors);
        if (!errors.empty()) config.reset();
        return config;
    }

private:
    std::optional<ConfigFile> open(ConfigErrors& errors) const;
    void report(const ConfigErrors& errors) const;

    Program program_;
    std::string file_;
    std::vector<std::string> settings_;
    bool check_only_ = false;
};

}  // namespace vitalwire::runtime
