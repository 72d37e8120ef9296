#include "host/sources/qmp/qmp_monitor.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::host {

namespace {

constexpr LineConnection::Limits kConnectionLimits{256UL * 1024, 4.0 * 1024 * 1024, 64UL * 1024};
constexpr base::Duration kPatience = std::chrono::seconds(5);
/// A QEMU that has made its socket and does not listen yet is refused for an instant; one that died is refused for
/// ever.
constexpr int kRefusalsOfTheDead = 3;

}  // namespace

QmpMonitor::QmpMonitor(boost::asio::io_context& io, base::GuestId guest, std::string path, OnEvent on_event,
                       OnBlind on_blind)
    : guest_(std::move(guest)),
      on_event_(std::move(on_event)),
      on_blind_(std::move(on_blind)),
      patience_(io),
      connection_(LineConnection::make(io, std::move(path), kConnectionLimits, *this)) {}

QmpMonitor::~QmpMonitor() {
    connection_->close();
}

void QmpMonitor::on_up() {
    last_error_ = 0;
    refusals_ = 0;
    // A QEMU makes its socket when it starts.
    session_.connected(connection_->socket());
    await_answer();
}

void QmpMonitor::on_down(const std::string&) {
    patience_.cancel();
}

void QmpMonitor::on_unreachable(int error) {
    const bool nobody_listens = error == ECONNREFUSED || error == ENOENT;
    if (nobody_listens && (++refusals_ == kRefusalsOfTheDead || was_ready_)) {
        was_ready_ = false;
        QmpSession::Result result;
        session_.vanished(result);
        apply(std::move(result));
    }
    if (error == last_error_) return;
    last_error_ = error;
    if (nobody_listens) return blind("");  // that is known: it has ended
    const std::string why = std::generic_category().message(error);
    log::warning("QEMU monitor cannot be connected, retrying",
                 {{"guest", guest_}, {"path", connection_->path()}, {"error", why}});
    blind("its QEMU monitor cannot be connected: " + why);
}

void QmpMonitor::blind(const std::string& why) {
    if (blind_ == why) return;
    blind_ = why;
    on_blind_(why);
}

void QmpMonitor::on_line(std::string_view line) {
    QmpSession::Result result;
    session_.line(line, result);
    if (session_.ready()) {
        was_ready_ = true;
        patience_.cancel();
        blind("");
    }
    apply(std::move(result));
}

void QmpMonitor::on_overlong_lines(std::uint64_t count) {
    log::warning("QEMU monitor sent a line that is too long", {{"guest", guest_}, {"count", count}});
}

void QmpMonitor::await_answer() {
    patience_.after(kPatience, [this] {
        if (session_.ready()) return;
        log::warning("QEMU monitor does not answer: is another client connected to it?",
                     {{"guest", guest_}, {"path", connection_->path()}});
        blind("its QEMU monitor does not answer: is another client connected to it?");
    });
}

void QmpMonitor::apply(QmpSession::Result result) {
    for (std::string& command : result.commands)
        connection_->send(std::move(command));
    for (const heartbeat::HostEvent& event : result.events)
        on_event_(event);
}

}  // namespace vitalwire::host
