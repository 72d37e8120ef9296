#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "heartbeat/host_session.hpp"

namespace vitalwire::host {

/// What QEMU's monitor (QMP) tells of its machine. Pure: lines in, events of the machine and commands out. One session
/// for the life of the socket's path; `connected` begins each connection.
class QmpSession {
public:
    struct Result {
        std::vector<heartbeat::HostEvent> events;
        std::vector<std::string> commands;  ///< to be sent, newline included
    };

    /// `run` names the run of the machine: another QEMU has another one. Empty: not known.
    void connected(std::string run);
    void line(std::string_view line, Result& result);
    /// QEMU is gone: its connection ended and nobody listens at its socket any more.
    void vanished(Result& result);

    /// QEMU has answered: its state is known.
    bool ready() const { return ready_; }

private:
    void greeted(Result& result);
    void answered(const std::string& id, const std::string& status, Result& result);
    void on_event(std::string_view name, const std::string& detail, Result& result);
    void on_status(std::string_view status, Result& result);
    void on_migration(std::string_view status, Result& result);
    void ask_status(Result& result);
    void inhibit(heartbeat::Inhibit why, Result& result);
    void on_io_error(const nlohmann::json& message);
    void on_watchdog(const nlohmann::json& message, Result& result);
    void stopped_by_host(std::string detail, std::string reason, Result& result);
    void stopped(heartbeat::StopReason why, Result& result);
    void crashed(heartbeat::CrashReason why, Result& result);
    void started(Result& result);
    void found(std::string_view status, Result& result);
    void run(Result& result);

    std::string run_;
    bool ready_ = false;
    bool ended_ = false;      ///< told that it stopped or crashed
    bool migrating_ = false;  ///< away from here, still running
    bool standing_ = false;   ///< told to stand still
    bool migrated_ = false;   ///< runs elsewhere now
    bool incoming_ = false;   ///< arrives here, does not run yet
    std::string io_error_;    ///< the newest for which QEMU stops the machine
};

}  // namespace vitalwire::host
