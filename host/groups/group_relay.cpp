#include "host/groups/group_relay.hpp"

#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>
#include <utility>

#include "wire/group_codec.hpp"

namespace vitalwire::host {

using base::GuestId;

namespace {

/// Members of all groups with guests here; beyond it what was told is forgotten, and told again.
constexpr std::size_t kMaxToldStates = 100'000;

}  // namespace

GroupRelay::GroupRelay(boost::asio::io_context& io, group::Limits defaults, Dependencies surroundings)
    : io_(io), defaults_(defaults), surroundings_(std::move(surroundings)), deadline_(io) {}

GroupRelay::~GroupRelay() {
    *alive_ = false;
}

void GroupRelay::set_policy(const model::GuestPolicy& policy) {
    group::Limits limits = defaults_;
    limits.enabled = policy.messaging;
    if (policy.messages_per_second > 0) limits.messages_per_second = policy.messages_per_second;
    if (policy.bytes_per_second > 0) limits.bytes_per_second = static_cast<double>(policy.bytes_per_second);
    rate_limiter_.set_limits(policy.guest, limits);
}

void GroupRelay::forget(const GuestId& guest) {
    rate_limiter_.forget(guest);
}

void GroupRelay::received(const Channel& from, const wire::GroupPdu& pdu, int base_version) {
    rate_limiter_.received({from.guest(), from.dialect(), base_version}, pdu, base::Clock::now());
    arm();
}

void GroupRelay::lead_changed(bool any) {
    rate_limiter_.cut_off();
    if (any) rate_limiter_.serving();
    arm();
}

void GroupRelay::on(const bus::GroupDeliver& message) {
    if (!duplicates_.fresh(message.source, message.agent, message.number)) {
        ++counters_.duplicates;
        return;
    }
    tell(message.guests, wire::Delivery{message.source, message.payload, message.from_operator});
}

/// Controllers tell everything again when they cannot know what was told.
bool GroupRelay::is_newer(const wire::MemberState& state) {
    if (told_states_.size() >= kMaxToldStates) told_states_.clear();
    const std::size_t now = std::hash<std::string>{}(wire::to_text(state));
    const auto [told, first] = told_states_.try_emplace(state.instance_id, now);
    if (!first && std::exchange(told->second, now) == now) {
        ++counters_.duplicates;
        return false;
    }
    return true;
}

void GroupRelay::on(const bus::GroupNotify& message) {
    if (!is_newer(message.state)) return;
    tell(message.guests, wire::Notification{message.event_type, message.timestamp, message.state});
}

void GroupRelay::on(const bus::GroupStatus& message) {
    rate_limiter_.status(message.number, message.members, message.last);
}

void GroupRelay::broadcast(std::uint64_t number, const GuestId& sender, const std::string& payload) {
    surroundings_.to_lead(bus::GroupSend{number, sender, payload});
}

void GroupRelay::query(std::uint64_t number, const GuestId& asker) {
    surroundings_.to_lead(bus::GroupQuery{number, asker});
}

void GroupRelay::answer(const group::Channel& to, wire::GroupPdu pdu) {
    put(surroundings_.channel_of(to.guest, to.dialect), group::Outgoing(std::move(pdu)));
}

void GroupRelay::tell(const std::vector<GuestId>& guests, wire::GroupPdu pdu) {
    const group::Outgoing message(std::move(pdu));
    for (const GuestId& guest : guests)
        put(surroundings_.channel(guest), message);
}

void GroupRelay::put(Channel* channel, const group::Outgoing& message) {
    if (channel == nullptr || !channel->up()) {
        ++counters_.not_connected;
        return;
    }
    if (!channel->enqueue(message)) {
        ++counters_.undeliverable;
        return;
    }
    ++counters_.delivered;
    write_soon(*channel);
}

/// Once for all that a turn of the loop brings: a system call for a guest, not for a message.
void GroupRelay::write_soon(const Channel& channel) {
    const bool first = to_write_.empty();
    to_write_.emplace(channel.guest(), channel.dialect());
    if (!first) return;
    boost::asio::post(io_, [this, alive = alive_] {
        if (!*alive) return;
        for (const auto& [guest, dialect] : std::exchange(to_write_, {})) {
            if (Channel* way = surroundings_.channel_of(guest, dialect)) way->write_queued();
        }
    });
}

void GroupRelay::arm() {
    const base::TimePoint due = rate_limiter_.next_deadline();
    if (due == armed_for_) return;
    armed_for_ = due;
    if (due == base::kNever) {
        deadline_.cancel();
        return;
    }
    deadline_.expires_at(due);
    deadline_.async_wait([this, alive = alive_](const boost::system::error_code& ec) {
        if (ec || !*alive) return;
        armed_for_ = base::kNever;
        rate_limiter_.tick(base::Clock::now());
        arm();
    });
}

}  // namespace vitalwire::host
