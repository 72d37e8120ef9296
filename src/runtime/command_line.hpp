#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/config.hpp"

namespace vitalwire::runtime {

/// The command line of a daemon with a configuration file: --config, --set, --check-config, --print-config,
/// --version, --help.
class CommandLine {
public:
    struct Program {
        std::string name;
        std::string purpose;  ///< one sentence, for --help
        std::string version;
        std::string default_file;    ///< read when no other is named; it may be missing
        std::string unit_user = {};  ///< whose rights count when root checks the configuration; empty: root's own
        std::string unit_group = {};
    };

    template <class Config>
    struct Loaded {
        Config config;
        ConfigValues values;           ///< that `config` was made of
        std::vector<NamedFile> files;  ///< that it names
        ConfigFile file;               ///< that it was read from
    };

    explicit CommandLine(Program program) : program_(std::move(program)) {}

    /// The status to exit with, when there is nothing left to do.
    std::optional<int> parse(int argc, char** argv);
    bool check_only() const { return check_only_; }
    bool print_only() const { return print_only_; }
    /// Returns the status to exit with.
    int print_values(const ConfigValues& values) const;

    /// Returns what `read(const ConfigFile&, ConfigErrors&)` makes of the configuration. If it has mistakes, prints
    /// them on standard error and returns nothing.
    template <class Read>
    auto load(Read read) const {
        ConfigErrors errors;
        auto loaded = load(read, errors);
        for (const ConfigError& error : errors)
            print(to_string(error));
        return loaded;
    }
    /// The same in a running daemon: mistakes are the caller's, because printing may block.
    template <class Read>
    auto load(Read read, ConfigErrors& errors) const {
        using Config = decltype(read(std::declval<const ConfigFile&>(), errors));
        std::optional<Loaded<Config>> loaded;
        if (const auto file = open(errors)) loaded = read_from(*file, read, errors);
        return loaded;
    }
    /// What the files that the configuration names hold now; the configuration itself is as it was loaded.
    template <class Config, class Read>
    static std::optional<Loaded<Config>> load_files(const Loaded<Config>& before, Read read, ConfigErrors& errors) {
        ConfigFile file = before.file;
        file.values = std::make_shared<TakenValues>();
        return read_from(file, read, errors);
    }

private:
    template <class Read>
    static auto read_from(const ConfigFile& file, Read read, ConfigErrors& errors) {
        using Config = decltype(read(file, errors));
        std::optional<Loaded<Config>> loaded;
        Config config = read(file, errors);
        if (errors.empty())
            loaded.emplace(Loaded<Config>{std::move(config), file.values->list(), file.values->files(), file});
        return loaded;
    }
    std::optional<ConfigFile> open(ConfigErrors& errors) const;
    void print(const std::string& mistake) const;

    Program program_;
    std::string file_;
    std::vector<std::string> settings_;
    bool check_only_ = false;
    bool print_only_ = false;
};

}  // namespace vitalwire::runtime
