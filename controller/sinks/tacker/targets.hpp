#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <optional>
#include <string>
#include <vector>

#include "controller/sinks/tacker/networks.hpp"

namespace vitalwire::controller::tacker {

/// "10.0.0.7:9890" of "http://10.0.0.7:9890/server_notification/...".
std::string authority_of(const std::string& url);
/// The address in a URL whose host is one and no name.
std::optional<boost::asio::ip::address> address_in(const std::string& url);

/// Where notifications may go. A client that registers a server names the address, so it must not lead to what only
/// this machine or this link can reach, and never to this controller, whose HTTP interface takes a local caller for an
/// operator.
class Targets {
public:
    /// `notify`: the only networks that are allowed, if there are any. Without: every address but those of this machine
    /// and this link.
    explicit Targets(Networks notify) : notify_(std::move(notify)) {}

    /// Why a connection must not be made; empty when it may. `own`: where this controller listens. `registered_here`:
    /// by a client on this machine, which can reach its own addresses anyway.
    std::string why_not(const boost::asio::ip::tcp::endpoint& target, const std::vector<std::string>& own,
                        bool registered_here) const;
    /// The same of the address alone.
    std::string why_not(const boost::asio::ip::address& address, bool registered_here) const;

private:
    Networks notify_;
};

}  // namespace vitalwire::controller::tacker
