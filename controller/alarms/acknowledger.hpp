#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "bus/messages.hpp"

namespace vitalwire::controller {

/// Acknowledges to the agents what every sink has: all of one turn of the loop in one message to each.
class Acknowledger {
public:
    using Send = std::function<void(const base::HostId&, const bus::FaultsDelivered&)>;
    /// Calls its argument in the next turn of the loop.
    using Defer = std::function<void(std::function<void()>)>;

    Acknowledger(Send send, Defer defer) : send_(std::move(send)), defer_(std::move(defer)) {}

    /// `to`: Fault::delivered_to.
    void acknowledge(const base::HostId& host, const base::FaultId& fault, std::uint64_t revision,
                     std::optional<std::vector<std::string>> to = std::nullopt);

private:
    void flush();

    Send send_;
    Defer defer_;
    std::map<base::HostId, std::map<base::FaultId, bus::FaultsDelivered::Item>> pending_;
};

}  // namespace vitalwire::controller
