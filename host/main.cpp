// vitalwire-agent(8)

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "host/agent.hpp"
#include "host/agent_config.hpp"
#include "host/directory_source.hpp"
#include "host/libvirt_source.hpp"
#include "runtime/daemon.hpp"
#include "runtime/logging.hpp"
#include "runtime/notify.hpp"

namespace {

namespace fs = std::filesystem;
using namespace vitalwire;

constexpr const char* kDefaultFile = "/etc/vitalwire/vitalwire-agent.conf";

struct Options {
    std::string file;
    std::vector<std::string> settings;
};

/// The configuration; every mistake goes to standard error, and then there is none.
std::optional<host::AgentConfig> load_config(const Options& options) {
    runtime::ConfigErrors errors;
    runtime::ConfigFile file{"the built-in defaults", {}};
    const bool default_file_there = options.file.empty() && fs::exists(kDefaultFile);
    if (!options.file.empty() || default_file_there) {
        auto loaded = runtime::ConfigFile::load(default_file_there ? kDefaultFile : options.file, errors);
        if (!loaded) {
            std::fprintf(stderr, "vitalwire-agent: %s\n", loaded.error().message.c_str());
            return std::nullopt;
        }
        file = std::move(*loaded);
    }
    for (const std::string& setting : options.settings)
        file.set(setting, errors);
    auto config = host::read_agent_config(file, errors);
    for (const runtime::ConfigError& error : errors)
        std::fprintf(stderr, "vitalwire-agent: %s\n", runtime::to_string(error).c_str());
    if (!errors.empty()) return std::nullopt;
    return config;
}

base::Result<host::Agent::Parts> make_parts(boost::asio::io_context& io, const host::AgentConfig& config) {
    host::Agent::Parts parts;
    std::error_code ignored;  // opening the file says what is wrong
    fs::create_directories(fs::path(config.state).parent_path(), ignored);
    auto store = runtime::Store::open(io, config.state);
    if (!store) return tl::make_unexpected(store.error());
    parts.store = std::move(*store);
    for (const std::string& directory : config.directories)
        parts.sources.push_back(std::make_unique<host::DirectorySource>(io, directory));
    if (config.libvirt) parts.sources.push_back(std::make_unique<host::LibvirtSource>(io, *config.libvirt));
    for (const std::string& url : config.controllers) {
        auto link = bus::make_agent_link(io, url, config.tls, config.transport);
        if (!link) return tl::make_unexpected(link.error());
        parts.links.push_back(std::move(*link));
    }
    return parts;
}

int run(const Options& options, const host::AgentConfig& config) {
    if (auto logging = runtime::start_logging(config.log_level); !logging) {
        std::fprintf(stderr, "vitalwire-agent: %s\n", logging.error().message.c_str());
        return 1;
    }
    runtime::raise_file_limit();
    runtime::Daemon daemon;
    auto parts = make_parts(daemon.io(), config);
    if (!parts) {
        log::error("cannot start", {{"why", parts.error().message}});
        return 1;
    }
    host::Agent agent(daemon.io(), config, VITALWIRE_VERSION, std::move(*parts));
    daemon.on_reload([&] {
        if (const auto changed = load_config(options)) return agent.reload(*changed);
        log::error("the configuration has mistakes, going on with the one before");
    });
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
    CLI::App app("Watches the heartbeat of the virtual machines of this host and tells the controllers.",
                 "vitalwire-agent");
    Options options;
    bool check_only = false;
    app.add_option("--config", options.file,
                   "configuration file (default: " + std::string(kDefaultFile) + " when there is one)");
    app.add_option("--set", options.settings, "section.key=value or section.label.key=value, over the file; repeatable")
        ->take_all();
    app.add_flag("--check-config", check_only, "check the configuration and exit");
    app.set_version_flag("--version", std::string("vitalwire-agent ") + VITALWIRE_VERSION);
    CLI11_PARSE(app, argc, argv);

    const auto config = load_config(options);
    if (!config) return 2;
    if (check_only) {
        std::puts("the configuration is good");
        return 0;
    }
    return run(options, *config);
}
