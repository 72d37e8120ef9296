#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "bus/transport.hpp"
#include "controller/delivery/sink_queue.hpp"
#include "controller/model/policy.hpp"
#include "controller/openstack/cloud_access.hpp"
#include "controller/openstack/nova_inventory.hpp"
#include "controller/sinks/sink_types.hpp"
#include "controller/sources/peers.hpp"
#include "runtime/config.hpp"
#include "runtime/http/router.hpp"

namespace vitalwire::controller {

struct SinkConfig {
    std::string name;
    std::string type;
    SinkFactory make;
    DeliveryOptions delivery;
    std::optional<std::vector<Policy>> policies;  ///< that name it; absent when there are none at all
    /// Its keys but for those of `delivery`, and what is in the files that they name: another one is to be made when
    /// these differ.
    std::vector<std::string> settings;
    std::string receiver = {};  ///< who is notified: type and URL, or type and cloud
};

/// vitalwire-controller.conf(5). Without a file the defaults work.
struct ControllerConfig {
    base::HostId host;  ///< this controller's name, as agents and operators see it
    std::string state = "/var/lib/vitalwire/controller/controller.db";
    std::string log_level = "info";
    std::size_t history = 10'000;
    base::Millis resume_grace{10'000};
    base::Millis remove_agent_after = std::chrono::hours(24 * 7);

    base::Millis agent_lost_after{3000};
    base::Millis host_unreachable_after{900};
    base::Millis sink_failing_after{30'000};

    std::vector<std::string> bus_listen;
    bus::Access access;  ///< its brokers: where agents find this controller
    bus::TransportOptions transport;

    std::vector<std::string> http_listen = {"unix:/run/vitalwire/controller-http.sock", "127.0.0.1:8990"};
    runtime::Router::Tokens http_tokens;
    bus::TlsFiles http_tls;  ///< empty: plain HTTP
    PeersConfig peers;

    std::string inventory = "/etc/vitalwire/inventory.conf";
    bool inventory_required = false;  ///< it was named, so it has to be there

    std::optional<NovaInventoryConfig> nova;  ///< instead of the file

    std::optional<CloudAccess> openstack;  ///< absent when nothing needs it

    std::vector<SinkConfig> sinks;
};

/// Reads every key; all mistakes are appended to `errors`, and the result is then not to be used.
ControllerConfig read_controller_config(const runtime::ConfigFile& file, runtime::ConfigErrors& errors,
                                        const Environment& environment = openstack_environment());

}  // namespace vitalwire::controller
