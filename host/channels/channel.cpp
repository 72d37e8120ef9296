#include "host/channels/channel.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>
#include <variant>

#include "base/log.hpp"
#include "wire/guest_agent_codec.hpp"
#include "wire/heartbeat_codec.hpp"

namespace vitalwire::host {

using base::Errc;
using wire::ChannelKind;

namespace {

/// Of answers at the shortest interval. A guest that floods is refused, but not taken for dead.
constexpr double kAnswersPerSecond = 10;
constexpr double kAnswerBurst = 20;

std::string_view answer_word(ChannelKind kind) {
    return kind == ChannelKind::guest_agent ? "return" : "challenge_response";
}

/// No message of the heartbeat is longer.
constexpr std::size_t kShortLine = 2048;

/// What a payload costs on the wire at most: base64, or escapes where they are shorter, and the envelope.
constexpr double kWireBytesOfByte = 2;
constexpr double kWireBytesOfMessage = 512;

/// Not parsed yet: a guess by the address, which only decides whose allowance pays.
bool is_of_group(std::string_view line) {
    return line.find("\"vitalwire.group\"") != std::string_view::npos ||
           line.find("\"cgcs.server_grp\"") != std::string_view::npos;
}

/// A QEMU that has made its socket and does not listen yet refuses a few connections.
constexpr int kFailuresToReport = 5;

std::string why_unreachable(int error) {
    const std::string text = std::generic_category().message(error);
    return error == ENAMETOOLONG ? text + ": the path of a socket may have 107 bytes" : text;
}

/// It lacks rights or means: that says nothing of who listens there.
bool is_of_this_process(int error) {
    constexpr std::array kOwn{EACCES, EPERM, ENAMETOOLONG, EMFILE, ENFILE, ENOMEM, ENOBUFS};
    return std::find(kOwn.begin(), kOwn.end(), error) != kOwn.end();
}

Drop drop_of(Errc code) {
    switch (code) {
        case Errc::unsupported_version:
            return Drop::unsupported_version;
        case Errc::unknown_msg_type:
            return Drop::unknown_msg_type;
        case Errc::unknown_address:
            return Drop::unknown_address;
        case Errc::not_enabled:
            return Drop::not_enabled;
        default:
            return Drop::bad_field;
    }
}

}  // namespace

std::string_view to_string(Drop drop) {
    switch (drop) {
        case Drop::malformed:
            return "malformed";
        case Drop::overlong:
            return "overlong";
        case Drop::ignored:
            return "ignored";
        case Drop::bad_field:
            return "bad_field";
        case Drop::unsupported_version:
            return "unsupported_version";
        case Drop::unknown_msg_type:
            return "unknown_msg_type";
        case Drop::unknown_address:
            return "unknown_address";
        case Drop::not_enabled:
            return "not_enabled";
        case Drop::rate_limited:
            return "rate_limited";
        case Drop::throttled:
            return "throttled";
        case Drop::nack_suppressed:
            return "nack_suppressed";
        case Drop::not_read:
            return "not_read";
    }
    return "malformed";
}

Channel::Channel(boost::asio::io_context& io, base::GuestId guest, ChannelKind kind, std::string path,
                 const ChannelLimits& limits, DropLog& drops, Handler& handler)
    : guest_(std::move(guest)),
      kind_(kind),
      limits_(limits),
      drops_(drops),
      handler_(handler),
      messages_(limits.messages_per_second, limits.message_burst),
      group_messages_(limits.messages_per_second, limits.message_burst),
      answers_(kAnswersPerSecond, kAnswerBurst),
      nacks_(limits.nacks_per_second, limits.nack_burst),
      reader_(kind),
      base_version_(wire::kBaseVersion),
      connection_(LineConnection::make(io, std::move(path),
                                       {wire::max_line(kind), limits.bytes_per_second, limits.queue}, *this)) {}

Channel::~Channel() {
    connection_->close();
}

void Channel::recall(std::string socket) {
    recalled_ = true;
    connection_->accept_only(std::move(socket));
    start();
}

bool Channel::confirm() {
    connection_->accept_only({});
    return std::exchange(recalled_, false);
}

void Channel::allow(const group::Limits& group) {
    if (group == allowed_) return;
    allowed_ = group;
    const double messages = group.enabled ? group.messages_per_second : 0;
    const double bytes = group.enabled ? group.bytes_per_second * kWireBytesOfByte + messages * kWireBytesOfMessage : 0;
    group_messages_ = {limits_.messages_per_second + messages, limits_.message_burst + messages * group.burst};
    connection_->set_bytes_per_second(limits_.bytes_per_second + bytes);
}

void Channel::send(const wire::HeartbeatPdu& pdu) {
    if (!up()) return;
    if (kind_ == ChannelKind::guest_agent) return ask_guest_agent(pdu);
    if (std::holds_alternative<wire::Nack>(pdu) && !nacks_.take(base::Clock::now()))
        return dropped(Drop::nack_suppressed, 1, "too many refusals");
    // A guest that did not read for a while has no use for the challenges of that while: only the last one counts.
    const bool challenge = std::holds_alternative<wire::Challenge>(pdu);
    connection_->send(wire::encode_heartbeat(pdu, dialect(), ++sequence_, base_version_),
                      challenge ? LineConnection::Keep::latest : LineConnection::Keep::all);
}

/// Each command is one write and the newest alone waits: an agent that went on after a while answers one, not all that
/// it missed.
void Channel::ask_guest_agent(const wire::HeartbeatPdu& pdu) {
    if (!std::holds_alternative<wire::Challenge>(pdu)) return;
    std::string command = wire::encode_heartbeat(pdu, dialect(), 0);
    if (std::exchange(reset_first_, true)) command.insert(command.begin(), wire::kGuestAgentReset);
    connection_->send(std::move(command), LineConnection::Keep::latest);
}

void Channel::write_group(std::string lines) {
    if (up()) connection_->send(std::move(lines));
}

void Channel::group_not_read(std::uint64_t messages) {
    dropped(Drop::not_read, messages, "the guest does not read its group's messages");
}

void Channel::on_up() {
    last_error_ = 0;
    was_up_ = true;
    base_version_ = wire::kBaseVersion;
    spoke_ = false;
    reset_first_ = true;
    // Whatever half line an earlier connection left in the guest ends here.
    if (kind_ != ChannelKind::guest_agent) connection_->send("\n");
    handler_.on_connected(*this);
}

void Channel::on_down(const std::string& why) {
    handler_.on_closed(*this, why);
}

/// A channel that was connected once is away because its guest is: that is known otherwise. One that never was is a
/// problem of this host, at once where waiting does not help.
void Channel::on_unreachable(int error) {
    const bool first = error != last_error_;
    failures_ = first ? 1 : failures_ + 1;
    const bool was_own = is_of_this_process(std::exchange(last_error_, error));
    const std::string why = why_unreachable(error);
    if (first) {
        log::info("channel cannot be connected, retrying", {{"guest", guest_.id()},
                                                            {"channel", wire::channel_name(kind_)},
                                                            {"path", connection_->path()},
                                                            {"error", why}});
    }
    const bool own = is_of_this_process(error);
    const bool lasts = failures_ == kFailuresToReport && !was_up_;
    if (own ? first : was_own || lasts) handler_.on_unreachable(*this, why, own);
}

void Channel::on_line(std::string_view line) {
    // An answer is always looked for: it may stand behind what the guest's applications flood.
    if (connection_->above_rate() && (is_of_group(line) || line.size() > kShortLine))
        return dropped(Drop::throttled, 1, "more bytes than a guest may send");
    const base::TimePoint now = base::Clock::now();
    const auto is_answer = [&] { return line.find(answer_word(kind_)) != std::string_view::npos; };
    // A flood of the group's messages must not cost the guest its registration: each layer has its own allowance.
    base::TokenBucket& allowance = is_of_group(line) ? group_messages_ : messages_;
    if (!allowance.take(now) && !(is_answer() && answers_.take(now)))
        return dropped(Drop::rate_limited, 1, "more messages than a guest may send");
    std::visit([this](auto&& inbound) { handle(std::forward<decltype(inbound)>(inbound)); }, reader_.read(line));
}

void Channel::on_overlong_lines(std::uint64_t count) {
    dropped(Drop::overlong, count, "longer than " + std::to_string(wire::max_line(kind_)) + " bytes");
}

void Channel::on_throttled() {
    dropped(Drop::throttled, 1, "more bytes than a guest may send");
}

void Channel::on_not_read(std::uint64_t messages) {
    dropped(Drop::not_read, messages, "the guest does not read");
}

void Channel::spoke(int base_version) {
    const bool news = !spoke_ || base_version != base_version_;
    spoke_ = true;
    base_version_ = base_version;
    if (news) handler_.on_spoke(*this, base_version);
}

void Channel::handle(wire::HeartbeatMessage&& message) {
    reset_first_ = false;
    spoke(message.base_version);
    handler_.on_heartbeat(*this, std::move(message.pdu));
}

void Channel::handle(const wire::Malformed& malformed) {
    dropped(Drop::malformed, 1, malformed.why);
}

void Channel::handle(const wire::Ignored& ignored) {
    // A QEMU guest agent answers each reset with an error.
    if (kind_ == ChannelKind::guest_agent) return handler_.on_dropped(*this, Drop::ignored, 1);
    dropped(Drop::ignored, 1, ignored.why);
}

void Channel::handle(const wire::GroupMessage& message) {
    spoke(message.base_version);
    handler_.on_group(*this, message.pdu, message.base_version);
}

void Channel::handle(const wire::Refused& refused) {
    dropped(drop_of(refused.nack.code), 1, refused.nack.message);
    if (!nacks_.take(base::Clock::now())) return dropped(Drop::nack_suppressed, 1, "too many refusals");
    connection_->send(wire::encode_refusal(refused, kind_, ++sequence_));
}

void Channel::dropped(Drop reason, std::uint64_t count, const std::string& detail) {
    handler_.on_dropped(*this, reason, count);
    drops_.dropped(guest_.id(), kind_, to_string(reason), count, detail, base::Clock::now());
}

}  // namespace vitalwire::host
