#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "host/channels/channel.hpp"
#include "host/core/agent_core.hpp"
#include "host/core/guest_map.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::host {

/// The channels of all guests: between their sockets and the core.
class ChannelSet final : private Channel::Handler {
public:
    struct Counters {
        std::uint64_t connects = 0;
        std::uint64_t closes = 0;
        std::array<std::uint64_t, kDrops> dropped{};
    };

    /// `handled` is called after each event that the core was handed.
    ChannelSet(boost::asio::io_context& io, ChannelLimits limits, AgentCore& core, std::function<void()> handled)
        : io_(io), limits_(limits), core_(core), handled_(std::move(handled)), drops_over_(io) {}

    /// For channels found from now on.
    void configure(const ChannelLimits& limits) { limits_ = limits; }
    void found(const base::GuestId& guest, wire::ChannelKind kind, const std::string& path,
               base::Millis end_known_within);
    /// Channels as they were before a restart, while their source cannot be asked. Whose socket is another one, is gone
    /// or refuses is not known to the core: that says nothing about the guest.
    void recall(const std::vector<KeptChannel>& channels);
    /// Every source has listed what exists: what none of them named is left, but for the guests in `keep`.
    void end_recall(const std::set<base::GuestId>& keep);
    void removed(const base::GuestId& guest, wire::ChannelKind kind);
    /// Nothing of the guest is left here.
    void gone(const base::GuestId& guest);
    void clear() {
        guests_.clear();
        drops_over_.cancel();
    }

    void send(const GuestKey& guest, wire::Dialect dialect, const wire::HeartbeatPdu& pdu);
    void final_drain(const GuestKey& guest, wire::Dialect dialect);
    bool is_connected(const base::GuestId& guest, wire::ChannelKind kind);
    bool is_idle(const base::GuestId& guest, wire::Dialect dialect);
    void write_group(const base::GuestId& guest, wire::Dialect dialect, std::string lines);
    void group_not_read(const base::GuestId& guest, wire::Dialect dialect, std::uint64_t messages);
    void allow(const base::GuestId& guest, const group::Limits& limits);

    std::size_t up() const { return up_; }
    const Counters& counters() const { return counters_; }

private:
    using Channels = std::array<std::unique_ptr<Channel>, wire::kChannelKinds>;

    void on_connected(Channel& channel) override;
    void on_closed(Channel& channel, const std::string& why) override;
    void on_unreachable(Channel& channel, const std::string& why, bool own) override;
    void on_heartbeat(Channel& channel, wire::HeartbeatPdu pdu) override;
    void on_group(Channel& channel, const wire::GroupPdu& pdu, int base_version) override;
    void on_spoke(Channel& channel, int base_version) override;
    void on_drained(Channel& channel) override;
    void on_dropped(Channel& channel, Drop reason, std::uint64_t count) override;

    void moved(const base::GuestId& guest, wire::ChannelKind kind);
    void await_end_of_drops();
    template <class GuestRef>
    Channel* find(const GuestRef& guest, wire::ChannelKind kind);

    boost::asio::io_context& io_;
    ChannelLimits limits_;
    AgentCore& core_;
    std::function<void()> handled_;
    DropLog drops_;
    runtime::Timer drops_over_;
    bool drops_awaited_ = false;
    GuestMap<Channels> guests_;
    std::size_t up_ = 0;
    Counters counters_;
};

}  // namespace vitalwire::host
