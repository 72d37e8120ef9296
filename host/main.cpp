// vitalwire-agent(8)

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "host/agent.hpp"
#include "host/config.hpp"
#include "host/sources/directory/directory_source.hpp"
#include "host/sources/libvirt/libvirt_source.hpp"
#include "runtime/command_line.hpp"
#include "runtime/daemon.hpp"
#include "runtime/logging.hpp"
#include "runtime/notify.hpp"
#include "runtime/running_config.hpp"
#include "runtime/standard_output.hpp"

namespace {

namespace fs = std::filesystem;
using namespace vitalwire;

base::Result<host::Agent::Parts> make_parts(boost::asio::io_context& io, const host::AgentConfig& config) {
    host::Agent::Parts parts;
    std::error_code ignored;  // opening the file says what is wrong
    fs::create_directories(fs::path(config.state).parent_path(), ignored);
    auto store = runtime::Store::open_when_free(io, config.state);
    if (!store) return tl::make_unexpected(store.error());
    parts.store = std::move(*store);
    for (const std::string& directory : config.directories)
        parts.sources.push_back(std::make_unique<host::DirectorySource>(io, directory));
    if (config.libvirt) parts.sources.push_back(std::make_unique<host::LibvirtSource>(io, *config.libvirt));
    for (const std::string& url : config.controllers) {
        auto link = bus::make_agent_link(io, url, config.access, config.transport);
        if (!link) return tl::make_unexpected(link.error());
        parts.controllers.links.push_back(std::move(*link));
    }
    if (!config.access.brokers.empty()) {
        auto finder = bus::make_controller_finder(io, config.access, config.transport);
        if (!finder) return tl::make_unexpected(finder.error());
        parts.controllers.finder = std::move(*finder);
    }
    return parts;
}

int run(const runtime::CommandLine& command, const runtime::CommandLine::Loaded<host::AgentConfig>& loaded) {
    const host::AgentConfig& config = loaded.config;
    runtime::start_logging(log::parse_level(config.log_level).value_or(log::Level::info), runtime::kHostLogBuffer);
    runtime::raise_file_limit();
    runtime::Daemon daemon;
    auto parts = make_parts(daemon.io(), config);
    if (!parts) {
        log::error("cannot start", {{"why", parts.error().message}});
        return 1;
    }
    runtime::RunningConfig<host::AgentConfig> running(command, host::read_agent_config, loaded);
    parts->reload = [&running] { return running.reload(); };
    host::Agent agent(daemon.io(), config, VITALWIRE_VERSION, std::move(*parts));
    running.run(daemon.io(), {[&agent](const auto& changed) { agent.reload(changed); },
                              [&agent](const auto& section, const auto& key) { return agent.applies(section, key); },
                              [&agent](const std::string& why) { agent.named_files(why); }});
    agent.metrics().gauge("vitalwire_agent_loop_longest_turn_seconds", runtime::kLongestTurnHelp,
                          [&] { return std::chrono::duration<double>(daemon.longest_turn()).count(); });
    daemon.on_reload([&running] { running.reload(); });
    daemon.on_stop([&](const std::function<void()>& finished) {
        agent.stop();
        finished();
    });
    const auto started = agent.start([] {
        log::info("ready");
        runtime::notify_ready();
    });
    if (!started) {
        log::error("cannot start", {{"why", started.error().message}});
        return 1;
    }
    log::info("started", {{"version", VITALWIRE_VERSION}, {"host", config.host}});
    daemon.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    runtime::CommandLine command(
        {"vitalwire-agent", "Watches the heartbeat of the virtual machines of this host and tells the controllers.",
         VITALWIRE_VERSION, "/etc/vitalwire/vitalwire-agent.conf"});
    if (const auto status = command.parse(argc, argv)) return *status;
    const auto loaded = command.load(host::read_agent_config);
    if (!loaded) return 2;
    if (command.print_only()) return command.print_values(loaded->values);
    if (command.check_only()) return runtime::print_and_finish("vitalwire-agent", "the configuration is good\n");
    return run(command, *loaded);
}
