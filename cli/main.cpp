// vitalwire(1)

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "base/text.hpp"
#include "cli/client.hpp"
#include "cli/options.hpp"
#include "cli/views.hpp"
#include "cli/watch.hpp"
#include "wire/json_reader.hpp"
#include "wire/limits.hpp"

namespace {

using namespace vitalwire;
using cli::Command;
using cli::Options;

std::string environment(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
    return value == nullptr ? "" : value;
}

void note(const std::string& text) {
    std::fprintf(stderr, "vitalwire: %s\n", base::escape(text).c_str());
}

struct Page {
    std::string path;
    cli::Lines (*view)(const nlohmann::json&, base::WallTime, const cli::Style&);
};

Page page_of(const Options& options) {
    switch (options.command) {
        case Command::guests:
            return {"/v1/guests", cli::guests_view};
        case Command::faults:
            return {options.all_faults ? "/v1/faults?all=1" : "/v1/faults", cli::faults_view};
        case Command::agents:
            return {"/v1/agents", cli::agents_view};
        case Command::groups:
            return {"/v1/groups", cli::groups_view};
        case Command::group:
            return {"/v1/groups/" + options.to_group, cli::group_view};
        case Command::send:
            return {"/v1/groups/" + options.to_group + "/send", cli::sent_view};
        case Command::status:
        case Command::watch:
            break;
    }
    return {"/v1/status", cli::status_view};
}

void report_silence(const std::string& problems) {
    std::fputs("vitalwire: nobody answers\n", stderr);
    std::size_t begin = 0;
    while (begin < problems.size()) {
        const std::size_t end = std::min(problems.find('\n', begin), problems.size());
        std::fprintf(stderr, "  %s\n", base::escape(problems.substr(begin, end - begin)).c_str());
        begin = end + 1;
    }
}

/// One byte more than fits is enough for the controller to refuse it.
std::string message_of(const Options& options) {
    if (options.message != "-") return options.message;
    std::string text(wire::kMaxPayload + 1, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), stdin));
    return text;
}

int show(cli::Client& client, const Options& options) {
    const Page page = page_of(options);
    auto document =
        options.command == Command::send ? client.post(page.path, message_of(options)) : client.get(page.path);
    if (!document && document.error().code == base::Errc::permission) {
        std::fprintf(stderr, "vitalwire: %s %s\n", base::escape(client.source()).c_str(),
                     document.error().message.c_str());
        return cli::kUnhealthy;
    }
    if (!document) {
        report_silence(document.error().message);
        return cli::kUnreachable;
    }
    cli::apply_filters(*document, options);
    if (options.json) {
        std::puts(cli::json_text(*document).c_str());
    } else {
        for (const std::string& line : page.view(*document, std::chrono::system_clock::now(), {options.color, 0}))
            std::puts(line.c_str());
    }
    const bool fine = options.command != Command::status || wire::bool_or(*document, "healthy", false);
    return fine ? cli::kOk : cli::kUnhealthy;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    cli::Parsed parsed = cli::parse_options(argc, argv, environment("VITALWIRE_CONTROLLER"));
    if (!parsed.options) return parsed.exit_code;
    Options& options = *parsed.options;
    options.color = isatty(STDOUT_FILENO) != 0 && environment("NO_COLOR").empty();
    boost::asio::io_context io(1);
    cli::Client client(io, options, note);
    return options.command == Command::watch ? cli::watch(io, client, options) : show(client, options);
}
