#pragma once

#include <cstdint>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "group/queries.hpp"
#include "wire/group_pdu.hpp"

namespace vitalwire::group {

/// A member's side of the server group (proto-spec/server-group.md, section 6): what an application asks and sends, and
/// what it is told. Pure: the owner has the connection and the timer.
class MemberSession {
public:
    class Events {
    public:
        virtual ~Events() = default;
        virtual void broadcast(const wire::Delivery& message) = 0;
        virtual void notification(const wire::Notification& message) = 0;
        /// A broadcast with that `seq`, or without one all that are under way.
        virtual void refused(const wire::Nack& nack) = 0;
        virtual void dropped(std::uint64_t count) = 0;
        virtual void status(const Queries::Outcome& outcome) = 0;
    };
    /// A message, and the `seq` that an answer to it has.
    struct Outgoing {
        std::int64_t seq = 0;
        std::string line;
    };

    /// `seq` is 1 to `largest_seq`.
    MemberSession(Events& events, std::int64_t largest_seq) : events_(events), largest_seq_(largest_seq) {}

    /// Fails with too_large.
    base::Result<Outgoing> broadcast(std::string payload);
    Outgoing query();
    /// The query was sent.
    void asked(std::int64_t seq, base::TimePoint deadline) { queries_.start(seq, deadline); }
    void received(const wire::GroupPdu& pdu);
    void connection_ended(const base::Error& why) { fail_queries(why); }
    void tick(base::TimePoint now);
    base::TimePoint next_deadline() const { return queries_.next_deadline(); }

private:
    void handle(const wire::Delivery& message);
    void handle(const wire::Notification& message);
    void handle(const wire::StatusResponse& message);
    void handle(const wire::StatusDone& message);
    void handle(const wire::Nack& nack);
    void handle(const wire::Broadcast&) {}
    void handle(const wire::StatusQuery&) {}
    void count_dropped(std::uint64_t count);
    void fail_queries(const base::Error& why);
    std::int64_t next_seq();

    Events& events_;
    std::int64_t largest_seq_;
    Queries queries_;
    std::int64_t last_seq_ = 0;
};

}  // namespace vitalwire::group
