#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "bus/messages.hpp"
#include "group/duplicates.hpp"
#include "group/outbox.hpp"
#include "group/rate_limiter.hpp"
#include "host/channels/channel.hpp"

namespace vitalwire::host {

/// Server-group messaging on this host: guests' messages to the controller that leads, and what comes back to guests.
/// Which guests hear what is the controller's decision, also where sender and receiver share this host.
class GroupRelay final : private group::RateLimiter::Output {
public:
    struct Counters {
        std::uint64_t delivered = 0;      ///< messages put into a guest's queue
        std::uint64_t not_connected = 0;  ///< messages for guests without a channel
        std::uint64_t undeliverable = 0;  ///< that an existing guest cannot be told
        std::uint64_t duplicates = 0;     ///< broadcasts, and states of members, that came a second time
    };

    struct Dependencies {
        std::function<bool(const bus::ToController&)> to_lead;  ///< false: no controller leads
        /// The channel on which the guest takes part; nullptr: none is connected.
        std::function<Channel*(const base::GuestId&)> channel;
        /// Its channel of this dialect, on which it has asked something.
        std::function<Channel*(const base::GuestId&, wire::Dialect)> channel_of;
    };

    GroupRelay(boost::asio::io_context& io, group::Limits defaults, Dependencies surroundings);
    ~GroupRelay() override;

    /// `policy`: what the cloud wants of the guest; on top of the defaults.
    void set_policy(const model::GuestPolicy& policy);
    void forget(const base::GuestId& guest);
    void configure(const group::Limits& defaults) { defaults_ = defaults; }
    group::Limits limits(const base::GuestId& guest) const { return rate_limiter_.limits(guest); }

    void received(const Channel& from, const wire::GroupPdu& pdu, int base_version);

    /// Another controller leads, or none: what the one before had not taken is refused.
    void lead_changed(bool any);
    void on(const bus::GroupAccepted& message) { rate_limiter_.accepted(message.up_to); }
    void on(const bus::GroupRefused& message) {
        rate_limiter_.refused(message.number, {message.code, message.message});
    }
    void on(const bus::GroupDeliver& message);
    void on(const bus::GroupNotify& message);
    void on(const bus::GroupStatus& message);

    const group::RateLimiterCounters& rate_limiter_counters() const { return rate_limiter_.counters(); }
    const Counters& counters() const { return counters_; }

private:
    void broadcast(std::uint64_t number, const base::GuestId& sender, const std::string& payload) override;
    void query(std::uint64_t number, const base::GuestId& asker) override;
    void answer(const group::Channel& to, wire::GroupPdu pdu) override;

    bool is_newer(const wire::MemberState& state);
    void tell(const std::vector<base::GuestId>& guests, wire::GroupPdu pdu);
    void put(Channel* channel, const group::Outgoing& message);
    void write_soon(const Channel& channel);
    void arm();

    boost::asio::io_context& io_;
    group::Limits defaults_;
    Dependencies surroundings_;
    group::RateLimiter rate_limiter_{*this};
    group::Duplicates duplicates_;
    Counters counters_;
    std::unordered_map<std::string, std::size_t> told_states_;  ///< member to a hash of what was told of it last
    /// Channels whose queues got something in this turn of the loop.
    std::set<std::pair<base::GuestId, wire::Dialect>> to_write_;
    boost::asio::steady_timer deadline_;
    base::TimePoint armed_for_ = base::kNever;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< for what was posted and may run after the end
};

}  // namespace vitalwire::host
