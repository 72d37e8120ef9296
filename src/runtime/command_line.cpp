#include "runtime/command_line.hpp"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "base/log.hpp"
#include "runtime/standard_output.hpp"

namespace vitalwire::runtime {

namespace {
constexpr int kBadUsage = 2;

/// Root may read and write what the unit may not: a check is made with the unit's rights, where its user exists.
void take_rights_of(const std::string& user, const std::string& group) {
    if (user.empty() || geteuid() != 0) return;
    // NOLINTBEGIN(concurrency-mt-unsafe): there are no threads yet
    const passwd* entry = getpwnam(user.c_str());
    if (entry == nullptr) return;
    const uid_t uid = entry->pw_uid;
    gid_t gid = entry->pw_gid;
    if (const struct group* found = getgrnam(group.c_str()); found != nullptr) gid = found->gr_gid;
    // NOLINTEND(concurrency-mt-unsafe)
    const bool taken = initgroups(user.c_str(), gid) == 0 && setgid(gid) == 0 && setuid(uid) == 0;
    if (!taken) vitalwire::log::warning("cannot take the rights of the unit's user", {{"user", user}});
}

}  // namespace

std::optional<int> CommandLine::parse(int argc, char** argv) {
    CLI::App app(program_.purpose, program_.name);
    app.add_option("--config", file_, "configuration file (default: " + program_.default_file + " when there is one)");
    app.add_option("--set", settings_, "section.key=value or section.label.key=value, over the file; repeatable")
        ->take_all();
    app.add_flag("--check-config", check_only_, "check the configuration and exit");
    app.add_flag("--print-config", print_only_, "print the values in force, where each is from, and exit");
    app.set_version_flag("--version", program_.name + " " + program_.version);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& end) {
        return app.exit(end) == 0 ? finish_output(program_.name, 0) : kBadUsage;
    }
    return std::nullopt;
}

int CommandLine::print_values(const ConfigValues& values) const {
    return print_and_finish(program_.name, to_text(values));
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
    file.only_checked = check_only_;
    if (check_only_) take_rights_of(program_.unit_user, program_.unit_group);
    return file;
}

void CommandLine::print(const std::string& mistake) const {
    std::fprintf(stderr, "%s: %s\n", program_.name.c_str(), mistake.c_str());
}

}  // namespace vitalwire::runtime
