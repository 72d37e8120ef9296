#include <cstdio>
#include <exception>
#include <string>

#include "base/log.hpp"
#include "guest/children.hpp"
#include "guest/guest_daemon.hpp"
#include "guest/options.hpp"
#include "guest/settings.hpp"
#include "runtime/daemon.hpp"
#include "runtime/logging.hpp"
#include "runtime/notify.hpp"
#include "runtime/standard_output.hpp"

namespace vitalwire::guest {
namespace {

constexpr const char* kProgram = "vitalwired";
constexpr int kFailure = 1;
constexpr int kBadUsage = 2;
constexpr int kStartsAllTheSame = 3;

void reload(const Options& options, GuestDaemon& guest) {
    runtime::ConfigErrors mistakes;
    const auto settings = load_settings(options, mistakes);
    for (const auto& mistake : mistakes)
        log::error(to_string(mistake));
    if (!settings) return log::error("the configuration was not reloaded, the earlier one stays in force");
    log::set_level(settings->log_level);
    guest.reload(*settings);
}

/// True when nothing is wrong but what may be there later.
bool starts(Options options) {
    options.check_config = false;
    runtime::ConfigErrors ignored;
    return load_settings(options, ignored).has_value();
}

int run(const Options& options) {
    runtime::ConfigErrors mistakes;
    const auto settings = load_settings(options, mistakes);
    for (const auto& mistake : mistakes)
        std::fprintf(stderr, "vitalwired: %s\n", to_string(mistake).c_str());
    if (!settings) return options.check_config && starts(options) ? kStartsAllTheSame : kBadUsage;
    if (options.check_config) return runtime::print_and_finish(kProgram, describe_settings(options, *settings));
    runtime::start_logging(settings->log_level, runtime::kGuestLogBuffer);
    // Each application takes two descriptors.
    keep_file_limit_of_commands();
    runtime::raise_file_limit();
    runtime::Daemon daemon;
    GuestDaemon guest(daemon.io(), *settings);
    guest.on_status(runtime::notify_status);
    daemon.on_reload([&] { reload(options, guest); });
    daemon.on_stop([&](const std::function<void()>& finished) {
        guest.stop();
        finished();
    });
    guest.start();
    runtime::notify_ready();
    daemon.run();
    return 0;
}

}  // namespace
}  // namespace vitalwire::guest

int main(int argc, char* argv[]) {
    using namespace vitalwire;
    const auto options = guest::parse_options(argc, argv);
    if (!options) {
        std::fprintf(stderr, "vitalwired: %s\n", options.error().message.c_str());
        return guest::kBadUsage;
    }
    if (options->help) return runtime::print_and_finish(guest::kProgram, guest::usage());
    if (options->version) return runtime::print_and_finish(guest::kProgram, "vitalwired " VITALWIRE_VERSION "\n");
    try {
        return guest::run(*options);
    } catch (const std::exception& problem) {
        log::error("vitalwired ends", {{"why", problem.what()}});
        return guest::kFailure;
    }
}
