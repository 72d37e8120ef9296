#include "host/channels/channel_set.hpp"

#include <chrono>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::host {

using base::GuestId;
using wire::ChannelKind;
using wire::Dialect;

namespace {

/// While messages are dropped; when that has ended is logged.
constexpr base::Duration kDropsLookedAt = std::chrono::seconds(10);

ChannelKind heartbeat_kind(Dialect dialect) {
    switch (dialect) {
        case Dialect::native:
            return ChannelKind::native;
        case Dialect::cgcs:
            return ChannelKind::cgcs_heartbeat;
        case Dialect::guest_agent:
            return ChannelKind::guest_agent;
    }
    return ChannelKind::native;
}

ChannelKind group_kind(Dialect dialect) {
    return dialect == Dialect::cgcs ? ChannelKind::cgcs_messaging : ChannelKind::native;
}

base::Moment now() {
    return {base::Clock::now(), std::chrono::system_clock::now()};
}

}  // namespace

void ChannelSet::found(const GuestId& guest, ChannelKind kind, const std::string& path, base::Millis end_known_within) {
    auto& slot = guests_.emplace(guest).at(static_cast<std::size_t>(kind));
    if (slot && slot->path() == path) {
        if (slot->confirm()) {
            core_.channel_found(guest, kind, end_known_within, now());
            handled_();
        }
        return slot->retry_now();
    }
    if (slot) moved(guest, kind);
    Channel::Handler& events = *this;
    slot = std::make_unique<Channel>(io_, guest, kind, path, limits_, drops_, events);
    slot->start();
    core_.channel_found(guest, kind, end_known_within, now());
    handled_();
}

void ChannelSet::recall(const std::vector<KeptChannel>& channels) {
    for (const KeptChannel& kept : channels) {
        auto& slot = guests_.emplace(kept.guest).at(static_cast<std::size_t>(kept.kind));
        if (slot) continue;
        Channel::Handler& events = *this;
        slot = std::make_unique<Channel>(io_, kept.guest, kept.kind, kept.path, limits_, drops_, events);
        slot->recall(kept.socket);
    }
}

void ChannelSet::end_recall(const std::set<GuestId>& keep) {
    std::vector<std::pair<GuestId, ChannelKind>> left;
    for (auto& [guest, channels] : guests_) {
        for (const auto& channel : channels) {
            if (!channel || !channel->recalled()) continue;
            if (keep.contains(guest)) {
                channel->confirm();
            } else {
                left.emplace_back(guest, channel->kind());
            }
        }
    }
    for (const auto& [guest, kind] : left)
        removed(guest, kind);
}

void ChannelSet::removed(const GuestId& guest, ChannelKind kind) {
    Channels* known = guests_.find(guest);
    if (known == nullptr) return;
    const auto gone = std::move(known->at(static_cast<std::size_t>(kind)));
    if (!gone || (gone->recalled() && !gone->was_up())) return;
    if (gone->up()) --up_;
    core_.channel_removed(guest, kind, now());
    handled_();
}

/// Its machine is another one, or was restored: nobody took the channel away.
void ChannelSet::moved(const GuestId& guest, ChannelKind kind) {
    auto& slot = guests_.find(guest)->at(static_cast<std::size_t>(kind));
    if (std::exchange(slot, nullptr)->up()) {
        --up_;
        core_.channel_down(GuestKey(guest), kind, now());
    }
}

void ChannelSet::gone(const GuestId& guest) {
    for (const ChannelKind kind :
         {ChannelKind::native, ChannelKind::cgcs_heartbeat, ChannelKind::cgcs_messaging, ChannelKind::guest_agent})
        removed(guest, kind);
    guests_.erase(guest);
}

template <class GuestRef>
Channel* ChannelSet::find(const GuestRef& guest, ChannelKind kind) {
    Channels* known = guests_.find(guest);
    return known == nullptr ? nullptr : known->at(static_cast<std::size_t>(kind)).get();
}

void ChannelSet::send(const GuestKey& guest, Dialect dialect, const wire::HeartbeatPdu& pdu) {
    if (Channel* to = find(guest, heartbeat_kind(dialect))) to->send(pdu);
}

void ChannelSet::final_drain(const GuestKey& guest, Dialect dialect) {
    if (Channel* from = find(guest, heartbeat_kind(dialect))) from->read_now();
}

bool ChannelSet::is_connected(const GuestId& guest, ChannelKind kind) {
    const Channel* channel = find(guest, kind);
    return channel != nullptr && channel->up();
}

bool ChannelSet::is_idle(const GuestId& guest, Dialect dialect) {
    const Channel* to = find(guest, group_kind(dialect));
    return to != nullptr && to->idle();
}

void ChannelSet::write_group(const GuestId& guest, Dialect dialect, std::string lines) {
    if (Channel* to = find(guest, group_kind(dialect))) to->write_group(std::move(lines));
}

void ChannelSet::group_not_read(const GuestId& guest, Dialect dialect, std::uint64_t messages) {
    if (Channel* to = find(guest, group_kind(dialect))) to->group_not_read(messages);
}

void ChannelSet::allow(const GuestId& guest, const group::Limits& limits) {
    for (const Dialect dialect : {Dialect::native, Dialect::cgcs}) {
        if (Channel* of = find(guest, group_kind(dialect))) of->allow(limits);
    }
}

void ChannelSet::on_connected(Channel& channel) {
    ++up_;
    ++counters_.connects;
    log::debug("channel connected", {{"guest", channel.guest()}, {"channel", wire::channel_name(channel.kind())}});
    if (channel.recalled()) {
        core_.channel_recalled(channel.guest(), channel.kind(), now());
    } else {
        core_.keep_channel({channel.guest(), channel.kind(), channel.path(), channel.socket()});
    }
    core_.channel_up(channel.guest_key(), channel.kind(), now());
    handled_();
}

void ChannelSet::on_closed(Channel& channel, const std::string& why) {
    --up_;
    ++counters_.closes;
    log::debug("channel closed",
               {{"guest", channel.guest()}, {"channel", wire::channel_name(channel.kind())}, {"why", why}});
    core_.channel_down(channel.guest_key(), channel.kind(), now());
    handled_();
}

void ChannelSet::on_unreachable(Channel& channel, const std::string& why, bool own) {
    if (channel.recalled() && !channel.was_up()) return;  // the guest may be elsewhere
    core_.channel_unreachable(channel.guest(), channel.kind(), channel.path(), why);
    core_.channel_barred(channel.guest(), channel.kind(), own, now());
    handled_();
}

void ChannelSet::on_heartbeat(Channel& channel, wire::HeartbeatPdu pdu) {
    core_.heartbeat_received(channel.guest_key(), channel.dialect(), std::move(pdu), now());
    handled_();
}

void ChannelSet::on_group(Channel& channel, const wire::GroupPdu& pdu, int base_version) {
    core_.group_received(channel.guest(), channel.dialect(), pdu, base_version, now());
    handled_();
}

void ChannelSet::on_spoke(Channel& channel, int base_version) {
    core_.spoke(channel.guest(), channel.dialect(), base_version);
}

void ChannelSet::on_drained(Channel& channel) {
    core_.channel_drained(channel.guest(), channel.dialect());
    handled_();
}

void ChannelSet::on_dropped(Channel& channel, Drop reason, std::uint64_t count) {
    counters_.dropped.at(static_cast<std::size_t>(reason)) += count;
    core_.refused(channel.guest(), count);
    await_end_of_drops();
}

void ChannelSet::await_end_of_drops() {
    if (std::exchange(drops_awaited_, true)) return;
    drops_over_.after(kDropsLookedAt, [this] {
        drops_awaited_ = false;
        drops_.tick(base::Clock::now());
        if (drops_.next_due() != base::kNever) await_end_of_drops();
    });
}

}  // namespace vitalwire::host
