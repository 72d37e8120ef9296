#include "controller/sinks/tacker/networks.hpp"

#include <algorithm>

namespace vitalwire::controller::tacker {

namespace ip = boost::asio::ip;
using boost::system::error_code;

namespace {

constexpr unsigned short kHostV4 = 32;
constexpr unsigned short kHostV6 = 128;

/// Whether an address lies within a network: its own network of that length is the same.
template <class Network, class Address>
bool holds(const Network& network, const Address& address) {
    return Network(address, network.prefix_length()).canonical() == network.canonical();
}

}  // namespace

ip::address normalized(const ip::address& address) {
    const bool mapped = address.is_v6() && address.to_v6().is_v4_mapped();
    return mapped ? ip::address(ip::make_address_v4(ip::v4_mapped, address.to_v6())) : address;
}

bool Networks::add(const std::string& text) {
    error_code error;
    if (text.find('/') == std::string::npos) {
        const ip::address address = normalized(ip::make_address(text, error));
        if (error) return false;
        if (address.is_v4()) {
            v4_.emplace_back(address.to_v4(), kHostV4);
        } else {
            v6_.emplace_back(address.to_v6(), kHostV6);
        }
        return true;
    }
    if (const auto network = ip::make_network_v4(text, error); !error) {
        v4_.push_back(network);
        return true;
    }
    if (const auto network = ip::make_network_v6(text, error); !error) {
        v6_.push_back(network);
        return true;
    }
    return false;
}

bool Networks::contains(const ip::address& found) const {
    const ip::address address = normalized(found);
    if (address.is_v4())
        return std::any_of(v4_.begin(), v4_.end(), [&](const auto& net) { return holds(net, address.to_v4()); });
    return std::any_of(v6_.begin(), v6_.end(), [&](const auto& net) { return holds(net, address.to_v6()); });
}

bool Networks::contains(const std::string& text) const {
    if (text == "unix") return true;
    error_code error;
    const ip::address address = ip::make_address(text, error);
    return !error && contains(address);
}

}  // namespace vitalwire::controller::tacker
