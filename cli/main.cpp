// vitalwire(1)

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "cli/client.hpp"
#include "cli/format.hpp"
#include "cli/live.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/queries.hpp"
#include "cli/views.hpp"
#include "wire/json_reader.hpp"

namespace {

using namespace vitalwire;
using cli::Command;
using cli::Format;
using cli::Options;
using nlohmann::json;

std::string environment(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
    return value == nullptr ? "" : value;
}

void note(const std::string& text) {
    std::fprintf(stderr, "vitalwire: %s\n", base::escape(text).c_str());
}

/// How a list is shown: as a table, or by one line when there is none.
struct List {
    cli::Table (*table)(const json&, base::WallTime, const cli::Style&);
    const char* when_empty;
};

List list_of(Command command) {
    switch (command) {
        case Command::guests:
            return {cli::guests_table, "no guests"};
        case Command::faults:
            return {cli::faults_table, "no faults"};
        case Command::agents:
            return {cli::agents_table, "no agents"};
        case Command::groups:
            return {cli::groups_table, "no groups"};
        case Command::coverage:
            return {cli::coverage_table, "no uncovered guest"};
        case Command::events:
            return {cli::events_table, "no events"};
        case Command::maintenance:
            return {cli::maintenance_table, "no maintenance"};
        default:
            return {nullptr, nullptr};
    }
}

cli::Lines view_of(const Options& options, const json& document, base::WallTime now) {
    switch (options.command) {
        case Command::guest:
            return cli::guest_view(document, now, options.style);
        case Command::fault:
            return cli::fault_view(document, now, options.style);
        case Command::host:
            return cli::host_view(document, now, options.style);
        case Command::group:
            return cli::group_view(document, now, options.style);
        case Command::send:
            return cli::sent_view(document, now, options.style);
        case Command::close:
            return {"closed fault " + base::escape(wire::text_or(document, "fault"))};
        case Command::ack:
            return {"recorded for fault " + base::escape(wire::text_or(document, "fault"))};
        case Command::forget:
            return {"removed host " + base::escape(wire::text_or(document, "host"))};
        case Command::reload:
            return cli::reload_view(document);
        default:
            return cli::status_view(document, now, options.style);
    }
}

int print_list(const List& list, const Options& options, const json& document, base::WallTime now) {
    const cli::Table table = list.table(document, now, options.style);
    const auto names = table.column_names();
    if (!options.style.sort.empty() && std::find(names.begin(), names.end(), options.style.sort) == names.end()) {
        std::string known;
        for (const std::string& name : names)
            known += (known.empty() ? "" : ", ") + name;
        std::fprintf(stderr, "vitalwire: --sort: no column '%s'; expected one of %s\n",
                     base::escape(options.style.sort).c_str(), known.c_str());
        return cli::kUsage;
    }
    if (options.format == Format::csv) {
        cli::print(table.csv(options.style));
    } else {
        // A program that counts lines asks for no headings.
        const cli::Lines none = options.style.headings ? cli::Lines{list.when_empty} : cli::Lines();
        cli::print(table.empty() ? none : table.lines(options.style));
    }
    return cli::kOk;
}

int print_document(const Options& options, const json& document) {
    if (options.format == Format::json) {
        cli::print({cli::json_text(document)});
        return cli::kOk;
    }
    if (options.format == Format::yaml) {
        cli::print(cli::yaml_lines(document));
        return cli::kOk;
    }
    const auto now = std::chrono::system_clock::now();
    if (const List list = list_of(options.command); list.table != nullptr)
        return print_list(list, options, document, now);
    cli::print(view_of(options, document, now));
    return cli::kOk;
}

void report_silence(const std::string& problems) {
    std::fputs("vitalwire: no answer\n", stderr);
    std::size_t begin = 0;
    while (begin < problems.size()) {
        const std::size_t end = std::min(problems.find('\n', begin), problems.size());
        std::fprintf(stderr, "  %s\n", base::escape(problems.substr(begin, end - begin)).c_str());
        begin = end + 1;
    }
}

int report(const base::Error& error, const std::string& source) {
    if (error.code == base::Errc::not_found || error.code == base::Errc::too_many) {
        std::fprintf(stderr, "vitalwire: %s\n", error.message.c_str());
        return cli::kUnhealthy;
    }
    if (error.code == base::Errc::permission) {
        std::fprintf(stderr, "vitalwire: %s %s\n", base::escape(source).c_str(), error.message.c_str());
        return cli::kUnhealthy;
    }
    report_silence(error.message);
    return cli::kUnreachable;
}

/// Whether the answer is a good one, for scripts.
bool is_good(Command command, const json& document) {
    if (command == Command::status) return wire::bool_or(document, "healthy", false);
    if (command != Command::coverage) return true;
    const json* counts = wire::find(document, "counts");
    return counts != nullptr && wire::int_or(*counts, "uncovered", 1) == 0;
}

int show(cli::Client& client, const Options& options) {
    const auto document = cli::query(client, options);
    if (!document) return report(document.error(), client.source());
    if (const int wrong = print_document(options, *document); wrong != cli::kOk) return wrong;
    return is_good(options.command, *document) ? cli::kOk : cli::kUnhealthy;
}

int run(const Options& options) {
    boost::asio::io_context io(1);
    cli::Client client(io, options, note);
    switch (options.command) {
        case Command::top:
            return cli::top(io, client, options);
        case Command::watch:
            return isatty(STDOUT_FILENO) != 0 && !options.machine_readable() ? cli::top(io, client, options)
                                                                             : cli::follow(io, client, options);
        case Command::doctor:
            std::fputs("vitalwire: doctor comes first, its options follow (vitalwire doctor --help)\n", stderr);
            return cli::kUsage;
        case Command::events:
            return options.follow ? cli::follow(io, client, options) : show(client, options);
        default:
            return show(client, options);
    }
}

/// A program of its own, beside this one or in $PATH. Returns when it cannot be started.
int become_doctor(char** arguments) {
    std::error_code unknown;
    const std::string here =
        std::filesystem::read_symlink("/proc/self/exe", unknown).parent_path() / "vitalwire-doctor";
    execv(here.c_str(), arguments);
    execvp("vitalwire-doctor", arguments);
    std::fprintf(stderr, "vitalwire: vitalwire-doctor: %s\n", std::strerror(errno));  // NOLINT(concurrency-mt-unsafe)
    return cli::kUnhealthy;
}

}  // namespace

int main(int argc, char** argv) {
    // What follows is read there.
    if (argc > 1 && std::string_view(argv[1]) == "doctor") return become_doctor(argv + 1);
    std::signal(SIGPIPE, SIG_IGN);
    cli::reserve_standard_streams();
    cli::Parsed parsed = cli::parse_options(argc, argv, environment);
    if (!parsed.options) return cli::finish_output(parsed.exit_code);
    parsed.options->style.color = isatty(STDOUT_FILENO) != 0 && environment("NO_COLOR").empty();
    return cli::finish_output(run(*parsed.options));
}
