// vitalwire-app: health for scripts and unmodified programs, without a line of code.
#include <getopt.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "guest/app_command.hpp"
#include "runtime/standard_output.hpp"

namespace vitalwire::guest {
namespace {

constexpr int kBadUsage = 2;
constexpr double kMostSeconds = 7 * 24 * 3600;

constexpr const char* kUsage =
    "usage: vitalwire-app run NAME [options] -- COMMAND [ARGUMENT...]\n"
    "                                  runs COMMAND, watched as application NAME; its end is the verdict\n"
    "       vitalwire-app report NAME healthy|unhealthy [options] [WHY]\n"
    "                                  reports the health of something; it stays until reported again\n"
    "       vitalwire-app forget NAME  a report, or an application that ended, counts no longer\n"
    "       vitalwire-app list         prints everything that is watched in this guest\n"
    "       vitalwire-app status       prints how this guest is, why, and whether a host watches it\n"
    "  -s, --socket PATH      socket of vitalwired (default $VITALWIRE_SOCKET, else /run/vitalwire/guest.sock)\n"
    "  -t, --timeout SECONDS  run: COMMAND is ended after that time; the verdict is unhealthy\n"
    "  -a, --on-action COMMAND\n"
    "                         run: is run as COMMAND revocable|irrevocable EVENT before actions of the cloud;\n"
    "                         exit 1 rejects, and the first line that it prints says why\n"
    "  -e, --every SECONDS    report: is to be renewed in that time, or it turns unhealthy by itself\n"
    "  -j, --json             list, status: prints JSON\n"
    "  -V, --version\n"
    "  -h, --help\n"
    "See vitalwire-app(1).\n";

constexpr option kOptions[] = {{"socket", required_argument, nullptr, 's'},
                               {"timeout", required_argument, nullptr, 't'},
                               {"on-action", required_argument, nullptr, 'a'},
                               {"every", required_argument, nullptr, 'e'},
                               {"json", no_argument, nullptr, 'j'},
                               {"version", no_argument, nullptr, 'V'},
                               {"help", no_argument, nullptr, 'h'},
                               {nullptr, 0, nullptr, 0}};

int wrong_usage(const std::string& what) {
    std::fprintf(stderr, "vitalwire-app: %s; see vitalwire-app --help\n", what.c_str());
    return kBadUsage;
}

std::optional<base::Millis> parse_seconds(std::string_view text) {
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    if (!(seconds >= 0.1 && seconds <= kMostSeconds)) return std::nullopt;
    return base::Millis(static_cast<std::int64_t>(seconds * 1000));
}

/// Reads options; the status to end with when there is nothing more to do.
std::optional<int> parse_options(int argc, char* argv[], AppCommand& command) {
    const auto time = [&](const char* name, std::optional<base::Millis>& value) -> std::optional<int> {
        value = parse_seconds(optarg);
        if (value) return std::nullopt;
        return wrong_usage(std::string(name) + ": expected seconds from 0.1 to 604800, found '" + optarg + "'");
    };
    // "-": operands come as they stand, so that options may follow them, and "--" ends options.
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
    for (int found = 0; (found = getopt_long(argc, argv, "-s:t:a:e:jVh", kOptions, nullptr)) != -1;) {
        std::optional<int> end;
        switch (found) {
            case 1:
                command.operands.emplace_back(optarg);
                break;
            case 's':
                command.socket = optarg;
                break;
            case 't':
                end = time("--timeout", command.timeout);
                break;
            case 'a':
                command.on_action = optarg;
                if (command.on_action.empty()) end = wrong_usage("--on-action: expected a command, found ''");
                break;
            case 'e':
                end = time("--every", command.every);
                break;
            case 'j':
                command.json = true;
                break;
            case 'V':
                return runtime::print_and_finish("vitalwire-app", "vitalwire-app " VITALWIRE_VERSION "\n");
            case 'h':
                return runtime::print_and_finish("vitalwire-app", kUsage);
            default:
                return wrong_usage("an option is wrong");
        }
        if (end) return end;
    }
    for (; optind < argc; ++optind)
        command.program.emplace_back(argv[optind]);
    return std::nullopt;
}

/// What is wrong with the operands; empty when nothing is.
std::string mistake_of(const AppCommand& command, const std::string& verb) {
    const std::size_t count = command.operands.size();
    if (verb != "run" && !command.program.empty()) return "unexpected argument '" + command.program.front() + "'";
    if (command.timeout && verb != "run") return "--timeout is for run";
    if (!command.on_action.empty() && verb != "run") return "--on-action is for run";
    if (command.every && verb != "report") return "--every is for report";
    if (verb == "list" || verb == "status")
        return count == 0 ? "" : "unexpected argument '" + command.operands[0] + "'";
    if (count == 0) return "expected NAME after " + verb;
    if (!base::is_plain_name(command.operands[0], app::kMaxName)) {
        return "NAME: expected 1 to " + std::to_string(app::kMaxName) + " letters, digits, '.', '_' and '-', found '" +
               base::escape(command.operands[0]) + "'";
    }
    if (verb == "run") {
        if (count > 1) return "unexpected argument '" + command.operands[1] + "'; COMMAND comes after --";
        return command.program.empty() ? "expected COMMAND after --" : "";
    }
    if (verb == "forget") return count == 1 ? "" : "unexpected argument '" + command.operands[1] + "'";
    if (count < 2 || (command.operands[1] != "healthy" && command.operands[1] != "unhealthy"))
        return "expected healthy or unhealthy after NAME";
    return count <= 3 ? "" : "unexpected argument '" + command.operands[3] + "'";
}

int run_command(AppCommand& command) {
    if (command.operands.empty()) return wrong_usage("expected run, report, forget, list or status");
    const std::string verb = command.operands.front();
    command.operands.erase(command.operands.begin());
    const bool is_known = verb == "run" || verb == "report" || verb == "forget" || verb == "list" || verb == "status";
    if (!is_known) return wrong_usage("unknown command '" + base::escape(verb) + "'");
    if (const std::string mistake = mistake_of(command, verb); !mistake.empty()) return wrong_usage(mistake);
    if (verb == "run") return run_watched(command);
    if (verb == "report") return send_report(command);
    if (verb == "forget") return send_forget(command);
    return verb == "list" ? print_list(command) : print_status(command);
}

}  // namespace
}  // namespace vitalwire::guest

int main(int argc, char* argv[]) {
    using namespace vitalwire;
    guest::AppCommand command;
    if (const auto status = guest::parse_options(argc, argv, command)) return *status;
    try {
        return guest::run_command(command);
    } catch (const std::exception& problem) {
        return guest::complain(problem.what());
    }
}
