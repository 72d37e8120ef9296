#include "guest/group_app.hpp"

#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "guest/app_protocol.hpp"
#include "wire/group_codec.hpp"
#include "wire/limits.hpp"

namespace vitalwire::guest {

using base::Errc;

namespace {

constexpr std::int64_t kSeqs = app::kMaxSeq + 1;  ///< of one application
constexpr std::int64_t kNumbers = (wire::kMaxInt31 + 1) / kSeqs;

/// Elsewhere at each start: what was answered to an earlier life is nobody's.
std::int64_t random_number() {
    std::uint16_t value = 0;
    if (::getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value) value = 0;
    return value % kNumbers;
}

}  // namespace

GroupApp::GroupApp(Channel& channel) : channel_(channel), last_number_(random_number()) {}

void GroupApp::join(Member& member, Wish wish) {
    Entry* entry = find(member);
    (entry != nullptr ? *entry : add(member)).wish = wish;
}

void GroupApp::leave(Member& member) {
    std::erase_if(members_, [&](const Entry& entry) { return entry.member == &member; });
}

GroupApp::Entry* GroupApp::find(const Member& member) {
    const auto found =
        std::find_if(members_.begin(), members_.end(), [&](const Entry& entry) { return entry.member == &member; });
    return found == members_.end() ? nullptr : &*found;
}

GroupApp::Entry& GroupApp::add(Member& member) {
    return members_.emplace_back(Entry{&member, free_number(), {}});
}

std::int64_t GroupApp::free_number() {
    // There are many more numbers than applications.
    do {
        last_number_ = (last_number_ + 1) % kNumbers;
    } while (std::any_of(members_.begin(), members_.end(),
                         [&](const Entry& entry) { return entry.number == last_number_; }));
    return last_number_;
}

void GroupApp::send(Member& member, const wire::GroupPdu& request) {
    if (!host_there_) return refuse(member, request, {Errc::disconnected, "no host is on the channel"});
    Entry* known = find(member);
    Entry& sender = known != nullptr ? *known : add(member);
    const std::int64_t base = sender.number * kSeqs;
    wire::GroupPdu numbered = request;
    if (auto* broadcast = std::get_if<wire::Broadcast>(&numbered); broadcast != nullptr && broadcast->seq)
        *broadcast->seq += base;
    if (auto* query = std::get_if<wire::StatusQuery>(&numbered)) query->seq += base;
    const auto line = wire::encode_group(numbered, wire::Dialect::native, wire::kBaseVersion);
    if (!line) return refuse(member, request, line.error());
    if (!channel_.send(*line, Priority::bulk))
        return refuse(member, request, {Errc::rate_limited, "the host does not read what this guest has sent"});
    (std::holds_alternative<wire::Broadcast>(request) ? sender.broadcasts : sender.queries).since = true;
    sender.any.since = true;
    ++counters_.sent;
}

void GroupApp::refuse(Member& member, const wire::GroupPdu& request, const base::Error& error) {
    ++counters_.refused;
    member.deliver(group::Outgoing(wire::make_nack(request, error)));
}

void GroupApp::host_connected() {
    host_there_ = true;
}

void GroupApp::host_disconnected() {
    if (!std::exchange(host_there_, false)) return;
    // What was under way is lost with the connection, answers included.
    to_all(wire::Nack{Errc::disconnected, "the host went away", "unknown"});
}

void GroupApp::receive(const wire::GroupPdu& pdu) {
    ++counters_.received;
    std::visit([this](const auto& each) { handle(each); }, pdu);
}

void GroupApp::handle(wire::Delivery pdu) {
    told_of_drops(pdu.dropped);
    to_all(std::move(pdu), &Wish::broadcasts);
}

void GroupApp::handle(wire::Notification pdu) {
    told_of_drops(pdu.dropped);
    to_all(std::move(pdu), &Wish::notifications);
}

void GroupApp::handle(wire::StatusResponse pdu) {
    told_of_drops(pdu.dropped);
    if (Member* member = claim(pdu.seq)) member->deliver(group::Outgoing(std::move(pdu)));
}

void GroupApp::handle(wire::StatusDone pdu) {
    told_of_drops(pdu.dropped);
    if (Member* member = claim(pdu.seq)) member->deliver(group::Outgoing(pdu));
}

void GroupApp::handle(wire::Nack pdu) {
    log::debug("the host refused a message of the server group", {{"why", pdu.message}});
    if (!pdu.seq) return to_senders(pdu);
    if (Member* member = claim(*pdu.seq)) member->deliver(group::Outgoing(std::move(pdu)));
}

GroupApp::Member* GroupApp::claim(std::int64_t& seq) {
    const std::int64_t number = seq / kSeqs;
    seq %= kSeqs;
    for (const Entry& entry : members_) {
        if (entry.number == number) return entry.member;
    }
    ++counters_.unclaimed;
    return nullptr;
}

void GroupApp::to_all(wire::GroupPdu pdu, bool Wish::*wanted) {
    const group::Outgoing message(std::move(pdu));
    for (const Entry& entry : members_) {
        if (entry.wish.*wanted) entry.member->deliver(message);
    }
}

void GroupApp::to_all(wire::GroupPdu pdu) {
    const group::Outgoing message(std::move(pdu));
    for (const Entry& entry : members_)
        entry.member->deliver(message);
}

void GroupApp::to_senders(const wire::Nack& nack) {
    Sent Entry::*sent = nack.orig_msg_type == "broadcast"      ? &Entry::broadcasts
                        : nack.orig_msg_type == "status_query" ? &Entry::queries
                                                               : &Entry::any;
    const group::Outgoing message{wire::GroupPdu(nack)};
    for (Entry& entry : members_) {
        const Sent was = std::exchange(entry.*sent, {false, (entry.*sent).since});
        if (was.since || was.before) entry.member->deliver(message);
    }
}

void GroupApp::told_of_drops(std::uint64_t& dropped) {
    if (dropped == 0) return;
    counters_.dropped += dropped;
    for (const Entry& entry : members_)
        entry.member->lost(dropped);
    // Each member's own count goes with its message.
    dropped = 0;
}

}  // namespace vitalwire::guest
