// One of a pair of guests: prints "active" when it is to serve and "standby" when it is not to. Everything that decides
// is in election.cpp; this file connects it to libvitalwire.
//
//     active_standby [--instance ID] [--name NAME] [--beat MS] [--lease MS] [--ride-out MS]
#include <getopt.h>
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vitalwire/vitalwire.hpp>

#include "election.hpp"

namespace active_standby {
namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t stop = 0;

struct Options {
    std::string instance;  ///< this guest's id in the cloud
    std::string name = "active_standby";
    Timing timing;
};

/// Nova writes the instance's id into the machine's firmware tables.
std::string instance_of_this_machine() {
    std::ifstream file("/sys/class/dmi/id/product_uuid");
    std::string id;
    file >> id;
    std::transform(id.begin(), id.end(), id.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return id;
}

bool is_up(const vw_group_member& member) {
    const std::string heartbeat = member.heartbeat == nullptr ? "" : member.heartbeat;
    return std::strcmp(member.state, "active") == 0 && heartbeat != "lost" && heartbeat != "unhealthy";
}

class Program {
public:
    explicit Program(const Options& options)
        : timing_(options.timing), election_(options.instance, std::random_device{}(), options.timing) {
        vitalwire::Group group;
        group.broadcast = [this](const vw_group_message& message) {
            const std::string text(static_cast<const char*>(message.data), message.size);
            perform(election_.greeted(message.source_instance, text, Clock::now()));
        };
        group.notification = [this](const vw_group_notification&) { perform(election_.notified(Clock::now())); };
        application_.subscribe_group(std::move(group));
        // So that the peer is told when this program hangs or dies while the machine lives.
        vitalwire::Heartbeat heartbeat;
        heartbeat.name = options.name;
        heartbeat.interval = options.timing.beat;
        application_.register_heartbeat(std::move(heartbeat));
        application_.subscribe_actions([this](const vw_action& action) { asked(action); });
    }

    [[noreturn]] void run() {
        std::cout << "standby: started" << std::endl;
        while (stop == 0) {
            perform(election_.tick(Clock::now()));
            answer_those_ready();
            const auto left = std::chrono::ceil<Millis>(next_deadline() - Clock::now());
            pollfd ready{application_.fd(), POLLIN, 0};
            ::poll(&ready, 1, static_cast<int>(std::max(left, Millis(0)).count()));
            // After a pause time speaks before messages do: they may be as old as the pause is long.
            perform(election_.tick(Clock::now()));
            application_.dispatch();
        }
        std::cout << "standby: stopped" << std::endl;
        // Without deregistering: the guest then counts as unhealthy, which is what tells the peer to take over.
        std::_Exit(0);
    }

private:
    void perform(const Election::Actions& actions) {
        for (const auto& action : actions)
            std::visit([this](const auto& each) { carry_out(each); }, action);
    }
    /// The cloud is about to act on this guest, or has: the peer serves before it begins.
    void asked(const vw_action& action) {
        const std::string event = action.event;
        const std::string_view end = "_end";
        const bool is_end = event.size() > end.size() && event.compare(event.size() - end.size(), end.size(), end) == 0;
        const bool over = is_end || event == "resume" || event == "unpause";
        if (over || action.may_reject == 0) perform(election_.leave(!over, Clock::now()));
        const bool waits = !over && action.may_reject == 0 && action.timeout_ms > 0;
        // Somewhat before nobody waits any more.
        const Millis time(waits ? action.timeout_ms * 3 / 4 : 0);
        asked_[action.id] = {event, Clock::now() + time};
    }
    void answer_those_ready() {
        const auto now = Clock::now();
        for (auto item = asked_.begin(); item != asked_.end();) {
            const auto& [id, question] = *item;
            if (election_.is_handing_over(now) && now < question.until) {
                ++item;
                continue;
            }
            std::cout << to_text(election_.role()) << ": ready for " << question.event << ", the peer is "
                      << (election_.peer_is_active(now) ? "active" : "not active") << std::endl;
            try {
                application_.answer_action(id);
            } catch (const vitalwire::Error&) {
                // Nobody waits for it any more.
            }
            item = asked_.erase(item);
        }
    }
    Time next_deadline() const {
        Time next = election_.next_deadline();
        for (const auto& [id, question] : asked_)
            next = std::min(next, question.until);
        return next;
    }
    static const char* to_text(Role role) { return role == Role::active ? "active" : "standby"; }

    void carry_out(const Election::Become& become) {
        // Here a real service takes its address, opens its database, or lets go of both.
        std::cout << to_text(become.role) << ": " << become.why << std::endl;
    }
    void carry_out(const Election::Greet& greet) {
        try {
            application_.broadcast(greet.text);
        } catch (const vitalwire::Error&) {
            // Nobody receives it; the next one comes in a beat.
        }
    }
    void carry_out(const Election::Ask& ask) {
        const auto number = ask.number;
        try {
            application_.query(
                [this, number](vw_result_t result, const std::string&, const auto& members) {
                    if (result == VW_ERR_UNAVAILABLE) perform(election_.unavailable(number, Clock::now()));
                    if (result != VW_OK) return;
                    std::vector<Report> group;
                    group.reserve(members.size());
                    for (const vw_group_member* member : members)
                        group.push_back({member->instance_id, is_up(*member)});
                    perform(election_.answered(number, group, Clock::now()));
                },
                timing_.lease);
        } catch (const vitalwire::Error&) {
            // No answer is an answer too: the lease runs out.
        }
    }

    struct Question {
        std::string event;
        Time until;  ///< answered then at the latest
    };

    Timing timing_;
    Election election_;
    std::map<std::uint32_t, Question> asked_;  ///< by the action's number, not answered yet
    vitalwire::Application application_;
};

constexpr option kOptions[] = {
    {"instance", required_argument, nullptr, 'i'}, {"name", required_argument, nullptr, 'n'},
    {"beat", required_argument, nullptr, 'b'},     {"lease", required_argument, nullptr, 'l'},
    {"ride-out", required_argument, nullptr, 'r'}, {nullptr, 0, nullptr, 0}};

bool parse(int argc, char* argv[], Options& options) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
    for (int found = 0; (found = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
        switch (found) {
            case 'i':
                options.instance = optarg;
                break;
            case 'n':
                options.name = optarg;
                break;
            case 'b':
                options.timing.beat = Millis(std::atoi(optarg));
                break;
            case 'l':
                options.timing.lease = Millis(std::atoi(optarg));
                break;
            case 'r':
                options.timing.ride_out = Millis(std::atoi(optarg));
                break;
            default:
                return false;
        }
    }
    if (options.instance.empty()) options.instance = instance_of_this_machine();
    // Fewer than three beats in a lease, and a single lost message would cost the role.
    const Timing& timing = options.timing;
    return optind == argc && !options.instance.empty() && timing.beat >= Millis(VW_MIN_INTERVAL_MS) &&
           timing.lease >= 3 * timing.beat && timing.ride_out >= Millis(0);
}

}  // namespace
}  // namespace active_standby

int main(int argc, char* argv[]) {
    active_standby::Options options;
    if (!active_standby::parse(argc, argv, options)) {
        std::cerr << "usage: active_standby [--instance ID] [--name NAME] [--beat MS] [--lease MS] [--ride-out MS]\n"
                     "  --instance  this guest's id in the cloud; default: what the machine's firmware says\n"
                     "  --beat at least 100, --lease at least three beats, --ride-out 0 or more\n";
        return 2;
    }
    std::signal(SIGTERM, [](int) { active_standby::stop = 1; });
    std::signal(SIGINT, [](int) { active_standby::stop = 1; });
    try {
        active_standby::Program(options).run();
    } catch (const vitalwire::Error& problem) {
        std::cerr << "active_standby: " << problem.what() << '\n';
        return 1;
    }
}
