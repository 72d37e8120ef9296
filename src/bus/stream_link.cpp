#include "bus/stream_link.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::bus {

using base::Errc;
using base::Millis;

namespace {
constexpr Millis kFirstDelay{50};
constexpr Millis kLongestDelay{2000};
}  // namespace

StreamLink::StreamLink(boost::asio::io_context& io, std::string name, std::unique_ptr<Dialer> dialer,
                       const TransportOptions& options)
    : io_(io),
      name_(std::move(name)),
      options_(options),
      dialer_(std::move(dialer)),
      delay_(kFirstDelay),
      random_(std::random_device{}()),
      retry_(io),
      trust_(io) {}

StreamLink::~StreamLink() {
    stop();
}

void StreamLink::start(AgentLink::Handler& handler) {
    handler_ = &handler;
    look_for_revoked();
    dial();
}

void StreamLink::stop() {
    handler_ = nullptr;
    up_ = waits_ = false;
    retry_.cancel();
    trust_.cancel();
    dialer_->cancel();
    if (const auto connection = std::exchange(connection_, nullptr)) connection->finish();
}

base::Result<void> StreamLink::use(const Access& access) {
    auto used = dialer_->use(access);
    if (used && handler_ != nullptr) look_for_revoked();
    return used;
}

/// Whose certificate is revoked after it was shown is no controller of ours any more.
void StreamLink::look_for_revoked() {
    if (dialer_->trust_has_changed() && up_ && dialer_->is_revoked(connection_->stream()))
        connection_->fail("the controller's certificate has been revoked");
    trust_.after(Dialer::kTrustPause, [this] { look_for_revoked(); });
}

void StreamLink::retry_now() {
    if (!waits_) return;
    retry_.cancel();
    delay_ = kFirstDelay;
    dial();
}

void StreamLink::dial() {
    waits_ = false;
    dialer_->dial([this](auto stream) { on_dialed(std::move(stream)); });
}

void StreamLink::on_dialed(base::Result<std::unique_ptr<ByteStream>> stream) {
    if (!stream) return down(stream.error().message);
    connection_ = std::make_shared<StreamConnection>(io_, std::move(*stream), options_, *this);
    connection_->open();
}

/// Not when the socket connects: the kernel connects it although the controller hangs, and a TLS client is told last
/// that its certificate is refused.
void StreamLink::on_open() {
    up_ = true;
    last_reason_.clear();
    rejected_reason_.clear();
    handler_->on_up(*this);
}

void StreamLink::send(const ToController& message) {
    if (!up_) return;
    const std::string line = encode(message);
    if (line.size() >= kMaxBusMessage) {
        log::error("a bus message is too large and was not sent", {{"bytes", line.size()}, {"to", name_}});
        return;
    }
    dropped_ += connection_->send(line);
}

void StreamLink::on_line(std::string_view line) {
    const auto message = decode_to_agent(line);
    if (!message) {
        if (message.error().code == Errc::unknown_msg_type) return;  // of a later release
        return connection_->fail("sent no valid message: " + message.error().message);
    }
    if (std::holds_alternative<Welcome>(*message) && !welcomed_at_) {
        welcomed_at_ = base::Clock::now();
        delay_before_welcome_ = std::exchange(delay_, kFirstDelay);
    }
    if (const auto* rejected = std::get_if<Rejected>(&*message)) return on_rejected(*rejected);
    handler_->on_message(*this, *message);
}

/// The controller's last word on this connection.
void StreamLink::on_rejected(const Rejected& rejected) {
    rejected_reason_ = rejected.reason;
    // Half of it at least is waited.
    if (rejected.retry_after > Millis(0)) delay_ = 2 * rejected.retry_after;
    connection_->fail("rejected");
    handler_->on_message(*this, rejected);
}

void StreamLink::on_alive() {
    if (up_) handler_->on_alive(*this);
}

void StreamLink::on_closed(const std::string& why) {
    connection_.reset();
    // A controller that welcomes us and hangs up, again and again, is no nearer than one that is away.
    const auto welcomed = std::exchange(welcomed_at_, std::nullopt);
    if (welcomed && base::Clock::now() - *welcomed < kLongestDelay) delay_ = std::max(delay_, delay_before_welcome_);
    down(rejected_reason_.empty() ? why : "rejected by the controller: " + rejected_reason_);
}

void StreamLink::down(const std::string& why) {
    waits_ = true;
    retry_.after(next_delay(), [this] { dial(); });
    const bool was_up = std::exchange(up_, false);
    const bool is_new = std::exchange(last_reason_, why) != why;
    if (was_up || is_new) handler_->on_down(*this, why);
}

/// Doubles; between half of it and all of it, so that a thousand agents do not come back in the same moment.
Millis StreamLink::next_delay() {
    const Millis delay = delay_;
    delay_ = std::min(delay_ * 2, kLongestDelay);
    return Millis(std::uniform_int_distribution<Millis::rep>(delay.count() / 2, delay.count())(random_));
}

}  // namespace vitalwire::bus
