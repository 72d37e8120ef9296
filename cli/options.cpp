#include "cli/options.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <sstream>

#include "base/text.hpp"
#include "cli/human.hpp"
#include "runtime/file.hpp"

namespace vitalwire::cli {

namespace {

constexpr const char* kDefaultController = "http://127.0.0.1:8990";
constexpr const char* kDefaultAgent = "/run/vitalwire/agent.sock";

/// A process that may use it is an operator's; others read over TCP.
constexpr const char* kControllerSocket = "unix:/run/vitalwire/controller-http.sock";
constexpr std::string_view kUnix = "unix:";

/// Longer than any name or id of OpenStack's.
constexpr std::size_t kMaxTarget = 255;
constexpr std::size_t kMaxReason = 1024;
constexpr std::chrono::hours kLongestMaintenance{30 * 24};  // controllers take none that is longer
constexpr std::size_t kMaxTokenFile = 65536;

constexpr const char* kFooter =
    "Without --controller and --agent the controller on this host is asked, and the agent of this host when that does "
    "not answer.\nExit status: 0 done, 1 a problem was found or the controller rejects, 2 wrong usage, 3 no answer, 4 "
    "the output could not be written. See vitalwire(1).";

const std::map<std::string, Format> kFormats = {{"table", Format::table},
                                                {"wide", Format::wide},
                                                {"json", Format::json},
                                                {"yaml", Format::yaml},
                                                {"csv", Format::csv}};

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

std::string check_controller(const std::string& text) {
    const std::string url = as_url(text);
    if (url.starts_with(kUnix) && url.size() > kUnix.size()) return {};
    const bool http = url.starts_with("http://") || url.starts_with("https://");
    if (http && url.size() > std::string("https://").size() && url.find_first_of(" \t\r\n") == std::string::npos)
        return {};
    return "expected a URL like " + std::string(kDefaultController) + ", or unix:PATH, found '" +
           base::escape(without_password(text), 80) + "'";
}

bool may_use(const std::string& socket) {
    return access(socket.c_str() + kUnix.size(), R_OK | W_OK) == 0;
}

std::string check_target(const std::string& text) {
    if (!text.empty() && text.size() <= kMaxTarget) return {};
    return "expected an id, a name or the beginning of one, 1 to 255 bytes";
}

std::string check_reason(const std::string& text) {
    if (!text.empty() && text.size() <= kMaxReason) return {};
    return "expected a text of 1 to 1024 bytes";
}

std::string check_moment(const std::string& text) {
    if (parse_moment(text, base::WallTime::clock::now())) return {};
    return "expected a time before now like 90s, 30min, 2h or 1d, or a UTC time like 2026-11-22T06:05, found '" +
           base::escape(text, 80) + "'";
}

/// What only a controller can answer.
bool is_of_controllers(Command command) {
    return command == Command::groups || command == Command::group || command == Command::send ||
           command == Command::coverage || command == Command::close || command == Command::ack ||
           command == Command::forget || command == Command::maintenance;
}

bool is_list(Command command) {
    switch (command) {
        case Command::guests:
        case Command::faults:
        case Command::agents:
        case Command::groups:
        case Command::coverage:
        case Command::events:
        case Command::maintenance:
            return true;
        default:
            return false;
    }
}

/// The command line while it is read.
struct Draft {
    Options options;
    bool json = false;
    bool no_headers = false;
    std::string format = "table";
    std::string times = "relative";
    std::string lasts;
    std::string since;
    std::string until;
    std::string token_file;
};

void describe_common(CLI::App& app, Draft& draft) {
    Options& options = draft.options;
    app.add_option("--controller", options.controllers,
                   "Controller to ask (repeatable: the first that answers; environment: VITALWIRE_CONTROLLER)")
        ->type_name("URL")
        ->allow_extra_args(false)
        ->check(CLI::Validator(check_controller, ""));
    app.add_option("--agent", options.agent, "Ask the agent behind this UNIX socket")->type_name("PATH");
    app.add_option("--token-file", draft.token_file,
                   "File with the token for controllers over TCP (environment: VITALWIRE_TOKEN_FILE)")
        ->type_name("FILE");
    app.add_option("--ca-file", options.ca_file,
                   "Authority of https:// controllers (environment: VITALWIRE_CA_FILE; default: the system's)")
        ->type_name("FILE");
    app.add_option("-o,--output", draft.format, "table, wide, json, yaml or csv")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"table", "wide", "json", "yaml", "csv"}));
    app.add_flag("--json", draft.json, "The same as -o json");
    app.add_option("--time", draft.times, "relative (\"3 s ago\") or absolute (UTC)")
        ->type_name("FORM")
        ->check(CLI::IsMember({"relative", "absolute"}));
    app.add_option("--sort", options.style.sort, "Sort lists by this column, for example last-seen")
        ->type_name("COLUMN")
        ->check(CLI::Validator(check_target, ""));
    app.add_flag("--reverse", options.style.reverse, "Lists in reverse order");
    app.add_flag("--no-headers", draft.no_headers, "Lists without a heading");
}

CLI::App* add_command(CLI::App& app, Draft& draft, const char* name, const char* text, Command which) {
    CLI::App* sub = app.add_subcommand(name, text);
    sub->callback([&draft, which] { draft.options.command = which; });
    return sub;
}

void describe_lists(CLI::App& app, Draft& draft) {
    Options& options = draft.options;
    add_command(app, draft, "status", "The condition of Vitalwire itself", Command::status);
    CLI::App* guests = add_command(app, draft, "guests", "Every guest, the worst first", Command::guests);
    guests->add_option("--host", options.host, "Only guests of this compute node")
        ->type_name("HOST")
        ->check(CLI::Validator(check_target, ""));
    guests->add_option("--group", options.group, "Only members of this server group")
        ->type_name("GROUP")
        ->check(CLI::Validator(check_target, ""));
    guests->add_option("--state", options.state, "Only guests in this state")
        ->check(CLI::IsMember({"crashed", "lost", "unhealthy", "unwatched", "held", "unregistered", "registered"}));
    CLI::App* faults = add_command(app, draft, "faults", "Open faults, host alarms and their delivery, the worst first",
                                   Command::faults);
    faults->add_flag("--all", options.all, "Cleared faults too");
    faults->add_option("--guest", options.guest, "Only faults of this guest")
        ->type_name("GUEST")
        ->check(CLI::Validator(check_target, ""));
    faults->add_option("--host", options.host, "Only faults on this compute node")
        ->type_name("HOST")
        ->check(CLI::Validator(check_target, ""));
    add_command(app, draft, "agents", "Every agent that the controller knows", Command::agents);
    add_command(app, draft, "groups", "Every server group and what it has sent", Command::groups);
    add_command(app, draft, "coverage", "Guests that should be watched and are not", Command::coverage)
        ->add_flag("--all", options.all, "Every guest");
    CLI::App* events = add_command(app, draft, "events", "What happened, the oldest first", Command::events);
    events->add_option("--since", draft.since, "From this time on: 2h (ago) or 2026-11-22T06:05 (UTC)")
        ->type_name("TIME")
        ->check(CLI::Validator(check_moment, ""));
    events->add_option("--until", draft.until, "Up to this time")
        ->type_name("TIME")
        ->check(CLI::Validator(check_moment, ""));
    events->add_flag("-f,--follow", options.follow, "Go on with what happens from now on");
}

void describe_details(CLI::App& app, Draft& draft) {
    Options& options = draft.options;
    const auto detail = [&](const char* name, const char* text, Command which, const char* type) {
        CLI::App* sub = add_command(app, draft, name, text, which);
        sub->add_option("target", options.target, "Its id, name, or an unambiguous beginning of one")
            ->type_name(type)
            ->required()
            ->check(CLI::Validator(check_target, ""));
        return sub;
    };
    detail("guest", "One guest and its faults", Command::guest, "GUEST");
    detail("fault", "One fault and its journal", Command::fault, "FAULT");
    detail("host", "One compute node, its agent, guests and faults", Command::host, "HOST");
    detail("group", "The members of a server group", Command::group, "GROUP");
    detail("send", "A test message to all members of a server group, marked as the operator's", Command::send, "GROUP")
        ->add_option("message", options.message, "At most 3050 bytes; - reads standard input")
        ->type_name("MESSAGE")
        ->required();
}

void describe_close(CLI::App& app, Draft& draft) {
    CLI::App* close = add_command(app, draft, "close", "Ends a fault by the operator's decision", Command::close);
    close->add_option("target", draft.options.target, "Its id, or an unambiguous beginning of it")
        ->type_name("FAULT")
        ->required()
        ->check(CLI::Validator(check_target, ""));
    close->add_option("--reason", draft.options.message, "Why; it is stored in the journal")
        ->type_name("TEXT")
        ->required()
        ->check(CLI::Validator(check_reason, ""));
}

void describe_operations(CLI::App& app, Draft& draft) {
    Options& options = draft.options;
    CLI::App* ack = add_command(app, draft, "ack", "Records that an operator has seen a fault", Command::ack);
    ack->add_option("target", options.target, "Its id, or an unambiguous beginning of it")
        ->type_name("FAULT")
        ->required()
        ->check(CLI::Validator(check_target, ""));
    ack->add_option("--note", options.message, "What is stored in the journal")
        ->type_name("TEXT")
        ->required()
        ->check(CLI::Validator(check_reason, ""));
    add_command(app, draft, "forget", "Removes a compute node that is no more, and its faults", Command::forget)
        ->add_option("target", options.target, "Its name, or an unambiguous beginning of it")
        ->type_name("HOST")
        ->required()
        ->check(CLI::Validator(check_target, ""));
    add_command(app, draft, "reload", "Makes a controller or agent read its configuration again", Command::reload);
    CLI::App* maintenance = add_command(
        app, draft, "maintenance", "Faults that are recorded and not sent while somebody works", Command::maintenance);
    maintenance->add_option("action", options.action, "guest, host, group or all: begin; end; list (default)")
        ->check(CLI::IsMember({"guest", "host", "group", "all", "end", "list"}));
    maintenance->add_option("target", options.target, "Name or id; of end: the id of the maintenance")
        ->type_name("NAME");
    maintenance->add_option("--for", draft.lasts, "How long at most: 30min, 2h, 1d")->type_name("TIME");
    maintenance->add_flag("--notify", options.notify, "Its guests are notified when it begins and ends");
    maintenance->add_flag("--force", options.force, "Its guests can reject nothing that the cloud does with them");
    maintenance->add_option("--reason", options.message, "Why; shown to everybody")
        ->type_name("TEXT")
        ->check(CLI::Validator(check_reason, ""));
}

void describe(CLI::App& app, Draft& draft, const std::string& version) {
    app.require_subcommand(1);
    app.fallthrough();
    app.footer(kFooter);
    app.set_version_flag("--version", version);
    describe_common(app, draft);
    describe_lists(app, draft);
    describe_details(app, draft);
    describe_close(app, draft);
    describe_operations(app, draft);
    add_command(app, draft, "top", "What is wrong now, live on the terminal", Command::top);
    add_command(app, draft, "watch", "top on a terminal, events --follow elsewhere", Command::watch);
    add_command(app, draft, "doctor", "Examines Vitalwire on this machine: vitalwire-doctor(1)", Command::doctor);
}

int mistake(const std::string& text) {
    std::fprintf(stderr, "vitalwire: %s\n", text.c_str());
    return kUsage;
}

int report(const CLI::App& app, const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
        std::ostringstream text;
        app.exit(error, text);
        std::fputs(text.str().c_str(), stdout);
        return kOk;
    }
    const std::vector<std::string> left = app.remaining();
    const bool no_such = app.get_subcommands().empty() && !left.empty();
    const std::string what = no_such ? "no such command: '" + left.front() + "'" : error.what();
    return mistake(base::escape(what) + " (vitalwire --help)");
}

/// Which controllers and agents are asked.
int choose_sources(Options& options, const std::string& environment) {
    options.agent_chosen = !options.agent.empty();
    if (options.controllers.empty() && !options.agent_chosen) options.controllers = words(environment);
    for (const std::string& url : options.controllers) {
        if (const std::string wrong = check_controller(url); !wrong.empty())
            return mistake("VITALWIRE_CONTROLLER: " + wrong);
    }
    options.controllers_chosen = !options.controllers.empty();
    if (!options.controllers_chosen && !options.agent_chosen)
        options.controllers = {may_use(kControllerSocket) ? kControllerSocket : kDefaultController};
    std::transform(options.controllers.begin(), options.controllers.end(), options.controllers.begin(), as_url);
    if (is_of_controllers(options.command)) {
        if (options.agent_chosen && !options.controllers_chosen)
            return mistake("only controllers know that: give --controller, not --agent");
        options.agent_chosen = false;
        options.controllers_chosen = true;
    }
    if (!options.agent_chosen) options.agent = kDefaultAgent;
    return kOk;
}

int choose_credentials(Draft& draft, const Environment& environment) {
    Options& options = draft.options;
    if (options.ca_file.empty()) options.ca_file = environment("VITALWIRE_CA_FILE");
    const std::string file = draft.token_file.empty() ? environment("VITALWIRE_TOKEN_FILE") : draft.token_file;
    if (file.empty()) return kOk;
    const auto text = runtime::read_file(file, kMaxTokenFile);
    if (!text) return mistake("token file: " + text.error().message);
    options.token = text->substr(0, text->find_first_of(" \t\r\n"));
    if (options.token.empty())
        return mistake("token file: " + base::escape(file) + ": expected a token in its first line");
    return kOk;
}

int choose_maintenance(Draft& draft) {
    Options& options = draft.options;
    if (options.command != Command::maintenance) return kOk;
    if (options.action.empty()) options.action = "list";
    const bool lists = options.action == "list";
    const bool ends = options.action == "end";
    if ((lists || options.action == "all") != options.target.empty())
        return mistake("maintenance " + options.action +
                       (options.target.empty() ? ": expected a name" : ": takes no name"));
    if (lists || ends) {
        const bool given = !draft.lasts.empty() || !options.message.empty() || options.notify || options.force;
        return given ? mistake("--for, --reason, --notify, --force: only to begin a maintenance") : int{kOk};
    }
    const auto lasts = parse_duration(draft.lasts);
    if (!lasts) return mistake("maintenance: expected --for with a time like 30min, 2h or 1d");
    if (*lasts > kLongestMaintenance) return mistake("maintenance: expected --for with 30d at most");
    options.seconds = std::chrono::duration_cast<std::chrono::seconds>(*lasts).count();
    return options.message.empty() ? mistake("maintenance: expected --reason") : int{kOk};
}

int choose_format(Draft& draft) {
    Options& options = draft.options;
    if (draft.json && draft.format != "table" && draft.format != "json")
        return mistake("--json contradicts --output " + draft.format);
    options.format = draft.json ? Format::json : kFormats.at(draft.format);
    options.style.wide = options.format == Format::wide;
    options.style.absolute_times = draft.times == "absolute";
    options.style.headings = !draft.no_headers;
    options.style.sort = column_name(options.style.sort);
    if (!is_list(options.command)) {
        if (options.format == Format::csv) return mistake("-o csv: only lists have rows; use -o json or -o yaml");
        if (!options.style.sort.empty() || options.style.reverse) return mistake("--sort, --reverse: only for lists");
    }
    if (options.follow && (options.format == Format::yaml || options.format == Format::csv))
        return mistake("--follow: expected -o table or -o json");
    const auto now = base::WallTime::clock::now();
    options.since = parse_moment(draft.since, now);
    options.until = parse_moment(draft.until, now);
    if (options.follow && options.until) return mistake("--until: not with --follow, which has no end");
    if (options.since && options.until && *options.until < *options.since)
        return mistake("--until: expected a time after --since");
    return kOk;
}

}  // namespace

Parsed parse_options(int argc, const char* const* argv, const Environment& environment) {
    Draft draft;
    CLI::App app("Shows the health of the guests of an OpenStack cloud.", "vitalwire");
    describe(app, draft, "vitalwire " VITALWIRE_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return {std::nullopt, report(app, error)};
    }
    if (const int wrong = choose_sources(draft.options, environment("VITALWIRE_CONTROLLER")); wrong != kOk)
        return {std::nullopt, wrong};
    if (const int wrong = choose_credentials(draft, environment); wrong != kOk) return {std::nullopt, wrong};
    if (const int wrong = choose_format(draft); wrong != kOk) return {std::nullopt, wrong};
    if (const int wrong = choose_maintenance(draft); wrong != kOk) return {std::nullopt, wrong};
    return {std::move(draft.options), kOk};
}

}  // namespace vitalwire::cli
