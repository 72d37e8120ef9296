// vitalwire-controller(8)

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "controller/config.hpp"
#include "controller/controller.hpp"
#include "runtime/command_line.hpp"
#include "runtime/daemon.hpp"
#include "runtime/logging.hpp"
#include "runtime/notify.hpp"
#include "runtime/running_config.hpp"
#include "runtime/standard_output.hpp"
#include "runtime/timer.hpp"

namespace {

namespace fs = std::filesystem;
using namespace vitalwire;

controller::ControllerConfig read_config(const runtime::ConfigFile& file, runtime::ConfigErrors& errors) {
    return controller::read_controller_config(file, errors);
}

base::Result<std::unique_ptr<runtime::Store>> open_store(boost::asio::io_context& io, const std::string& path) {
    std::error_code ignored;  // opening the file reports what is wrong
    fs::create_directories(fs::path(path).parent_path(), ignored);
    return runtime::Store::open_when_free(io, path);
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
        notify();
    }

private:
    void notify() {
        std::string line = status_line(controller_);
        if (line != notified_) runtime::notify_status(line);
        notified_ = std::move(line);
        timer_.after(std::chrono::seconds(1), [this] { notify(); });
    }

    runtime::Timer timer_;
    const controller::Controller& controller_;
    std::string notified_;
};

int run(const runtime::CommandLine& command, const runtime::CommandLine::Loaded<controller::ControllerConfig>& loaded) {
    const controller::ControllerConfig& config = loaded.config;
    runtime::start_logging(log::parse_level(config.log_level).value_or(log::Level::info), runtime::kHostLogBuffer);
    runtime::raise_file_limit();
    runtime::Daemon daemon;
    auto store = open_store(daemon.io(), config.state);
    if (!store) {
        log::error("cannot start", {{"why", store.error().message}});
        return 1;
    }
    runtime::RunningConfig<controller::ControllerConfig> running(command, read_config, loaded);
    controller::Controller controller(daemon.io(), config, VITALWIRE_VERSION, std::move(*store),
                                      [&running] { return running.reload(); });
    running.run(daemon.io(),
                {[&controller](const auto& changed) { controller.reload(changed); },
                 [&controller](const auto& section, const auto& key) { return controller.applies(section, key); },
                 [&controller](const std::string& why) { controller.named_files(why); }});
    controller.metrics().gauge("vitalwire_controller_loop_longest_turn_seconds", runtime::kLongestTurnHelp,
                               [&] { return std::chrono::duration<double>(daemon.longest_turn()).count(); });
    daemon.on_reload([&running] { running.reload(); });
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
    runtime::CommandLine command(
        {"vitalwire-controller", "Lists the faults that the agents find and notifies the systems that act on them.",
         VITALWIRE_VERSION, "/etc/vitalwire/vitalwire-controller.conf", "vitalwire-controller", "vitalwire"});
    if (const auto status = command.parse(argc, argv)) return *status;
    const auto loaded = command.load(read_config);
    if (!loaded) return 2;
    if (command.print_only()) return command.print_values(loaded->values);
    if (command.check_only()) return runtime::print_and_finish("vitalwire-controller", "the configuration is good\n");
    return run(command, *loaded);
}
