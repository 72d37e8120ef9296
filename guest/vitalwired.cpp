#include <unistd.h>

#include <array>
#include <cstdio>
#include <exception>
#include <memory>

#include "base/log.hpp"
#include "base/text.hpp"
#include "guest/base_layer.hpp"
#include "guest/heartbeat_app.hpp"
#include "guest/options.hpp"
#include "guest/unix_channel.hpp"
#include "guest/virtio_port.hpp"
#include "runtime/daemon.hpp"
#include "runtime/notify.hpp"

namespace vitalwire::guest {
namespace {

std::unique_ptr<Channel> make_channel(boost::asio::io_context& io, const std::string& where) {
    constexpr std::string_view kUnix = "unix:";
    if (where.starts_with(kUnix)) return std::make_unique<UnixChannel>(io, where.substr(kUnix.size()));
    return std::make_unique<VirtioPort>(io, where);
}

std::string host_name() {
    std::array<char, 65> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
    return base::cut_utf8(name.data(), wire::kMaxName);
}

int run(const Options& options) {
    runtime::Daemon daemon;
    Judge judge(daemon.io());
    const auto channel = make_channel(daemon.io(), options.channel.value_or(std::string(wire::kNativeChannel)));
    heartbeat::GuestSettings settings;
    settings.name = options.name.value_or(host_name());
    settings.interval = options.interval.value_or(wire::kDefaultInterval);
    HeartbeatApp heartbeat(judge, *channel, settings);
    BaseLayer base_layer(heartbeat);
    daemon.on_stop([&](const std::function<void()>& finished) {
        heartbeat.stop("vitalwired stopped");
        channel->stop();
        finished();
    });
    heartbeat.on_change([&] { runtime::notify_status(heartbeat.registered() ? "registered" : channel->status()); });
    channel->start(base_layer);
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
        return 2;
    }
    if (options->help) return std::fputs(guest::usage().c_str(), stdout) < 0;
    if (options->version) return std::puts("vitalwired " VITALWIRE_VERSION) < 0;
    try {
        return guest::run(*options);
    } catch (const std::exception& problem) {
        log::error("vitalwired ends", {{"why", problem.what()}});
        return 1;
    }
}
