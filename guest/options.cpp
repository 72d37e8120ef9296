#include "guest/options.hpp"

#include <getopt.h>

#include <charconv>
#include <string_view>

#include "wire/limits.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;

namespace {

enum Option {
    kConfig = 'c',
    kName = 'n',
    kHelp = 'h',
    kVersion = 'V',
    kChannel = 256,
    kDetectionTime,
    kInterval,
    kAppSocket,
    kLogLevel,
    kCheckConfig
};

constexpr option kOptions[] = {{"config", required_argument, nullptr, kConfig},
                               {"channel", required_argument, nullptr, kChannel},
                               {"name", required_argument, nullptr, kName},
                               {"detection-time", required_argument, nullptr, kDetectionTime},
                               {"interval", required_argument, nullptr, kInterval},
                               {"app-socket", required_argument, nullptr, kAppSocket},
                               {"log-level", required_argument, nullptr, kLogLevel},
                               {"check-config", no_argument, nullptr, kCheckConfig},
                               {"help", no_argument, nullptr, kHelp},
                               {"version", no_argument, nullptr, kVersion},
                               {nullptr, 0, nullptr, 0}};

base::Result<base::Millis> parse_millis(const char* option, std::string_view text, base::Millis min) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const base::Millis time(value);
    if (error != std::errc{} || end != text.data() + text.size() || time < min || time > wire::kMaxInterval) {
        return fail(Errc::config, std::string(option) + ": expected milliseconds from " + std::to_string(min.count()) +
                                      " to " + std::to_string(wire::kMaxInterval.count()) + ", found '" +
                                      std::string(text) + "'");
    }
    return time;
}

}  // namespace

std::string usage() {
    return "usage: vitalwired [options]\n"
           "Registers this virtual machine with its host and answers for its health.\n"
           "  -c, --config FILE      configuration (default /etc/vitalwire/vitalwired.conf)\n"
           "      --channel CHANNEL  name of the virtio-serial port (default org.vitalwire.0),\n"
           "                         /dev/... for a device, or unix:PATH to listen on a socket\n"
           "  -n, --name NAME        what the host displays for this guest (default: host name)\n"
           "      --detection-time MS\n"
           "                         milliseconds in which a failure of this guest is detected (default 900)\n"
           "      --interval MS      milliseconds from challenge to challenge (default: a third of it)\n"
           "      --app-socket PATH  socket for applications (default /run/vitalwire/guest.sock),\n"
           "                         none for no applications\n"
           "      --log-level LEVEL  debug, info, warning or error\n"
           "      --check-config     names every mistake, or prints the values in force, and ends\n"
           "  -V, --version\n"
           "  -h, --help\n"
           "See vitalwired(8) and vitalwired.conf(5).\n";
}

base::Result<Options> parse_options(int argc, char* argv[]) {
    Options options;
    optind = 0;  // start over: a test parses more than once
    // Before any thread is started.
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    for (int found = 0; (found = getopt_long(argc, argv, "c:n:hV", kOptions, nullptr)) != -1;) {
        switch (found) {
            case kConfig:
                options.config = optarg;
                options.config_given = true;
                break;
            case kChannel:
                options.channel = optarg;
                break;
            case kName:
                options.name = optarg;
                break;
            case kDetectionTime: {
                const auto time = parse_millis("--detection-time", optarg, 2 * wire::kNativeMinInterval);
                if (!time) return tl::make_unexpected(time.error());
                options.detection_time = *time;
                break;
            }
            case kInterval: {
                const auto interval = parse_millis("--interval", optarg, wire::kNativeMinInterval);
                if (!interval) return tl::make_unexpected(interval.error());
                options.interval = *interval;
                break;
            }
            case kAppSocket:
                options.app_socket = optarg;
                break;
            case kLogLevel:
                options.log_level = optarg;
                break;
            case kCheckConfig:
                options.check_config = true;
                break;
            case kHelp:
                options.help = true;
                break;
            case kVersion:
                options.version = true;
                break;
            default:
                // getopt_long has named the mistake on standard error.
                return fail(Errc::config, "see vitalwired --help");
        }
    }
    if (optind < argc) return fail(Errc::config, "unexpected argument '" + std::string(argv[optind]) + "'");
    return options;
}

}  // namespace vitalwire::guest
