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

    /// Returns what `read(const ConfigFile&, ConfigErrors&)` makes of the configuration. If it has mistakes, prints
    /// them on standard error and returns nothing.
    template <class Read>
    auto load(Read read) const {
        return load(read, &CommandLine::print);
    }
    /// The same in a running daemon: mistakes are logged, because printing may block.
    template <class Read>
    auto reload(Read read) const {
        return load(read, &CommandLine::log);
    }

private:
    using Report = void (CommandLine::*)(const std::string& mistake) const;

    template <class Read>
    auto load(Read read, Report report) const {
        ConfigErrors errors;
        const auto file = open(errors);
        std::optional<decltype(read(*file, errors))> config;
        if (file) config = read(*file, errors);
        for (const ConfigError& error : errors)
            (this->*report)(to_string(error));
        if (!errors.empty()) config.reset();
        return config;
    }
    std::optional<ConfigFile> open(ConfigErrors& errors) const;
    void print(const std::string& mistake) const;
    void log(const std::string& mistake) const;

    Program program_;
    std::string file_;
    std::vector<std::string> settings_;
    bool check_only_ = false;
};

}  // namespace vitalwire::runtime
