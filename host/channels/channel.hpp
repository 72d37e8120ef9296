#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "base/token_bucket.hpp"
#include "group/rate_limiter.hpp"
#include "host/channels/drop_log.hpp"
#include "host/channels/line_connection.hpp"
#include "host/core/guest_map.hpp"
#include "wire/heartbeat_pdu.hpp"
#include "wire/inbound.hpp"
#include "wire/response_cache.hpp"

namespace vitalwire::host {

/// Why something of a guest, or for it, was not taken. Every one is counted; /metrics has them as labels.
enum class Drop : std::uint8_t {
    malformed,  ///< no message at all, or a message of a form that is never answered
    overlong,   ///< a line above the channel's limit
    ignored,    ///< understood and without effect, such as a nack from a guest
    bad_field,  ///< refused with a nack, as all down to rate_limited
    unsupported_version,
    unknown_msg_type,
    unknown_address,
    not_enabled,
    rate_limited,     ///< more messages a second than a guest may send; dropped unread
    throttled,        ///< more bytes a second: no answer and dropped unread, or a pause of reading
    nack_suppressed,  ///< a refusal that was not answered because there were too many
    not_read,         ///< a message for a guest that does not read
};
inline constexpr int kDrops = 12;
std::string_view to_string(Drop drop);

/// What one guest may take of the agent, its server group's messages apart; from the agent's configuration.
struct ChannelLimits {
    double messages_per_second = 100;
    double message_burst = 200;
    double bytes_per_second = 256.0 * 1024;
    std::size_t queue = 64UL * 1024;        ///< bytes that wait for a guest that does not read
    std::size_t group_queue = 64UL * 1024;  ///< the same of its server group's messages
    double nacks_per_second = 5;
    double nack_burst = 10;
};

/// One channel of one guest: whose it is is known from where it was found, never from what it says. Turns lines into
/// messages and back; refuses, counts and logs what is no such message.
class Channel final : private LineConnection::Handler {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        virtual void on_connected(Channel& channel) = 0;
        virtual void on_closed(Channel& channel, const std::string& why) = 0;
        /// It cannot be connected, and will not be by waiting a moment.
        /// `own`: this process is what keeps it from being connected; it has not the rights, or not the means.
        virtual void on_unreachable(Channel& channel, const std::string& why, bool own) = 0;
        virtual void on_heartbeat(Channel& channel, wire::HeartbeatPdu pdu) = 0;
        virtual void on_group(Channel& channel, const wire::GroupPdu& pdu, int base_version) = 0;
        /// The guest's first message of a connection that was understood, or another version of the base layer.
        virtual void on_spoke(Channel& channel, int base_version) = 0;
        /// All that was to be written is written.
        virtual void on_drained(Channel& channel) = 0;
        virtual void on_dropped(Channel& channel, Drop reason, std::uint64_t count) = 0;
    };

    Channel(boost::asio::io_context& io, base::GuestId guest, wire::ChannelKind kind, std::string path,
            const ChannelLimits& limits, DropLog& drops, Handler& handler);
    ~Channel() override;
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    void start() { connection_->start(); }
    /// Begins with a channel as it was before a restart: with that socket only, of whose guest nothing is known yet.
    void recall(std::string socket);
    /// Its guest is here, and the channel at that path. False: that was known.
    bool confirm();
    bool recalled() const { return recalled_; }
    bool was_up() const { return was_up_; }
    const std::string& socket() const { return connection_->socket(); }
    /// The server group's messages come on top of what the channel's limits allow.
    void allow(const group::Limits& group);
    void send(const wire::HeartbeatPdu& pdu);
    /// Writes lines of the server group. They wait behind what waits already: only when the channel is `idle` they do
    /// not keep a challenge from the guest for long.
    void write_group(std::string lines);
    /// Messages of the server group were dropped before they came here.
    void group_not_read(std::uint64_t messages);
    void read_now() { connection_->read_now(); }
    void retry_now() { connection_->retry_now(); }

    const base::GuestId& guest() const { return guest_.id(); }
    const GuestKey& guest_key() const { return guest_; }
    wire::ChannelKind kind() const { return kind_; }
    wire::Dialect dialect() const { return wire::dialect_of(kind_); }
    const std::string& path() const { return connection_->path(); }
    bool up() const { return connection_->up(); }
    /// Connected, and nothing waits to be written.
    bool idle() const { return up() && connection_->idle(); }

private:
    void on_up() override;
    void on_down(const std::string& why) override;
    void on_unreachable(int error) override;
    void on_line(std::string_view line) override;
    void on_overlong_lines(std::uint64_t count) override;
    void on_throttled() override;
    void on_not_read(std::uint64_t messages) override;
    void on_drained() override { handler_.on_drained(*this); }

    void ask_guest_agent(const wire::HeartbeatPdu& pdu);
    void spoke(int base_version);
    void handle(wire::HeartbeatMessage&& message);
    void handle(const wire::Malformed& malformed);
    void handle(const wire::Ignored& ignored);
    void handle(const wire::Refused& refused);
    void handle(const wire::GroupMessage& message);
    void dropped(Drop reason, std::uint64_t count, const std::string& detail);

    GuestKey guest_;
    wire::ChannelKind kind_;
    ChannelLimits limits_;
    group::Limits allowed_;
    DropLog& drops_;
    Handler& handler_;
    base::TokenBucket messages_;
    base::TokenBucket group_messages_;
    base::TokenBucket answers_;  ///< to challenges, when a flood has used up the other
    base::TokenBucket nacks_;
    std::uint32_t sequence_ = 0;
    wire::ResponseCache reader_;
    int base_version_;
    bool spoke_ = false;  ///< has sent something that was understood since the channel connected
    int last_error_ = 0;  ///< of connecting; 0 when connected
    int failures_ = 0;    ///< to connect, with that error
    bool was_up_ = false;
    bool recalled_ = false;
    bool reset_first_ = true;  ///< a QEMU guest agent may hold half a command: nothing since was answered
    std::shared_ptr<LineConnection> connection_;
};

}  // namespace vitalwire::host
