#include "host/sources/qmp/qmp_session.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "wire/json_reader.hpp"

namespace vitalwire::host {

using heartbeat::CrashReason;
using heartbeat::Inhibit;
using heartbeat::StopReason;
using nlohmann::json;

namespace {

/// QEMU's answers are trusted more than a guest's, and larger (the greeting, a panic's information).
constexpr wire::JsonLimits kLimits{32, 4096};

constexpr const char* kCapabilities = "{\"execute\":\"qmp_capabilities\",\"id\":\"capabilities\"}\n";
constexpr const char* kStatus = "{\"execute\":\"query-status\",\"id\":\"status\"}\n";
/// Without it QEMU does not tell of a migration's begin and end.
constexpr const char* kMigrationEvents =
    "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":[{\"capability\":\"events\",\"state\":"
    "true}]},\"id\":\"migration-events\"}\n";

/// What of an event's data decides: its status (MIGRATION) or its reason (SHUTDOWN).
std::string detail_of(const json& message) {
    const json* data = wire::find(message, "data");
    if (data == nullptr) return {};
    const std::string status = wire::text_or(*data, "status");
    return status.empty() ? wire::text_or(*data, "reason") : status;
}

}  // namespace

void QmpSession::connected(std::string run) {
    run_ = std::move(run);
    ready_ = false;
    migrating_ = false;
    migrated_ = false;
    incoming_ = false;
}

void QmpSession::line(std::string_view line, Result& result) {
    const auto message = wire::parse_object(line, kLimits);
    if (!message) return;
    if (wire::find(*message, "QMP") != nullptr) return greeted(result);
    const std::string event = wire::text_or(*message, "event");
    if (event == "BLOCK_IO_ERROR") return on_io_error(*message);
    if (event == "WATCHDOG") return on_watchdog(*message, result);
    if (!event.empty()) return on_event(event, detail_of(*message), result);
    const json* answer = wire::find(*message, "return");
    if (answer == nullptr) return;
    answered(wire::text_or(*message, "id"), wire::text_or(*answer, "status"), result);
}

/// Why QEMU stops the machine, if it does: the event of the stop does not say.
void QmpSession::on_io_error(const json& message) {
    const json* data = wire::find(message, "data");
    if (data == nullptr || wire::text_or(*data, "action") != "stop") return;
    io_error_ = wire::text_or(*data, "device") + ": " + wire::text_or(*data, "reason");
}

void QmpSession::on_watchdog(const json& message, Result& result) {
    const json* data = wire::find(message, "data");
    if (!ended_)
        result.events.emplace_back(heartbeat::WatchdogFired{data == nullptr ? "" : wire::text_or(*data, "action")});
}

void QmpSession::vanished(Result& result) {
    ready_ = false;
    if (ended_) return;
    if (migrated_) return stopped(StopReason::migrated, result);
    crashed(CrashReason::failed, result);
}

void QmpSession::greeted(Result& result) {
    result.commands.emplace_back(kCapabilities);
}

void QmpSession::answered(const std::string& id, const std::string& status, Result& result) {
    if (id == "capabilities") {
        result.commands.emplace_back(kMigrationEvents);
        return ask_status(result);
    }
    if (id != "status") return;
    if (!std::exchange(ready_, true)) found(status, result);
    on_status(status, result);
}

/// A first look, also of a new connection: of one that had ended and is there again it is known that it has started, of
/// the others who has it in another run.
void QmpSession::found(std::string_view status, Result& result) {
    if (!ended_) return result.events.emplace_back(heartbeat::Found{run_}), void();
    const bool as_it_ended = status == "guest-panicked" || status == "internal-error" || status == "shutdown";
    if (!as_it_ended) started(result);
}

void QmpSession::on_event(std::string_view name, const std::string& detail, Result& result) {
    if (name == "STOP") {
        inhibit(migrating_ ? Inhibit::migrating : Inhibit::paused, result);
        return ask_status(result);
    }
    if (name == "RESUME") {
        if (ended_) started(result);
        return ask_status(result);
    }
    if (name == "WAKEUP") return ask_status(result);
    if (name == "SUSPEND") return inhibit(Inhibit::suspended, result);
    if (name == "POWERDOWN") return inhibit(Inhibit::shutting_down, result);
    if (name == "RESET") {
        if (ended_) started(result);
        result.events.emplace_back(heartbeat::Rebooted{});
        // One that was paused stands still after a reset too, and one that slept is woken by it.
        return ask_status(result);
    }
    if (name == "SHUTDOWN") {
        if (detail == "guest-panic") return crashed(CrashReason::panicked, result);
        if (detail == "host-error") return crashed(CrashReason::failed, result);
        return stopped(migrated_ ? StopReason::migrated : StopReason::domain_stopped, result);
    }
    if (name == "GUEST_PANICKED") return crashed(CrashReason::panicked, result);
    if (name == "GUEST_CRASHLOADED") return crashed(CrashReason::crashed, result);
    if (name == "MIGRATION") return on_migration(detail, result);
    if (name == "MIGRATION_PASS") return on_migration("active", result);
}

void QmpSession::on_status(std::string_view status, Result& result) {
    if (ended_) return;
    // The answer to an earlier question may come after the event that the guest has left.
    if (status != "finish-migrate") migrated_ = status == "postmigrate";
    incoming_ = status == "inmigrate";
    if (status == "running") {
        io_error_.clear();
        return run(result);
    }
    standing_ = true;
    if (status == "guest-panicked") return crashed(CrashReason::panicked, result);
    if (status == "internal-error") return crashed(CrashReason::internal_error, result);
    if (status == "shutdown") return stopped(StopReason::domain_stopped, result);
    if (status == "suspended") return inhibit(Inhibit::suspended, result);
    if (status == "save-vm") return inhibit(Inhibit::saving, result);
    if (status == "inmigrate" || status == "finish-migrate" || status == "postmigrate" || status == "restore-vm")
        return inhibit(Inhibit::migrating, result);
    if (status == "io-error") return stopped_by_host("io_error", io_error_, result);
    if (status == "watchdog") return stopped_by_host("watchdog", {}, result);
    // paused, prelaunch, debug, colo: the machine stands still because somebody wanted it.
    inhibit(Inhibit::paused, result);
}

/// While it migrates it is inhibited once: each pass is reported, and they may be without end.
void QmpSession::run(Result& result) {
    const bool stood_still = std::exchange(standing_, false);
    if (migrating_ && !stood_still) return;
    result.events.emplace_back(heartbeat::Released{});
    if (migrating_) inhibit(Inhibit::migrating, result);
}

void QmpSession::on_migration(std::string_view status, Result& result) {
    static constexpr std::array kUnderWay = {"setup",       "active",          "pre-switchover",  "device",
                                             "wait-unplug", "postcopy-active", "postcopy-recover"};
    if (status == "postcopy-paused") return stopped_by_host("postcopy_failed", {}, result);
    const bool under_way = std::find(kUnderWay.begin(), kUnderWay.end(), status) != kUnderWay.end();
    const bool began = under_way && !migrating_;
    migrating_ = under_way;
    if (began) inhibit(Inhibit::migrating, result);
    if (under_way) return;
    // A QEMU whose guest has left may be ended before it can answer what its status is.
    migrated_ = status == "completed" && !incoming_;
    ask_status(result);
}

void QmpSession::ask_status(Result& result) {
    result.commands.emplace_back(kStatus);
}

void QmpSession::inhibit(Inhibit why, Result& result) {
    if (!ended_) result.events.emplace_back(heartbeat::Inhibited{why});
}

void QmpSession::stopped_by_host(std::string detail, std::string reason, Result& result) {
    if (!ended_) result.events.emplace_back(heartbeat::StoppedByHost{std::move(detail), std::move(reason)});
}

void QmpSession::stopped(StopReason why, Result& result) {
    ended_ = true;
    result.events.emplace_back(heartbeat::Stopped{why});
}

void QmpSession::crashed(CrashReason why, Result& result) {
    if (ended_) return;
    ended_ = true;
    result.events.emplace_back(heartbeat::Crashed{why});
}

void QmpSession::started(Result& result) {
    ended_ = false;
    result.events.emplace_back(heartbeat::Started{});
    if (!run_.empty()) result.events.emplace_back(heartbeat::Found{run_});
}

}  // namespace vitalwire::host
