#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.hpp"
#include "group/outbox.hpp"
#include "guest/channel.hpp"
#include "wire/group_pdu.hpp"

namespace vitalwire::guest {

/// The server group on the channel: passes on what the applications of this guest send, and hands each of them what is
/// for it. Holds no state of queries: whose a message is stands in its `seq`, so nothing has to be remembered or to run
/// out (proto-spec/server-group.md, section 6).
class GroupApp {
public:
    /// An application.
    class Member {
    public:
        virtual ~Member() = default;
        virtual void deliver(const group::Outgoing& message) = 0;
        /// The host dropped so many messages for this guest; to be told with the next one.
        virtual void lost(std::uint64_t count) = 0;
    };
    /// What a member wants unasked.
    struct Wish {
        bool broadcasts = false;
        bool notifications = false;
    };
    struct Counters {
        std::uint64_t sent = 0;
        std::uint64_t refused = 0;  ///< to applications, because no host was there or did not read
        std::uint64_t received = 0;
        std::uint64_t unclaimed = 0;  ///< answers to applications that are gone
        std::uint64_t dropped = 0;    ///< by the host, because this guest did not read
    };

    explicit GroupApp(Channel& channel);

    /// A member that joins again has another wish.
    void join(Member& member, Wish wish);
    void leave(Member& member);
    /// A Broadcast or StatusQuery, its `seq` at most app::kMaxSeq. A refusal is delivered as a nack.
    void send(Member& member, const wire::GroupPdu& request);
    const Counters& counters() const { return counters_; }

    void host_connected();
    void host_disconnected();
    void receive(const wire::GroupPdu& pdu);

private:
    /// Whether a member has sent what the next nack without a `seq` may be about: `since` the last such nack, or
    /// `before` it and after the one before, as that may have been on its way still.
    struct Sent {
        bool since = false;
        bool before = false;
    };
    struct Entry {
        Member* member;
        std::int64_t number;  ///< upper part of the `seq` of all it sends
        Wish wish;
        Sent broadcasts{};
        Sent queries{};
        Sent any{};
    };

    Entry* find(const Member& member);
    Entry& add(Member& member);
    std::int64_t free_number();
    void refuse(Member& member, const wire::GroupPdu& request, const base::Error& error);
    void handle(wire::Delivery pdu);
    void handle(wire::Notification pdu);
    void handle(wire::StatusResponse pdu);
    void handle(wire::StatusDone pdu);
    void handle(wire::Nack pdu);
    void handle(const wire::Broadcast&) {}
    void handle(const wire::StatusQuery&) {}
    /// Gives `pdu` back its application's `seq`; null when that is gone.
    Member* claim(std::int64_t& seq);
    void to_all(wire::GroupPdu pdu, bool Wish::*wanted);
    void to_all(wire::GroupPdu pdu);
    void to_senders(const wire::Nack& nack);
    void told_of_drops(std::uint64_t& dropped);

    Channel& channel_;
    bool host_there_ = false;
    std::vector<Entry> members_;
    std::int64_t last_number_;
    Counters counters_;
};

}  // namespace vitalwire::guest
