#include "group/rate_limiter.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "wire/group_codec.hpp"

namespace vitalwire::group {

using base::Errc;
using base::TimePoint;
using wire::GroupPdu;

namespace {

constexpr const char* kNobody = "no controller can be reached";

std::size_t payload_of(const GroupPdu& pdu) {
    const auto* broadcast = std::get_if<wire::Broadcast>(&pdu);
    return broadcast == nullptr ? 0 : broadcast->payload.size();
}

}  // namespace

RateLimiter::Guest::Guest(const Limits& initial)
    : limits(initial),
      // Never smaller than one message: it would be refused however long its sender waits.
      messages(initial.messages_per_second, std::max(initial.messages_per_second * initial.burst, 1.0)),
      bytes(initial.bytes_per_second,
            std::max(initial.bytes_per_second * initial.burst, static_cast<double>(wire::kMaxPayload))) {}

void RateLimiter::set_limits(const base::GuestId& guest, const Limits& limits) {
    const auto known = guests_.find(guest);
    if (known != guests_.end() && known->second.limits == limits) return;
    guests_.insert_or_assign(guest, Guest(limits));
}

Limits RateLimiter::limits(const base::GuestId& guest) const {
    const auto known = guests_.find(guest);
    return known == guests_.end() ? Limits{} : known->second.limits;
}

void RateLimiter::forget(const base::GuestId& guest) {
    guests_.erase(guest);
    std::erase_if(pending_, [&](const auto& item) { return item.second.from.guest == guest; });
}

void RateLimiter::received(const Channel& from, const GroupPdu& pdu, TimePoint now) {
    const auto guest = guests_.find(from.guest);
    if (guest == guests_.end() || !guest->second.limits.enabled) {
        ++counters_.not_enabled;
        return refuse(from, pdu, Errc::not_enabled, "messaging is not enabled for this guest");
    }
    if (!within_rate(guest->second, from, pdu, now)) return;
    if (!serving_ || pending_.size() >= kMaxPending) {
        ++counters_.unavailable;
        return refuse(from, pdu, Errc::unavailable, kNobody);
    }
    const std::uint64_t number = next_number_++;
    if (const auto* broadcast = std::get_if<wire::Broadcast>(&pdu)) {
        ++counters_.broadcasts;
        pending_.emplace(number, Pending{from, now + kReach, false, broadcast->seq, {}});
        return output_.broadcast(number, from.guest, broadcast->payload);
    }
    if (const auto* query = std::get_if<wire::StatusQuery>(&pdu)) {
        ++counters_.queries;
        pending_.emplace(number, Pending{from, now + kReach, true, query->seq, {}});
        output_.query(number, from.guest);
    }
}

bool RateLimiter::within_rate(Guest& guest, const Channel& from, const GroupPdu& pdu, TimePoint now) {
    // Both are charged only when both have room, so that a refused message costs its sender nothing more.
    const auto size = static_cast<double>(payload_of(pdu));
    if (guest.messages.has(now, 1) && guest.bytes.has(now, size)) {
        guest.messages.take(now, 1);
        guest.bytes.take(now, size);
        return true;
    }
    ++counters_.rate_limited;
    ++(std::holds_alternative<wire::StatusQuery>(pdu) ? guest.refused_queries : guest.refused_broadcasts);
    guest.refused_on = from;
    if (now < guest.tell_again_at) {
        owing_.try_emplace(from.guest, guest.tell_again_at);
    } else {
        tell_refused(from.guest, guest, pdu, true, now);
    }
    return false;
}

/// Of one kind of message at a time: a guest takes the refusal of queries for one of all that are under way.
void RateLimiter::tell_refused(const base::GuestId& id, Guest& guest, GroupPdu pdu, bool seq_known, TimePoint now) {
    guest.tell_again_at = now + kRate;
    const auto per_second = static_cast<long>(guest.limits.messages_per_second);
    const auto bytes = static_cast<long>(guest.limits.bytes_per_second);
    const std::string text =
        "more than " + std::to_string(per_second) + " messages or " + std::to_string(bytes) + " bytes a second";
    const bool of_queries = std::holds_alternative<wire::StatusQuery>(pdu);
    wire::Nack nack = wire::make_nack(pdu, {Errc::rate_limited, text});
    if (!seq_known) nack.seq.reset();
    nack.refused = std::exchange(of_queries ? guest.refused_queries : guest.refused_broadcasts, 0);
    output_.answer(guest.refused_on, std::move(nack));
    if (guest.refused_broadcasts > 0 || guest.refused_queries > 0) owing_.insert_or_assign(id, guest.tell_again_at);
}

void RateLimiter::serving() {
    serving_ = true;
}

void RateLimiter::cut_off() {
    serving_ = false;
    for (const auto& [number, pending] : std::exchange(pending_, {})) {
        ++counters_.unavailable;
        refuse(pending, Errc::unavailable, kNobody);
    }
}

void RateLimiter::accepted(std::uint64_t up_to) {
    if (up_to >= next_number_) return;  // of an earlier life of this agent
    for (auto item = pending_.begin(); item != pending_.end() && item->first <= up_to;) {
        item = item->second.is_query ? std::next(item) : pending_.erase(item);
    }
}

void RateLimiter::refused(std::uint64_t number, const base::Error& error) {
    const auto item = pending_.extract(number);
    if (item.empty()) return;
    ++counters_.refused;
    // That the cloud has the guest elsewhere is a matter between hosts, and passes when a migration has ended.
    const Errc code = error.code == Errc::permission ? Errc::unavailable : error.code;
    refuse(item.mapped(), code, error.message);
}

void RateLimiter::status(std::uint64_t number, std::vector<wire::MemberState> members, bool last) {
    const auto found = pending_.find(number);
    if (found == pending_.end() || !found->second.is_query) return;
    auto& collected = found->second.members;
    std::move(members.begin(), members.end(), std::back_inserter(collected));
    if (!last) return;
    Pending query = std::move(pending_.extract(found).mapped());
    output_.status(query.from, query.seq.value_or(0), std::move(query.members));
}

void RateLimiter::tick(TimePoint now) {
    for (auto owed = owing_.begin(); owed != owing_.end();) {
        if (now < owed->second) {
            ++owed;
            continue;
        }
        const auto guest = guests_.find(owed->first);
        owed = owing_.erase(owed);
        if (guest == guests_.end()) continue;
        if (guest->second.refused_broadcasts > 0) {
            tell_refused(guest->first, guest->second, wire::Broadcast{}, false, now);
        } else if (guest->second.refused_queries > 0) {
            tell_refused(guest->first, guest->second, wire::StatusQuery{}, false, now);
        }
    }
    while (!pending_.empty() && now >= pending_.begin()->second.deadline) {
        const Pending late = std::move(pending_.extract(pending_.begin()).mapped());
        ++counters_.unavailable;
        refuse(late, Errc::unavailable, "the controller did not answer in time");
    }
}

TimePoint RateLimiter::next_deadline() const {
    TimePoint due = pending_.empty() ? base::kNever : pending_.begin()->second.deadline;
    for (const auto& [guest, at] : owing_)
        due = std::min(due, at);
    return due;
}

void RateLimiter::refuse(const Channel& to, const GroupPdu& pdu, Errc code, const std::string& why) {
    output_.answer(to, wire::make_nack(pdu, {code, why}));
}

void RateLimiter::refuse(const Pending& pending, Errc code, const std::string& why) {
    const GroupPdu pdu = pending.is_query ? GroupPdu(wire::StatusQuery{pending.seq.value_or(0)})
                                          : GroupPdu(wire::Broadcast{{}, pending.seq});
    refuse(pending.from, pdu, code, why);
}

}  // namespace vitalwire::group
