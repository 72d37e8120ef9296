#include "runtime/command_line.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "base/log.hpp"

namespace vitalwire::runtime {

namespace {
constexpr int kBadUsage = 2;
}

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
        return app.exit(end) == 0 ? 0 : kBadUsage;
    }
    return std::nullopt;
}

std::optional<ConfigFile> CommandLine::open(ConfigErrors& errors) const {
    ConfigFile file{"the built-in defaults", {}};
    const bool default_there = file_.empty() && std::filesystem::exists(program_.default_file);
    if (!file_.empty() || default_there) {
        auto loaded = ConfigFile::load(default_there ? program_.default_file : file_, errors);
        if (!loaded) {
            errors.push_back({"", 0, loaded.error().message});
            return std::nullopt;
        }
        file = std::move(*loaded);
    }
    for (const std::string& setting : settings_)
        file.set(setting, errors);
    return file;
}

void CommandLine::print(const std::string& mistake) const {
    std::fprintf(stderr, "%s: %s\n", program_.name.c_str(), mistake.c_str());
}

void CommandLine::log(const std::string& mistake) const {
    vitalwire::log::error(mistake);
}

}  // namespace vitalwire::runtime
