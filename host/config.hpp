#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "bus/transport.hpp"
#include "group/rate_limiter.hpp"
#include "host/channels/channel.hpp"
#include "host/core/guest_agent_poller.hpp"
#include "host/core/monitor.hpp"
#include "host/sources/libvirt/libvirt_session.hpp"
#include "runtime/config.hpp"

namespace vitalwire::host {

/// vitalwire-agent.conf(5). Without a file the defaults work.
struct AgentConfig {
    base::HostId host;
    std::string state = "/var/lib/vitalwire/agent/agent.db";
    std::string listen = "unix:/run/vitalwire/agent.sock";
    std::string log_level = "info";

    std::vector<std::string> metrics_listen;  ///< empty: no metrics over TCP
    std::string metrics_token;                ///< empty: everybody reads them there
    bus::TlsFiles metrics_tls;                ///< empty: plain HTTP

    std::vector<std::string> directories;   ///< watched for sockets
    std::optional<LibvirtOptions> libvirt;  ///< whose domains are the guests

    std::vector<std::string> controllers;
    bus::Access access;  ///< its brokers: where controllers are found
    bus::TransportOptions transport;
    base::Millis report_interval{30'000};

    Monitor::Settings heartbeat;
    GuestAgentPoller::Settings guest_agents;
    ChannelLimits limits;
    GuestActions::Settings actions;
    group::Limits messaging;  ///< of a guest whose flavor enables it and says nothing more
};

/// Reads every key; all mistakes are appended to `errors`, and the result is then not to be used.
AgentConfig read_agent_config(const runtime::ConfigFile& file, runtime::ConfigErrors& errors);

}  // namespace vitalwire::host
