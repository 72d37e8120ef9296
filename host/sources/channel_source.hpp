#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "base/ids.hpp"
#include "heartbeat/host_session.hpp"
#include "host/core/guest_agent_poller.hpp"
#include "host/core/io_watch.hpp"
#include "host/core/source_listing.hpp"
#include "host/core/wanted_channels.hpp"
#include "wire/inbound.hpp"

namespace vitalwire::host {

/// Where the channels of this host's guests, and news of their machines, come from. Runs by itself and tells its
/// handler, on the event loop's thread. What it tells are levels: after it lost sight (an overflow, libvirtd restarted)
/// it looks at everything again and tells what differs.
class ChannelSource {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        /// The guest's channel is at `path`; called again when the socket was re-made or moved. So soon after it closed
        /// (`end_known_within`) this source knows whether the machine has ended.
        virtual void on_channel(const base::GuestId& guest, wire::ChannelKind kind, const std::string& path,
                                base::Millis end_known_within) = 0;
        /// A connection to the channel's socket is open: who listens there lives.
        virtual bool is_connected(const base::GuestId& /*guest*/, wire::ChannelKind /*kind*/) { return false; }
        /// The channel no longer exists.
        virtual void on_channel_gone(const base::GuestId& guest, wire::ChannelKind kind) = 0;
        /// An event of the machine: Inhibited, Released, Rebooted, Found, FoundOff, Started, Stopped, Crashed,
        /// StoppedByHost, WatchdogFired.
        virtual void on_machine(const base::GuestId& guest, const heartbeat::HostEvent& event) = 0;
        /// Nothing of the guest is left here.
        virtual void on_gone(const base::GuestId& guest, heartbeat::StopReason why) = 0;
        /// The guest exists, and how it is cannot be found out (`problem`), or can again (empty).
        virtual void on_unreadable(const base::GuestId& guest, const std::string& problem) = 0;
        /// Everything that exists now has been reported, but for what is unread. Called after start, and when the
        /// source looks at another place from then on.
        virtual void on_listed(ChannelSource& source, const SourceListing& listing) = 0;
        /// The source cannot see (`problem`), or sees again (empty).
        virtual void on_source_problem(ChannelSource& source, const std::string& problem) = 0;
        /// It has entries that look like channels of guests and are not used: how many and why; empty: no more.
        virtual void on_unused_entries(ChannelSource&, const std::string& /*entries*/) {}
        /// A wanted channel was attached to the guest's machine, or could not be (`failure`).
        virtual void on_attached(const base::GuestId& guest, wire::ChannelKind kind, const std::string& failure) = 0;
        /// The guests that lack a wanted channel and cannot be given it while their machines run; all of them, told
        /// when they change.
        virtual void on_unattachable(const std::set<base::GuestId>& guests) = 0;
        /// The hypervisor's daemon has a port for the guest's QEMU guest agent, and the agent has it open or not;
        /// absent: there is none.
        virtual void on_guest_agent(const base::GuestId&, std::optional<bool> /*open*/) {}
        /// What came of `call_guest_agent`.
        virtual void on_guest_agent_returned(const base::GuestId&, std::int64_t /*challenge*/, GuestAgentResult) {}
        /// What came of `read_io`.
        virtual void on_io_returned(const base::GuestId&, std::int64_t /*number*/, const std::optional<IoCounters>&) {}
    };

    virtual ~ChannelSource() = default;
    /// `handler` must outlive the source.
    virtual void start(Handler& handler) = 0;
    virtual void stop() = 0;
    /// The channels that guests should have, all of them. A source that can attach what is missing does.
    virtual void want(const WantedChannels&) {}
    /// Find out now how the guest's machine is; what has changed is reported, and that it has ended in any case.
    virtual void ask(const base::GuestId&) {}
    /// Ask the guest's QEMU guest agent for a sign of life.
    virtual void call_guest_agent(const GuestAgentCall&, std::int64_t /*challenge*/) {}
    /// Find out the guest's I/O. False: this source cannot.
    virtual bool read_io(const base::GuestId&, std::int64_t /*number*/) { return false; }
    virtual std::string name() const = 0;  ///< for logs and status, such as "directory /run/vitalwire/channels"
};

}  // namespace vitalwire::host
