#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "runtime/command_line.hpp"
#include "runtime/file_watch.hpp"
#include "runtime/reload.hpp"

namespace vitalwire::runtime {

/// The configuration of a daemon that runs: read again when that is asked for, and the files that it names (secrets,
/// certificates, clouds.yaml) whenever one of them changes. Those go by the configuration that is in force: one that is
/// being edited is not read.
template <class Config>
class RunningConfig {
public:
    using Read = std::function<Config(const ConfigFile&, ConfigErrors&)>;
    using Loaded = CommandLine::Loaded<Config>;
    struct Program {
        std::function<void(const Config&)> apply;
        Reloader::Applies applies;
        /// Why a file that the configuration names is not in force as it is now; empty: all are.
        std::function<void(const std::string& why)> report;
    };

    RunningConfig(const CommandLine& command, Read read, Loaded loaded)
        : command_(command), read_(std::move(read)), loaded_(std::move(loaded)) {}

    /// The files are followed from now on.
    void run(boost::asio::io_context& io, Program program, base::Millis pause = FileWatch::kPause) {
        program_ = std::move(program);
        reloader_.emplace(loaded_.values, program_.applies,
                          [this](ConfigErrors& errors) { return take(command_.load(read_, errors)); });
        watch_.emplace(
            io, [this] { return reload_files(); }, pause);
        watch_->watch(loaded_.files);
    }

    ReloadReport reload() {
        if (!reloader_) return {};
        ReloadReport report = (*reloader_)();
        // With mistakes elsewhere nothing is known of the files.
        if (report.mistakes.empty()) show(report.waiting_files);
        return report;
    }

private:
    std::optional<ConfigValues> take(std::optional<Loaded> changed) {
        if (!changed) return std::nullopt;
        program_.apply(changed->config);
        loaded_ = std::move(*changed);
        if (watch_) watch_->watch(loaded_.files);
        return loaded_.values;
    }

    bool reload_files() {
        const ReloadReport report = reloader_->run_quietly(
            [this](ConfigErrors& errors) { return take(CommandLine::load_files(loaded_, read_, errors)); });
        // Half of a renewal, or a file that is just being written, is right at the next look.
        if (report.mistakes.empty() || failed_) show(report.mistakes.empty() ? report.waiting_files : report.mistakes);
        failed_ = !report.mistakes.empty();
        return !failed_;
    }

    void show(const std::vector<std::string>& wrong) {
        std::string why = wrong.empty() ? "" : wrong.front();
        if (wrong.size() > 1) why += " (and " + std::to_string(wrong.size() - 1) + " more)";
        program_.report(why);
    }

    const CommandLine& command_;
    Read read_;
    Loaded loaded_;
    Program program_;
    std::optional<Reloader> reloader_;
    std::optional<FileWatch> watch_;
    bool failed_ = false;  ///< when the files were read last
};

}  // namespace vitalwire::runtime
