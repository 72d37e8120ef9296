#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/ids.hpp"
#include "host/core/guest_agent_poller.hpp"

namespace vitalwire::host {

/// One thread's way to ask guest agents, which may take its time.
class GuestAgentAsker {
public:
    virtual ~GuestAgentAsker() = default;
    virtual GuestAgentResult ask(const base::GuestId& guest) = 0;
};

/// Through libvirt, by virDomainGetTime over a connection of its own: that is an official call, so that it taints no
/// domain. It is bounded to 5 s by the domain's response timeout, which is libvirt's default again afterwards. Other
/// calls to the same agent wait for it that long, and no other calls to the domain.
std::unique_ptr<GuestAgentAsker> make_libvirt_asker(std::string uri);

/// Asks guest agents on threads, of which there are as many as calls are under way, at most `most`; a thread that was
/// not used for a while ends. Used on the loop's thread; nothing here waits.
class GuestAgentCalls {
public:
    using MakeAsker = std::function<std::unique_ptr<GuestAgentAsker>()>;
    /// Called on the loop, once for each call that returns.
    using Returned = std::function<void(const base::GuestId& guest, std::int64_t challenge, GuestAgentResult result)>;

    GuestAgentCalls(boost::asio::io_context& io, int most, MakeAsker make_asker, Returned returned);
    /// Calls that are under way end on their own threads, and their results are dropped.
    ~GuestAgentCalls();
    GuestAgentCalls(const GuestAgentCalls&) = delete;
    GuestAgentCalls& operator=(const GuestAgentCalls&) = delete;

    void ask(const base::GuestId& guest, std::int64_t challenge);

private:
    class Shared;

    std::shared_ptr<Shared> shared_;
};

}  // namespace vitalwire::host
