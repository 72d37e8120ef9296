#include "runtime/command_line.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

namespace vitalwire::runtime {

std::optional<int> CommandLine::parse(int argc, char** argv) {
    CLI::App app(program_.purpose, program_.name);
    app.add_option("--config", file_, "configuration file (default: " + program_.default_file + " when there is one)");
    app.add_option("--set", settings_, "section.key=value or section.label.key=value, over the file; repeatable")
        ->take_all();
    app.add_flag("--check-config", check_only_, "check the configuration and exit");
    app.set_version_flag("--version", program_.name + " " + program_.version);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& end) {
        return app.exit(end);
    }
    return std::nullopt;
}

std::optional<ConfigFile> CommandLine::open(ConfigErrors& errors) const {
    ConfigFile file{"the built-in defaults", {}};
    const bool default_there = file_.empty() && std::filesystem::exists(program_.default_file);
    if (!file_.empty() || default_there) {
        auto loaded = ConfigFile::load(default_there ? program_.default_file : file_, errors);
        if (!loaded) {
            std::fprintf(stderr, "%s: %s\n", program_.name.c_str(), loaded.error().message.c_str());
            return std::nullopt;
        }
        file = std::move(*loaded);
    }
    for (const std::string& setting : settings_)
        file.set(setting, errors);
    return file;
}

void CommandLine::report(const ConfigErrors& errors) const {
    for (const ConfigError& error : errors)
        std::fprintf(stderr, "%s: %s\n", program_.name.c_str(), to_string(error).c_str());
}

}  // namespace vitalwire::runtime
