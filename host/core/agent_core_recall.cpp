// AgentCore, as far as guests are concerned that were known before a restart, while their source cannot be asked.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.hpp"
#include "host/core/agent_core.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::Moment;
using wire::ChannelKind;

void AgentCore::load_channels() {
    kept_channels_ = state_.channels();
    if (!host_restarted_) return;
    // With the host their machines went down.
    for (const auto& [key, kept] : std::exchange(kept_channels_, {}))
        state_.forget_channel(kept.guest, kept.kind);
}

void AgentCore::keep_channel(KeptChannel channel) {
    const auto within = end_known_within_.find(channel.guest);
    if (within != end_known_within_.end()) channel.end_known_within = within->second;
    KeptChannel& kept = kept_channels_[{channel.guest, channel.kind}];
    if (kept == channel) return;
    kept = std::move(channel);
    state_.keep_channel(kept);
}

void AgentCore::forget_channel(const GuestId& guest, ChannelKind kind) {
    if (kept_channels_.erase({guest, kind}) > 0) state_.forget_channel(guest, kind);
}

void AgentCore::forget_channels(const GuestId& guest) {
    const auto first = kept_channels_.lower_bound({guest, ChannelKind{}});
    auto channel = first;
    for (; channel != kept_channels_.end() && channel->first.first == guest; ++channel)
        state_.forget_channel(guest, channel->first.second);
    kept_channels_.erase(first, channel);
}

/// Their sockets are QEMU's: whoever listens at the same one as before is the same machine.
void AgentCore::recall_channels() {
    if (std::exchange(recall_begun_, true) || kept_channels_.empty()) return;
    std::vector<KeptChannel> channels;
    for (const auto& [key, kept] : kept_channels_)
        channels.push_back(kept);
    output_.recall(channels);
}

void AgentCore::channel_recalled(const GuestId& guest, ChannelKind kind, const Moment& at) {
    const auto kept = kept_channels_.find({guest, kind});
    const auto within = kept == kept_channels_.end() ? base::Millis{} : kept->second.end_known_within;
    use_channel(guest, kind, within, at);
    if (!recalled_.insert(guest).second) return;
    log::info("a guest is watched as before, though its source has not listed it", {{"guest", guest}});
    // It may have been paused since. Of one that stood still before nobody knows that it does not.
    const Judged now = judged(at);
    if (monitor_.inhibited(guest)) return monitor_.unreadable(guest, now.now, now.wall);
    step(guest, heartbeat::Inhibited{heartbeat::Inhibit::not_listed}, at);
}

/// A source names the guest.
void AgentCore::confirm_recalled(const GuestId& guest) {
    if (recalled_.erase(guest) > 0 && unlisted_.empty()) machine_unreadable(guest, "");
}

/// It has told how the machine is, if it knows.
void AgentCore::confirm_channel(const GuestId& guest, const Moment& at) {
    confirm_recalled(guest);
    if (monitor_.inhibited(guest) == heartbeat::Inhibit::not_listed) step(guest, heartbeat::Released{}, at);
}

/// Of a guest that no source lists, and whose channel is connected, the machine lives: somebody has forgotten it.
void AgentCore::end_recall() {
    output_.end_recall(recalled_);
    for (const GuestId& guest : recalled_) {
        const auto report = monitor_.report(guest);
        if (report && !report->channels.empty()) {
            machine_unreadable(guest, "no source of guests lists it, and its channel is connected");
        } else if (absence_is_proof()) {
            output_.ask_machine(guest);
        }
    }
    for (auto kept = kept_channels_.begin(); kept != kept_channels_.end();) {
        const auto& [guest, kind] = kept->first;
        const bool is_known = monitor_.has(guest) || monitor_.missing().contains(guest);
        if (!is_known) state_.forget_channel(guest, kind);
        kept = is_known ? std::next(kept) : kept_channels_.erase(kept);
    }
}

/// While a source cannot be asked at all. One that lists a moment after the start is no problem.
void AgentCore::show_unwatched() {
    const auto source = std::find_if(unlisted_.begin(), unlisted_.end(),
                                     [this](const std::string& name) { return blind_.contains(name); });
    const std::size_t count = source == unlisted_.end() ? 0 : monitor_.unwatched();
    if (count == shown_unwatched_) return;
    shown_unwatched_ = count;
    if (count == 0) return set_problem(kUnwatched, "");
    std::optional<GuestId> first;
    monitor_.for_each_unwatched([&](const model::GuestReport& guest) {
        if (!first || guest.guest < *first) first = guest.guest;
    });
    set_problem(kUnwatched,
                std::to_string(count) + ", such as " + first->str() + ": " + *source + " has not listed them");
}

}  // namespace vitalwire::host
