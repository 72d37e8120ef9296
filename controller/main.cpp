// vitalwire-controller(8)

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "controller/controller.hpp"
#include "controller/controller_config.hpp"
#include "runtime/daemon.hpp"
#include "runtime/logging.hpp"
#include "runtime/notify.hpp"

namespace {

namespace fs = std::filesystem;
using namespace vitalwire;

constexpr const char* kDefaultFile = "/etc/vitalwire/vitalwire-controller.conf";

struct Options {
    std::string file;
    std::vector<std::string> settings;
};

/// The configuration; every mistake goes to standard error, and then there is none.
std::optional<controller::ControllerConfig> load_config(const Options& options) {
    runtime::ConfigErrors errors;
    runtime::ConfigFile file{"the built-in defaults", {}};
    const bool default_file_there = options.file.empty() && fs::exists(kDefaultFile);
    if (!options.file.empty() || default_file_there) {
        auto loaded = runtime::ConfigFile::load(default_file_there ? kDefaultFile : options.file, errors);
        if (!loaded) {
            std::fprintf(stderr, "vitalwire-controller: %s\n", loaded.error().message.c_str());
            return std::nullopt;
        }
        file = std::move(*loaded);
    }
    for (const std::string& setting : options.settings)
        file.set(setting, errors);
    auto config = controller::read_controller_config(file, errors);
    for (const runtime::ConfigError& error : errors)
        std::fprintf(stderr, "vitalwire-controller: %s\n", runtime::to_string(error).c_str());
    if (!errors.empty()) return std::nullopt;
    return config;
}

base::Result<std::unique_ptr<runtime::Store>> open_store(boost::asio::io_context& io, const std::string& path) {
    std::error_code ignored;  // opening the file says what is wrong
    fs::create_directories(fs::path(path).parent_path(), ignored);
    return runtime::Store::open(io, path);
}

std::string status_line(const controller::Controller& controller) {
    return std::to_string(controller.fleet().connected()) + " of " +
           std::to_string(controller.fleet().agents().size()) + " agents connected, " +
           std::to_string(controller.problems().list().size()) + " problems";
}

/// What `systemctl status` shows, a moment behind.
class StatusLine {
public:
    StatusLine(boost::asio::io_context& io, const controller::Controller& controller)
        : timer_(io), controller_(controller) {
        tell();
    }

private:
    void tell() {
        std::string line = status_line(controller_);
        if (line != told_) runtime::notify_status(line);
        told_ = std::move(line);
        timer_.expires_after(std::chrono::seconds(1));
        timer_.async_wait([this](const boost::system::error_code& error) {
            if (!error) tell();
        });
    }

    boost::asio::steady_timer timer_;
    const controller::Controller& controller_;
    std::string told_;
};

int run(const controller::ControllerConfig& config) {
    if (auto logging = runtime::start_logging(config.log_level); !logging) {
        std::fprintf(stderr, "vitalwire-controller: %s\n", logging.error().message.c_str());
        return 1;
    }
    runtime::raise_file_limit();
    runtime::Daemon daemon;
    auto store = open_store(daemon.io(), config.state);
    if (!store) {
        log::error("cannot start", {{"why", store.error().message}});
        return 1;
    }
    controller::Controller controller(daemon.io(), config, VITALWIRE_VERSION, std::move(*store));
    daemon.on_reload([&] { controller.reload(); });
    daemon.on_stop([&](const std::function<void()>& finished) {
        controller.stop();
        finished();
    });
    if (const auto started = controller.start(); !started) {
        log::error("cannot start", {{"why", started.error().message}});
        return 1;
    }
    log::info("started", {{"version", VITALWIRE_VERSION}, {"host", config.host}, {"http", controller.http_address()}});
    const StatusLine status(daemon.io(), controller);
    runtime::notify_ready();
    daemon.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Books the faults that the agents find and tells them to the systems that act on them.",
                 "vitalwire-controller");
    Options options;
    bool check_only = false;
    app.add_option("--config", options.file,
                   "configuration file (default: " + std::string(kDefaultFile) + " when there is one)");
    app.add_option("--set", options.settings, "section.key=value or section.label.key=value, over the file; repeatable")
        ->take_all();
    app.add_flag("--check-config", check_only, "check the configuration and exit");
    app.set_version_flag("--version", std::string("vitalwire-controller ") + VITALWIRE_VERSION);
    CLI11_PARSE(app, argc, argv);

    const auto config = load_config(options);
    if (!config) return 2;
    if (check_only) {
        std::puts("the configuration is good");
        return 0;
    }
    return run(*config);
}
