#include "host/core/group_relay.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "base/text.hpp"
#include "wire/group_codec.hpp"
#include "wire/limits.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::TimePoint;
using wire::Dialect;

namespace {

/// A challenge waits for at most so much of the group's messages.
constexpr std::size_t kGroupBatch = 8192;
/// States of peers over all guests; beyond it they are forgotten, and sent again when they come again.
constexpr std::size_t kMaxPeerStates = 200'000;
/// What was written so shortly before a channel ended may not have been read.
constexpr base::Duration kMayBeLost = std::chrono::seconds(5);
/// Answers to status queries that one channel may have waiting; each may be as large as the group.
constexpr std::size_t kMaxStatusAnswers = 2;
/// cgcs guests pass each answer on through a datagram queue of ten messages and drop what does not fit.
constexpr int kCgcsBurst = 8;
constexpr base::Duration kCgcsPause = std::chrono::milliseconds(20);

std::size_t index(Dialect dialect) {
    return static_cast<std::size_t>(dialect);
}

std::size_t hash_of(const wire::MemberState& state) {
    return std::hash<std::string>{}(wire::to_text(state));
}

}  // namespace

void GroupRelay::set_policy(const model::GuestPolicy& policy) {
    group::Limits limits = settings_.defaults;
    limits.enabled = policy.messaging;
    if (policy.messages_per_second > 0) limits.messages_per_second = policy.messages_per_second;
    if (policy.bytes_per_second > 0) limits.bytes_per_second = static_cast<double>(policy.bytes_per_second);
    rate_limiter_.set_limits(policy.guest, limits);
}

void GroupRelay::forget(const GuestId& guest) {
    rate_limiter_.forget(guest);
    const auto known = guests_.find(guest);
    if (known == guests_.end()) return;
    peer_states_ -= known->second.peers.size();
    known->second.peers.clear();
    const auto is_up = [](const auto& lane) { return lane && lane->up; };
    if (std::none_of(known->second.lanes.begin(), known->second.lanes.end(), is_up)) guests_.erase(known);
}

GroupRelay::Lane* GroupRelay::find(const GuestId& guest, Dialect dialect) {
    const auto known = guests_.find(guest);
    return known == guests_.end() ? nullptr : known->second.lanes.at(index(dialect)).get();
}

GroupRelay::Lane& GroupRelay::lane(const GuestId& guest, Dialect dialect) {
    auto& lane = guests_[guest].lanes.at(index(dialect));
    if (!lane) lane = std::make_unique<Lane>(dialect, settings_.queue);
    return *lane;
}

void GroupRelay::channel_up(const GuestId& guest, Dialect dialect, TimePoint now) {
    Lane& connected = lane(guest, dialect);
    connected.up = true;
    connected.spoke = false;
    connected.outbox.set_base_version(wire::kBaseVersion);
    resend_missed(guest, now);
}

void GroupRelay::channel_down(const GuestId& guest, Dialect dialect, TimePoint now) {
    Lane* ended = find(guest, dialect);
    if (ended == nullptr) return;
    ended->up = false;
    ended->answers.clear();
    const std::uint64_t dropped_before = ended->outbox.dropped();
    ended->outbox.clear();
    if (const auto dropped = ended->outbox.dropped() - dropped_before; dropped > 0)
        output_.not_read(guest, dialect, dropped);
    for (auto& [member, peer] : guests_[guest].peers) {
        peer.missed = peer.missed || now < peer.sent_at + kMayBeLost;
    }
    resend_missed(guest, now);
}

void GroupRelay::spoke(const GuestId& guest, Dialect dialect, int base_version) {
    Lane* speaking = find(guest, dialect);
    if (speaking == nullptr) return;
    speaking->spoke = true;
    speaking->outbox.set_base_version(base_version);
}

void GroupRelay::received(const GuestId& guest, Dialect dialect, const wire::GroupPdu& pdu, int base_version,
                          TimePoint now) {
    rate_limiter_.received({guest, dialect, base_version}, pdu, now);
}

void GroupRelay::primary_changed(bool any) {
    rate_limiter_.cut_off();
    if (any) rate_limiter_.serving();
}

void GroupRelay::on(const bus::GroupDeliver& message, const group::Route& route) {
    using Answer = group::Duplicates::Answer;
    const Answer answer = duplicates_.judge(message.source, message.agent, message.number, route);
    const bool late = answer == Answer::late;
    counters_.duplicates += answer == Answer::duplicate ? 1 : 0;
    counters_.late += late ? 1 : 0;
    if (answer == Answer::duplicate) return;
    const group::Outgoing delivery(wire::Delivery{message.source, message.payload, message.from_operator});
    const std::uint64_t lost = message.dropped + (late ? 1 : 0);
    for (const GuestId& guest : message.guests) {
        const auto dialect = taking_part(guest);
        if (dialect && lost > 0) lane(guest, *dialect).outbox.lost(lost);
        if (!late && !deliver(guest, delivery)) ++counters_.not_connected;
    }
}

/// Controllers send everything again when they cannot know what was sent: only what a guest was not sent passes.
void GroupRelay::on(const bus::GroupNotify& message, TimePoint now) {
    const std::size_t hash = hash_of(message.state);
    const auto notification = std::make_shared<const group::Outgoing>(
        wire::Notification{message.event_type, message.timestamp, message.state});
    for (const GuestId& guest : message.guests)
        notify(guest, message.state.instance_id, hash, notification, now);
}

void GroupRelay::notify(const GuestId& guest, const std::string& member, std::size_t hash, const Message& message,
                        TimePoint now) {
    if (peer_states_ >= kMaxPeerStates) {
        for (auto& [id, known] : guests_)
            known.peers.clear();
        peer_states_ = 0;
    }
    const auto [entry, first] = guests_[guest].peers.try_emplace(member);
    peer_states_ += first ? 1 : 0;
    PeerState& peer = entry->second;
    if (!first && peer.hash == hash) {
        ++counters_.duplicates;
        return;
    }
    peer.hash = hash;
    peer.message = message;
    peer.sent_at = now;
    correct_answers(guest, std::get<wire::Notification>(message->pdu()).state);
    peer.missed = !deliver(guest, *message);
    if (peer.missed) ++counters_.not_connected;
}

/// A notification does not wait for the answers: those are of before, and would undo it.
void GroupRelay::correct_answers(const GuestId& guest, const wire::MemberState& state) {
    for (const auto& lane : guests_[guest].lanes) {
        if (!lane) continue;
        for (StatusAnswer& answer : lane->answers) {
            for (std::size_t i = answer.next; i < answer.members.size(); ++i) {
                if (answer.members[i].instance_id == state.instance_id) answer.members[i] = state;
            }
        }
    }
}

/// A state that no notification named may be shown to a guest that asks, an agent being away at that moment. Which of
/// the two it takes for the newer one is up to the guest, so the next notification is news, whatever it has.
void GroupRelay::shown(const GuestId& guest, const wire::MemberState& state) {
    auto& peers = guests_[guest].peers;
    const auto peer = peers.find(state.instance_id);
    if (peer != peers.end() && peer->second.hash != hash_of(state)) peer->second.hash.reset();
}

/// Who takes an answer for the whole group knows no others: they are news.
void GroupRelay::left_out(const GuestId& guest, const std::vector<wire::MemberState>& members) {
    std::set<std::string_view> shown;
    for (const wire::MemberState& member : members)
        shown.insert(member.instance_id);
    for (auto& [member, peer] : guests_[guest].peers) {
        if (!shown.contains(member)) peer.hash.reset();
    }
}

void GroupRelay::resend_missed(const GuestId& guest, TimePoint now) {
    if (!taking_part(guest)) return;
    for (auto& [member, peer] : guests_[guest].peers) {
        if (!peer.missed) continue;
        ++counters_.resent;
        peer.sent_at = now;
        peer.hash = hash_of(std::get<wire::Notification>(peer.message->pdu()).state);
        peer.missed = !deliver(guest, *peer.message);
    }
}

void GroupRelay::broadcast(std::uint64_t number, const GuestId& sender, const std::string& payload) {
    output_.to_primary(bus::GroupSend{number, sender, payload});
}

void GroupRelay::query(std::uint64_t number, const GuestId& asker) {
    output_.to_primary(bus::GroupQuery{number, asker});
}

void GroupRelay::answer(const group::Channel& to, wire::GroupPdu pdu) {
    const Lane* asked = find(to.guest, to.dialect);
    if (asked == nullptr || !asked->up) {
        ++counters_.not_connected;
        return;
    }
    put(to.guest, to.dialect, group::Outgoing(std::move(pdu)));
}

void GroupRelay::status(const group::Channel& to, std::int64_t seq, std::vector<wire::MemberState> members) {
    Lane* asked = find(to.guest, to.dialect);
    if (asked == nullptr || !asked->up) {
        ++counters_.not_connected;
        return;
    }
    if (asked->answers.size() >= kMaxStatusAnswers) {
        const base::Error why{base::Errc::unavailable, "earlier status answers have not been read"};
        return answer(to, wire::make_nack(wire::StatusQuery{seq}, why));
    }
    asked->answers.push_back({seq, std::move(members)});
    to_write_.emplace(to.guest, to.dialect);
}

/// A guest may have both channels; it takes part on the native one when it speaks there, or has no other.
std::optional<Dialect> GroupRelay::taking_part(const GuestId& guest) const {
    const auto known = guests_.find(guest);
    if (known == guests_.end()) return std::nullopt;
    const Lane* native = known->second.lanes[index(Dialect::native)].get();
    const Lane* cgcs = known->second.lanes[index(Dialect::cgcs)].get();
    const bool cgcs_up = cgcs != nullptr && cgcs->up;
    if (native != nullptr && native->up && (native->spoke || !cgcs_up)) return Dialect::native;
    return cgcs_up ? std::optional(Dialect::cgcs) : std::nullopt;
}

/// False when no channel of the guest is connected.
bool GroupRelay::deliver(const GuestId& guest, const group::Outgoing& message) {
    const auto dialect = taking_part(guest);
    if (dialect) put(guest, *dialect, message);
    return dialect.has_value();
}

void GroupRelay::put(const GuestId& guest, Dialect dialect, const group::Outgoing& message) {
    group::Outbox& outbox = lane(guest, dialect).outbox;
    const std::uint64_t dropped_before = outbox.dropped();
    if (!outbox.push(message)) {
        ++counters_.undeliverable;
        return;
    }
    ++counters_.delivered;
    if (outbox.dropped() > dropped_before) output_.not_read(guest, dialect, outbox.dropped() - dropped_before);
    to_write_.emplace(guest, dialect);
    // A burst that comes in one turn must not fill the queue of a guest that reads.
    if (outbox.bytes() >= kGroupBatch && output_.channel_idle(guest, dialect))
        output_.write(guest, dialect, batch_of(outbox));
}

void GroupRelay::tick(TimePoint now) {
    rate_limiter_.tick(now);
    for (auto paused = paused_.begin(); paused != paused_.end();) {
        if (now < paused->second) {
            ++paused;
            continue;
        }
        to_write_.insert(paused->first);
        paused = paused_.erase(paused);
    }
    for (const LaneKey& key : std::exchange(to_write_, {}))
        write(key, now);
}

TimePoint GroupRelay::next_due() const {
    if (!to_write_.empty()) return TimePoint::min();
    TimePoint due = rate_limiter_.next_deadline();
    for (const auto& [key, until] : paused_)
        due = std::min(due, until);
    return due;
}

void GroupRelay::write(const LaneKey& key, TimePoint now) {
    Lane* lane = find(key.first, key.second);
    while (lane != nullptr && lane->up && output_.channel_idle(key.first, key.second)) {
        std::string batch = next_batch(key, *lane, now);
        if (batch.empty()) return;
        output_.write(key.first, key.second, std::move(batch));
    }
}

std::string GroupRelay::batch_of(group::Outbox& outbox) {
    std::string batch;
    while (!outbox.empty() && batch.size() < kGroupBatch)
        batch += outbox.pop();
    return batch;
}

std::string GroupRelay::next_batch(const LaneKey& key, Lane& lane, TimePoint now) {
    std::string batch = batch_of(lane.outbox);
    if (now < lane.paused_until) return batch;
    int states = 0;
    while (!lane.answers.empty() && batch.size() < kGroupBatch) {
        const StatusAnswer& answer = lane.answers.front();
        if (answer.next < answer.members.size()) {
            shown(key.first, answer.members[answer.next]);
        } else {
            left_out(key.first, answer.members);
        }
        batch += next_status_line(lane);
        if (key.second == Dialect::native || ++states < kCgcsBurst) continue;
        paused_[key] = lane.paused_until = now + kCgcsPause;
        break;
    }
    return batch;
}

wire::HostFacts GroupRelay::facts_about(const GuestId& guest, const std::string& host_version) const {
    wire::HostFacts facts;
    if (base::is_plain_name(guest.str(), wire::kMaxInstanceId)) facts.instance_id = guest.str();
    facts.host_version = host_version;
    const group::Limits allowed = limits(guest);
    facts.group = allowed.enabled;
    if (!allowed.enabled) return facts;
    const auto whole = [](double rate) { return std::max<std::int64_t>(1, std::llround(rate)); };
    facts.messages_per_second = whole(allowed.messages_per_second);
    facts.bytes_per_second = whole(allowed.bytes_per_second);
    facts.max_payload = wire::kMaxPayload;
    return facts;
}

/// Through the empty queue, so that it carries the count of what the guest was not sent.
std::string GroupRelay::next_status_line(Lane& lane) {
    StatusAnswer& answer = lane.answers.front();
    const bool done = answer.next == answer.members.size();
    const auto pdu = done ? wire::GroupPdu(wire::StatusDone{answer.seq, answer.members.size()})
                          : wire::GroupPdu(wire::StatusResponse{answer.seq, answer.members[answer.next]});
    if (done) {
        lane.answers.pop_front();
    } else {
        ++answer.next;
    }
    return lane.outbox.push(group::Outgoing(pdu)) ? lane.outbox.pop() : std::string();
}

}  // namespace vitalwire::host
