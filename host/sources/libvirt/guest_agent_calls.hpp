#pragma once

#include <memory>
#include <string>

#include "base/ids.hpp"
#include "host/core/guest_agent_poller.hpp"
#include "host/sources/libvirt/blocking_calls.hpp"

namespace vitalwire::host {

/// One thread's way to ask guest agents, which may take its time.
class GuestAgentAsker {
public:
    using Subject = GuestAgentCall;
    using Result = GuestAgentResult;
    static Result unknown() { return GuestAgentResult::unknown; }

    virtual ~GuestAgentAsker() = default;
    virtual Result ask(const GuestAgentCall& call) = 0;
};
using GuestAgentCalls = BlockingCalls<GuestAgentAsker>;

/// Through libvirt, by virDomainGetTime over a connection of its own: that is an official call, so that it taints no
/// domain. It is bounded by the domain's response timeout, which is libvirt's default again afterwards. Other
/// calls to the same agent wait for it that long, and no other calls to the domain.
std::unique_ptr<GuestAgentAsker> make_libvirt_asker(std::string uri);

}  // namespace vitalwire::host
