#include "cli/options.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "base/text.hpp"

namespace vitalwire::cli {

namespace {

constexpr const char* kDefaultController = "http://127.0.0.1:8990";
/// Whoever may use it is an operator; others read over TCP.
constexpr const char* kControllerSocket = "unix:/run/vitalwire/controller-http.sock";
constexpr std::string_view kUnix = "unix:";
constexpr const char* kDefaultAgent = "/run/vitalwire/agent.sock";

constexpr std::size_t kMaxGroupId = 128;

constexpr const char* kFooter =
    "Without --controller and --agent the controller on this host is asked, and the agent of this host when that does "
    "not answer.\nExit status: 0 done, 1 status found a problem, 2 wrong usage, 3 nobody answered. See vitalwire(1).";

std::vector<std::string> words(std::string text) {
    std::replace(text.begin(), text.end(), ',', ' ');
    std::istringstream in(text);
    return {std::istream_iterator<std::string>(in), {}};
}

/// "controller:8990" and "http://controller:8990/" mean the same.
std::string as_url(const std::string& text) {
    if (text.starts_with(kUnix)) return text;
    std::string url = text.find("://") == std::string::npos ? "http://" + text : text;
    while (url.ends_with('/'))
        url.pop_back();
    return url;
}

bool may_use(const std::string& socket) {
    return access(socket.c_str() + kUnix.size(), R_OK | W_OK) == 0;
}

std::string check_controller(const std::string& text) {
    const std::string url = as_url(text);
    if (url.starts_with(kUnix)) return url.size() > kUnix.size() ? "" : "expected a path after unix:";
    const bool http = url.starts_with("http://") || url.starts_with("https://");
    if (http && url.size() > std::string("https://").size() && url.find_first_of(" \t\r\n") == std::string::npos)
        return {};
    return "expected a URL like " + std::string(kDefaultController) + ", found '" + base::escape(text, 80) + "'";
}

std::string check_group(const std::string& text) {
    if (base::is_plain_name(text, kMaxGroupId)) return {};
    return "expected the id of a group: 1 to 128 letters, digits, '.', '_' and '-'";
}

/// What only a controller can answer.
bool is_of_groups(Command command) {
    return command == Command::groups || command == Command::group || command == Command::send;
}

void describe(CLI::App& app, Options& options, std::string& version) {
    app.require_subcommand(1);
    app.fallthrough();
    app.footer(kFooter);
    app.set_version_flag("--version", version);
    app.add_option("--controller", options.controllers,
                   "Controller to ask (repeatable: the first that answers; environment: VITALWIRE_CONTROLLER)")
        ->type_name("URL")
        ->allow_extra_args(false)
        ->check(CLI::Validator(check_controller, ""));
    app.add_option("--agent", options.agent, "Ask the agent behind this UNIX socket")->type_name("PATH");
    app.add_flag("--json", options.json, "Print JSON");

    const auto command = [&](const char* name, const char* text, Command which) {
        CLI::App* sub = app.add_subcommand(name, text);
        sub->callback([&options, which] { options.command = which; });
        return sub;
    };
    command("status", "How the suite itself is", Command::status);
    CLI::App* guests = command("guests", "Every guest, the worst first", Command::guests);
    guests->add_option("--host", options.host, "Only guests of this compute node")->type_name("HOST");
    guests->add_option("--group", options.group, "Only members of this server group")->type_name("GROUP");
    guests->add_option("--state", options.state, "Only guests in this state")
        ->check(CLI::IsMember({"crashed", "lost", "unhealthy", "held", "unregistered", "registered"}));
    CLI::App* faults = command("faults", "Open faults and their delivery, the worst first", Command::faults);
    faults->add_flag("--all", options.all_faults, "Cleared faults too");
    faults->add_option("--guest", options.guest, "Only faults of this guest (id or name)")->type_name("GUEST");
    command("agents", "Every agent that the controller knows", Command::agents);
    command("groups", "Every server group and what it has sent", Command::groups);
    CLI::App* group = command("group", "The members of a server group", Command::group);
    CLI::App* send = command("send", "A test message to all members, marked as the operator's", Command::send);
    for (CLI::App* sub : {group, send}) {
        sub->add_option("group", options.to_group, "Its id")
            ->type_name("GROUP")
            ->required()
            ->check(CLI::Validator(check_group, ""));
    }
    send->add_option("message", options.message, "At most 3050 bytes; - reads standard input")
        ->type_name("MESSAGE")
        ->required();
    command("watch", "Guests and faults live; changes line by line when the output is no terminal", Command::watch);
}

}  // namespace

Parsed parse_options(int argc, const char* const* argv, const std::string& environment) {
    Options options;
    std::string version = "vitalwire " VITALWIRE_VERSION;
    CLI::App app("Shows the health of the guests of an OpenStack cloud.", "vitalwire");
    describe(app, options, version);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return {std::nullopt, app.exit(error)};
        const std::vector<std::string> left = app.remaining();
        const bool no_such = app.get_subcommands().empty() && !left.empty();
        const std::string what = no_such ? "no such command: '" + left.front() + "'" : error.what();
        std::fprintf(stderr, "vitalwire: %s (vitalwire --help)\n", base::escape(what).c_str());
        return {std::nullopt, kUsage};
    }
    options.agent_chosen = !options.agent.empty();
    if (options.controllers.empty() && !options.agent_chosen) options.controllers = words(environment);
    for (const std::string& url : options.controllers) {
        if (const std::string mistake = check_controller(url); !mistake.empty()) {
            std::fprintf(stderr, "vitalwire: VITALWIRE_CONTROLLER: %s\n", mistake.c_str());
            return {std::nullopt, kUsage};
        }
    }
    options.controllers_chosen = !options.controllers.empty();
    if (!options.controllers_chosen && !options.agent_chosen)
        options.controllers = {may_use(kControllerSocket) ? kControllerSocket : kDefaultController};
    std::transform(options.controllers.begin(), options.controllers.end(), options.controllers.begin(), as_url);
    if (is_of_groups(options.command)) {
        if (options.agent_chosen && !options.controllers_chosen) {
            std::fputs("vitalwire: only controllers know server groups: give --controller, not --agent\n", stderr);
            return {std::nullopt, kUsage};
        }
        options.agent_chosen = false;
        options.controllers_chosen = true;
    }
    if (!options.agent_chosen) options.agent = kDefaultAgent;
    return {options, kOk};
}

}  // namespace vitalwire::cli
