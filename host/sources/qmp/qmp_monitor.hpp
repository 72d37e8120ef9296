#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/ids.hpp"
#include "host/channels/line_connection.hpp"
#include "host/sources/qmp/qmp_session.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::host {

/// The connection to one guest's QEMU monitor. QEMU serves one client at a time: a socket for us alone is expected.
class QmpMonitor final : private LineConnection::Handler {
public:
    using OnEvent = std::function<void(const heartbeat::HostEvent&)>;
    /// How the machine is cannot be found out (why), or can again (empty).
    using OnBlind = std::function<void(const std::string& why)>;

    QmpMonitor(boost::asio::io_context& io, base::GuestId guest, std::string path, OnEvent on_event, OnBlind on_blind);
    ~QmpMonitor() override;
    QmpMonitor(const QmpMonitor&) = delete;
    QmpMonitor& operator=(const QmpMonitor&) = delete;

    void start() { connection_->start(); }
    void retry_now() { connection_->retry_now(); }
    bool is_connected() const { return connection_->up(); }

private:
    void on_up() override;
    void on_down(const std::string& why) override;
    void on_unreachable(int error) override;
    void on_line(std::string_view line) override;
    void on_overlong_lines(std::uint64_t count) override;
    void on_throttled() override {}
    void on_not_read(std::uint64_t) override {}

    void await_answer();
    void blind(const std::string& why);
    void apply(QmpSession::Result result);

    base::GuestId guest_;
    OnEvent on_event_;
    OnBlind on_blind_;
    std::optional<std::string> blind_;  ///< as told
    QmpSession session_;
    runtime::Timer patience_;
    int last_error_ = 0;
    int refusals_ = 0;        ///< in a row
    bool was_ready_ = false;  ///< since the last time QEMU vanished
    std::shared_ptr<LineConnection> connection_;
};

}  // namespace vitalwire::host
