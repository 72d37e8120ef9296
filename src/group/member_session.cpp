#include "group/member_session.hpp"

#include <utility>
#include <variant>

#include "wire/group_codec.hpp"

namespace vitalwire::group {

using base::Result;

Result<MemberSession::Outgoing> MemberSession::broadcast(std::string payload) {
    const std::int64_t seq = next_seq();
    auto line = wire::encode_group(wire::Broadcast{std::move(payload), seq}, wire::Dialect::native, wire::kBaseVersion);
    if (!line) return tl::make_unexpected(line.error());
    return Outgoing{seq, std::move(*line)};
}

MemberSession::Outgoing MemberSession::query() {
    const std::int64_t seq = next_seq();
    return {seq, *wire::encode_group(wire::StatusQuery{seq}, wire::Dialect::native, wire::kBaseVersion)};
}

void MemberSession::received(const wire::GroupPdu& pdu) {
    std::visit([this](const auto& each) { handle(each); }, pdu);
}

void MemberSession::tick(base::TimePoint now) {
    for (const auto& outcome : queries_.expire(now))
        events_.status(outcome);
}

void MemberSession::handle(const wire::Delivery& message) {
    count_dropped(message.dropped);
    events_.broadcast(message);
}

void MemberSession::handle(const wire::Notification& message) {
    count_dropped(message.dropped);
    events_.notification(message);
}

void MemberSession::handle(const wire::StatusResponse& message) {
    count_dropped(message.dropped);
    queries_.received(message);
}

void MemberSession::handle(const wire::StatusDone& message) {
    count_dropped(message.dropped);
    if (const auto outcome = queries_.received(message)) events_.status(*outcome);
}

void MemberSession::handle(const wire::Nack& nack) {
    if (const auto outcome = queries_.received(nack)) return events_.status(*outcome);
    // Of a query that has ended already; what has no `seq` is about everything under way.
    if (nack.seq && nack.orig_msg_type == "status_query") return;
    if (!nack.seq && nack.orig_msg_type != "broadcast") fail_queries({nack.code, nack.message});
    events_.refused(nack);
}

void MemberSession::count_dropped(std::uint64_t count) {
    if (count > 0) events_.dropped(count);
}

void MemberSession::fail_queries(const base::Error& why) {
    for (const auto& outcome : queries_.fail_all(why))
        events_.status(outcome);
}

std::int64_t MemberSession::next_seq() {
    do {
        last_seq_ = last_seq_ % largest_seq_ + 1;
    } while (queries_.is_open(last_seq_));
    return last_seq_;
}

}  // namespace vitalwire::group
