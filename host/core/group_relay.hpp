#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "bus/messages.hpp"
#include "group/duplicates.hpp"
#include "group/outbox.hpp"
#include "group/rate_limiter.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::host {

/// Server-group messaging on this host: guests' messages to the primary controller, and what comes back to guests.
/// Which guests get what is the controller's decision, also where sender and receiver share this host. Pure: time is
/// handed in, channels are the output's.
class GroupRelay final : private group::RateLimiter::Output {
public:
    struct Counters {
        std::uint64_t delivered = 0;      ///< messages put into a guest's queue
        std::uint64_t not_connected = 0;  ///< messages for guests without a channel
        std::uint64_t undeliverable = 0;  ///< messages that the guest's dialect has no form for
        std::uint64_t duplicates = 0;     ///< broadcasts, and states of members, that came a second time
        std::uint64_t late = 0;    ///< broadcasts that a connection held up until newer ones had come through another
        std::uint64_t resent = 0;  ///< states of members sent when a channel was back
    };

    class Output {
    public:
        virtual ~Output() = default;
        virtual void to_primary(const bus::ToController& message) = 0;
        /// Nothing waits to be written to the guest's channel. `drained` is to be called when that becomes true.
        virtual bool channel_idle(const base::GuestId& guest, wire::Dialect dialect) = 0;
        virtual void write(const base::GuestId& guest, wire::Dialect dialect, std::string lines) = 0;
        /// Messages were dropped because the guest does not read, or its channel ended.
        virtual void not_read(const base::GuestId& guest, wire::Dialect dialect, std::uint64_t messages) = 0;
    };

    struct Settings {
        group::Limits defaults;
        std::size_t queue = 64UL * 1024;  ///< bytes that wait for a guest that does not read
    };

    GroupRelay(Settings settings, Output& output) : settings_(settings), output_(output) {}

    /// See RateLimiter.
    void number_from(std::uint64_t first) { rate_limiter_.number_from(first); }
    /// `policy`: what the cloud wants of the guest; on top of the defaults.
    void set_policy(const model::GuestPolicy& policy);
    /// The guest has no policy any more, or is not on this host.
    void forget(const base::GuestId& guest);
    void configure(Settings settings) { settings_ = settings; }
    group::Limits limits(const base::GuestId& guest) const { return rate_limiter_.limits(guest); }
    /// What a guest is told when it registers.
    wire::HostFacts facts_about(const base::GuestId& guest, const std::string& host_version) const;

    // The guest's channels.
    void channel_up(const base::GuestId& guest, wire::Dialect dialect, base::TimePoint now);
    void channel_down(const base::GuestId& guest, wire::Dialect dialect, base::TimePoint now);
    void drained(const base::GuestId& guest, wire::Dialect dialect) { to_write_.emplace(guest, dialect); }
    /// The guest has sent something that was understood on this channel.
    void spoke(const base::GuestId& guest, wire::Dialect dialect, int base_version);
    void received(const base::GuestId& guest, wire::Dialect dialect, const wire::GroupPdu& pdu, int base_version,
                  base::TimePoint now);

    /// Another controller is primary, or none: what the one before had not taken is refused.
    void primary_changed(bool any);
    void on(const bus::GroupAccepted& message) { rate_limiter_.accepted(message.up_to); }
    void on(const bus::GroupRefused& message) {
        rate_limiter_.refused(message.number, {message.code, message.message});
    }
    void on(const bus::GroupDeliver& message, const group::Route& route);
    void on(const bus::GroupNotify& message, base::TimePoint now);
    void on(const bus::GroupStatus& message) { rate_limiter_.status(message.number, message.members, message.last); }

    /// Writes what waits; once for all that a turn of the loop brings.
    void tick(base::TimePoint now);
    base::TimePoint next_due() const;

    const group::RateLimiterCounters& rate_limiter_counters() const { return rate_limiter_.counters(); }
    const Counters& counters() const { return counters_; }

private:
    using LaneKey = std::pair<base::GuestId, wire::Dialect>;
    using Message = std::shared_ptr<const group::Outgoing>;

    /// The answer to a status query, written as the guest reads: it may be larger than any queue.
    struct StatusAnswer {
        std::int64_t seq = 0;
        std::vector<wire::MemberState> members;
        std::size_t next = 0;
    };
    /// What waits for one of the guest's channels.
    struct Lane {
        explicit Lane(wire::Dialect dialect, std::size_t queue) : outbox(dialect, queue) {}

        group::Outbox outbox;
        std::deque<StatusAnswer> answers;
        bool up = false;
        bool spoke = false;
        base::TimePoint paused_until{};
    };
    /// The newest state of a peer, as this guest was sent it.
    struct PeerState {
        std::optional<std::size_t> hash;  ///< of what it takes for true; absent: not known
        Message message;                  ///< the last notification
        base::TimePoint sent_at{};
        bool missed = false;  ///< the channel was away, or went so soon afterwards that it may have been lost
    };
    struct Guest {
        std::array<std::unique_ptr<Lane>, wire::kDialects> lanes;  ///< those that carry groups
        std::unordered_map<std::string, PeerState> peers;
    };

    // group::RateLimiter::Output
    void broadcast(std::uint64_t number, const base::GuestId& sender, const std::string& payload) override;
    void query(std::uint64_t number, const base::GuestId& asker) override;
    void answer(const group::Channel& to, wire::GroupPdu pdu) override;
    void status(const group::Channel& to, std::int64_t seq, std::vector<wire::MemberState> members) override;

    Lane* find(const base::GuestId& guest, wire::Dialect dialect);
    Lane& lane(const base::GuestId& guest, wire::Dialect dialect);
    std::optional<wire::Dialect> taking_part(const base::GuestId& guest) const;
    bool deliver(const base::GuestId& guest, const group::Outgoing& message);
    void put(const base::GuestId& guest, wire::Dialect dialect, const group::Outgoing& message);
    void notify(const base::GuestId& guest, const std::string& member, std::size_t hash, const Message& message,
                base::TimePoint now);
    void correct_answers(const base::GuestId& guest, const wire::MemberState& state);
    void shown(const base::GuestId& guest, const wire::MemberState& state);
    void left_out(const base::GuestId& guest, const std::vector<wire::MemberState>& members);
    void resend_missed(const base::GuestId& guest, base::TimePoint now);
    void write(const LaneKey& key, base::TimePoint now);
    static std::string batch_of(group::Outbox& outbox);
    std::string next_batch(const LaneKey& key, Lane& lane, base::TimePoint now);
    static std::string next_status_line(Lane& lane);

    Settings settings_;
    Output& output_;
    group::RateLimiter rate_limiter_{*this};
    group::Duplicates duplicates_;
    Counters counters_;
    std::unordered_map<base::GuestId, Guest> guests_;
    std::size_t peer_states_ = 0;                ///< of all guests
    std::set<LaneKey> to_write_;                 ///< channels whose queues got something
    std::map<LaneKey, base::TimePoint> paused_;  ///< until when they are left alone
};

}  // namespace vitalwire::host
