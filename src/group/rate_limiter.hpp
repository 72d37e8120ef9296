#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/token_bucket.hpp"
#include "wire/group_pdu.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::group {

/// What one guest may send (proto-spec/server-group.md, section 8), from the agent's configuration and the flavor.
struct Limits {
    bool enabled = false;
    double messages_per_second = 50;
    double bytes_per_second = 64.0 * 1024;  ///< of payload
    double burst = 2;                       ///< so many seconds' worth at once

    friend bool operator==(const Limits&, const Limits&) = default;
};

/// Where an answer to a guest goes: one of its channels, in the version it uses.
struct Channel {
    base::GuestId guest;
    wire::Dialect dialect = wire::Dialect::native;
    int base_version = 2;
};

struct RateLimiterCounters {
    std::uint64_t broadcasts = 0;  ///< handed to a controller
    std::uint64_t queries = 0;
    std::uint64_t not_enabled = 0;
    std::uint64_t rate_limited = 0;
    std::uint64_t unavailable = 0;  ///< told to guests because no controller answered
    std::uint64_t refused = 0;      ///< by a controller
};

/// Everything a guest sends to its group passes here: checked, limited, numbered and handed to the controller, which
/// alone knows groups. Whatever is refused is answered with a nack; what the controller does not take within T-reach is
/// `unavailable`. The host's state table, rows S-01 to S-11.
class RateLimiter {
public:
    class Output {
    public:
        virtual ~Output() = default;
        /// To the controller. Numbers grow by one with each call of `broadcast` or `query`.
        virtual void broadcast(std::uint64_t number, const base::GuestId& sender, const std::string& payload) = 0;
        virtual void query(std::uint64_t number, const base::GuestId& asker) = 0;
        /// To the guest.
        virtual void answer(const Channel& to, wire::GroupPdu pdu) = 0;
        /// To the guest: a `status_response` for each member, then `status_response_done`.
        virtual void status(const Channel& to, std::int64_t seq, std::vector<wire::MemberState> members) = 0;
    };

    /// T-reach is a second, in which the guest has its answer: the rest of it is for the way there.
    static constexpr base::Millis kReach{900};
    static constexpr base::Millis kRate{1000};  ///< T-rate
    /// Messages the controller has not taken yet: what four hundred guests may send in T-reach at the default rate.
    /// Beyond it a guest is told `unavailable` at once.
    static constexpr std::size_t kMaxPending = 20'000;

    explicit RateLimiter(Output& output) : output_(output) {}

    /// Numbers begin here, differently at each start of the agent: what a controller answers to an earlier life of it
    /// must not pass for an answer to this one.
    void number_from(std::uint64_t first) { next_number_ = first; }
    void set_limits(const base::GuestId& guest, const Limits& limits);
    Limits limits(const base::GuestId& guest) const;  ///< not enabled for one that is not known
    void forget(const base::GuestId& guest);

    void received(const Channel& from, const wire::GroupPdu& pdu, base::TimePoint now);

    /// The controller is there, or not any more: what it had not taken by then is `unavailable`.
    void serving();
    void cut_off();
    bool is_serving() const { return serving_; }
    /// The controller has taken all broadcasts up to this number.
    void accepted(std::uint64_t up_to);
    void refused(std::uint64_t number, const base::Error& error);
    /// A piece of the answer to a query; `last` completes it.
    void status(std::uint64_t number, std::vector<wire::MemberState> members, bool last);

    void tick(base::TimePoint now);
    base::TimePoint next_deadline() const;

    const RateLimiterCounters& counters() const { return counters_; }

private:
    struct Guest {
        explicit Guest(const Limits& initial);

        Limits limits;
        base::TokenBucket messages;
        base::TokenBucket bytes;
        // By the rate since the guest was last told of them.
        std::int64_t refused_broadcasts = 0;
        std::int64_t refused_queries = 0;
        Channel refused_on{};  ///< where the last of them came from
        base::TimePoint tell_again_at{};
    };

    struct Pending {
        Channel from;
        base::TimePoint deadline;
        bool is_query = false;
        std::optional<std::int64_t> seq;
        std::vector<wire::MemberState> members;  ///< of a query, until it is complete
    };

    void tell_refused(const base::GuestId& id, Guest& guest, wire::GroupPdu pdu, bool seq_known, base::TimePoint now);
    bool within_rate(Guest& guest, const Channel& from, const wire::GroupPdu& pdu, base::TimePoint now);
    void refuse(const Channel& to, const wire::GroupPdu& pdu, base::Errc code, const std::string& why);
    void refuse(const Pending& pending, base::Errc code, const std::string& why);

    Output& output_;
    std::unordered_map<base::GuestId, Guest> guests_;
    std::map<base::GuestId, base::TimePoint> owing_;  ///< guests that were refused silently, and when they are told
    std::map<std::uint64_t, Pending> pending_;        ///< in the order of their deadlines
    std::uint64_t next_number_ = 1;
    bool serving_ = false;
    RateLimiterCounters counters_;
};

}  // namespace vitalwire::group
