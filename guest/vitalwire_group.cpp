// vitalwire-group: the server group for scripts in the guest. An application like any other: it links libvitalwire.
#include <getopt.h>
#include <poll.h>
#include <unistd.h>
#include <vitalwire/vitalwire.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vitalwire/vitalwire.hpp>

#include "base/text.hpp"
#include "runtime/standard_output.hpp"
#include "wire/base64.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::guest {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr int kFailure = 1;
constexpr int kBadUsage = 2;
constexpr std::chrono::seconds kDefaultTimeout{5};
constexpr double kMostSeconds = 3600;
constexpr std::size_t kShown = std::size_t{4} * VW_MAX_PAYLOAD;  // a payload, escaped

constexpr const char* kUsage =
    "usage: vitalwire-group send [options] [MESSAGE]    to all other guests of the server group;\n"
    "                                                   without MESSAGE: what standard input has\n"
    "       vitalwire-group listen [options]            prints what they send, and how their state changes\n"
    "       vitalwire-group status [options]            prints the state of every guest of the group\n"
    "  -s, --socket PATH      socket of vitalwired (default $VITALWIRE_SOCKET, else /run/vitalwire/guest.sock)\n"
    "  -t, --timeout SECONDS  gives up after that time (default 5; listen: never)\n"
    "  -n, --count NUMBER     listen: ends after so many messages and changes\n"
    "  -j, --json             listen, status: prints JSON, one object a line\n"
    "  -V, --version\n"
    "  -h, --help\n"
    "See vitalwire-group(1).\n";

struct Options {
    std::string command;
    std::string socket;
    std::optional<std::chrono::milliseconds> timeout;
    std::optional<std::uint64_t> count;
    std::optional<std::string> message;
    bool json = false;
};

int complain(const std::string& what) {
    std::fprintf(stderr, "vitalwire-group: %s\n", what.c_str());
    return kFailure;
}

int wrong_usage(const std::string& what) {
    complain(what + "; see vitalwire-group --help");
    return kBadUsage;
}

template <class Number>
std::optional<Number> parse(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

void print(const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

std::string or_dash(const char* text) {
    return text == nullptr || *text == '\0' ? "-" : base::escape(text);
}

std::string member_line(const vw_group_member& member) {
    return std::string(member.instance_id) + '\t' + or_dash(member.state) + '\t' + or_dash(member.state_description) +
           '\t' + or_dash(member.heartbeat) + '\t' + or_dash(member.display_name);
}

json member_json(const vw_group_member& member) {
    auto object = wire::parse_object(member.json);
    return object ? std::move(*object) : json::object();
}

std::string message_line(const vw_group_message& message, bool as_json) {
    const std::string payload(static_cast<const char*>(message.data), message.size);
    if (!as_json) {
        const std::string shown = payload.empty() ? "-" : base::escape(payload, kShown);
        return "broadcast\t" + std::string(message.source_instance) + '\t' + shown;
    }
    json object = {{"type", "broadcast"}, {"source_instance", message.source_instance}};
    if (message.from_operator != 0) object["operator"] = true;
    const bool is_text = base::is_utf8(payload);
    if (!is_text) object["encoding"] = "base64";
    object["data"] = is_text ? payload : wire::encode_base64(payload);
    return wire::dump(object);
}

std::string notification_line(const vw_group_notification& told, bool as_json) {
    if (!as_json) return "notification\t" + member_line(*told.member);
    json object = {{"type", "notification"}, {"event_type", told.event_type}, {"data", member_json(*told.member)}};
    if (told.timestamp != nullptr) object["timestamp"] = told.timestamp;
    return wire::dump(object);
}

/// One run of the program: an application and the time it has.
class Run {
public:
    explicit Run(const Options& options)
        : options_(options), application_(options.socket, [this](bool connected) { connected_ = connected; }) {
        if (options.timeout) end_ = Clock::now() + *options.timeout;
    }

    int send(const std::string& payload) {
        if (!connect()) return kFailure;
        std::string refusal;
        Group group;
        group.refused = [&](const vw_group_refusal& why) { refusal = why.message; };
        application_.subscribe_group(std::move(group));
        application_.broadcast(payload);
        // The host handles both in order: when the query is answered, the message was taken or refused.
        bool answered = false;
        std::string doubt;
        query([&](const std::vector<const vw_group_member*>&) { answered = true; }, doubt);
        wait([&] { return answered || !refusal.empty() || !doubt.empty(); });
        if (!refusal.empty()) return complain("not sent: " + refusal);
        return answered ? 0 : complain("not known to be sent: " + doubt);
    }

    int status() {
        if (!connect()) return kFailure;
        std::string problem;
        bool answered = false;
        query(
            [&](const std::vector<const vw_group_member*>& members) {
                answered = true;
                for (const vw_group_member* member : members)
                    print(options_.json ? wire::dump(member_json(*member)) : member_line(*member));
            },
            problem);
        wait([&] { return answered || !problem.empty(); });
        return problem.empty() ? 0 : complain("no status: " + problem);
    }

    int listen() {
        std::uint64_t seen = 0;
        // Nobody reads what cannot be written.
        const auto wants_more = [&] { return std::ferror(stdout) == 0 && (!options_.count || seen < *options_.count); };
        Group group;
        group.broadcast = [&](const vw_group_message& message) {
            if (wants_more()) print(message_line(message, options_.json));
            ++seen;
        };
        group.notification = [&](const vw_group_notification& told) {
            if (wants_more()) print(notification_line(told, options_.json));
            ++seen;
        };
        group.dropped = [&](std::uint64_t count) {
            print(options_.json ? wire::dump({{"type", "dropped"}, {"count", count}})
                                : "dropped\t" + std::to_string(count));
        };
        application_.subscribe_group(std::move(group));
        const bool enough = wait([&] { return !wants_more(); });
        if (enough || !options_.count) return 0;
        return complain("only " + std::to_string(seen) + " came in time");
    }

private:
    template <class Found>
    void query(Found found, std::string& problem) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - Clock::now());
        application_.query(
            [found, &problem](vw_result_t result, const std::string& why, const auto& members) {
                if (result == VW_OK) return found(members);
                problem = why;
            },
            std::max(left, std::chrono::milliseconds(1)));
    }

    bool connect() {
        if (wait([this] { return connected_; })) return true;
        complain("vitalwired is not there");
        return false;
    }

    /// False when the time is up before.
    template <class Condition>
    bool wait(Condition condition) {
        while (!condition()) {
            using std::chrono::milliseconds;
            const auto left = std::chrono::ceil<milliseconds>(end_ - Clock::now());
            // The query's own timeout speaks first where there is one.
            if (left < -kGrace) return false;
            pollfd ready{application_.fd(), POLLIN, 0};
            ::poll(&ready, 1, end_ == Clock::time_point::max() ? -1 : static_cast<int>((left + kGrace).count() + 1));
            application_.dispatch();
        }
        return true;
    }

    static constexpr std::chrono::milliseconds kGrace{20};

    const Options& options_;
    bool connected_ = false;
    Application application_;
    Clock::time_point end_ = Clock::time_point::max();
};

/// Nothing when more than a payload comes.
std::optional<std::string> read_input() {
    std::string text(VW_MAX_PAYLOAD + 1, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), stdin));
    if (text.size() > VW_MAX_PAYLOAD) return std::nullopt;
    return text;
}

constexpr option kOptions[] = {{"socket", required_argument, nullptr, 's'},
                               {"timeout", required_argument, nullptr, 't'},
                               {"count", required_argument, nullptr, 'n'},
                               {"json", no_argument, nullptr, 'j'},
                               {"version", no_argument, nullptr, 'V'},
                               {"help", no_argument, nullptr, 'h'},
                               {nullptr, 0, nullptr, 0}};

/// Fills `options`; the status to end with when there is nothing more to do.
std::optional<int> parse_options(int argc, char* argv[], Options& options) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
    for (int found = 0; (found = getopt_long(argc, argv, "s:t:n:jVh", kOptions, nullptr)) != -1;) {
        switch (found) {
            case 's':
                options.socket = optarg;
                break;
            case 't': {
                const auto seconds = parse<double>(optarg);
                if (!seconds || !(*seconds >= 0.001 && *seconds <= kMostSeconds))
                    return wrong_usage("--timeout: expected seconds from 0.001 to 3600");
                options.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * 1000));
                break;
            }
            case 'n':
                options.count = parse<std::uint64_t>(optarg);
                if (!options.count || *options.count == 0) return wrong_usage("--count: expected a number above 0");
                break;
            case 'j':
                options.json = true;
                break;
            case 'V':
                return runtime::print_and_finish("vitalwire-group", "vitalwire-group " VITALWIRE_VERSION "\n");
            case 'h':
                return runtime::print_and_finish("vitalwire-group", kUsage);
            default:
                return kBadUsage;
        }
    }
    if (optind == argc) return wrong_usage("expected send, listen or status");
    options.command = argv[optind++];
    if (options.command != "send" && options.command != "listen" && options.command != "status")
        return wrong_usage("unknown command '" + options.command + "', expected send, listen or status");
    if (options.count && options.command != "listen") return wrong_usage("--count is for listen");
    if (options.command == "send" && optind < argc) options.message = argv[optind++];
    if (optind < argc) return wrong_usage("unexpected argument '" + std::string(argv[optind]) + "'");
    if (!options.timeout && options.command != "listen") options.timeout = kDefaultTimeout;
    return std::nullopt;
}

int run(const Options& options) {
    if (options.command == "listen") return Run(options).listen();
    if (options.command == "status") return Run(options).status();
    const auto payload = options.message ? options.message : read_input();
    if (!payload || payload->size() > VW_MAX_PAYLOAD)
        return complain("not sent: at most " + std::to_string(VW_MAX_PAYLOAD) + " bytes are accepted");
    return Run(options).send(*payload);
}

}  // namespace
}  // namespace vitalwire::guest

int main(int argc, char* argv[]) {
    using namespace vitalwire;
    guest::Options options;
    if (const auto status = guest::parse_options(argc, argv, options)) return *status;
    try {
        return runtime::finish_output("vitalwire-group", guest::run(options));
    } catch (const std::exception& problem) {
        return guest::complain(problem.what());
    }
}
