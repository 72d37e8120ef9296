#include "controller/sinks/tacker/targets.hpp"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace vitalwire::controller::tacker {

namespace ip = boost::asio::ip;

namespace {

bool is_of_link(const ip::address& address) {
    static const ip::network_v4 kLinkLocal = ip::make_network_v4("169.254.0.0/16");
    static const ip::network_v4 kThisNetwork = ip::make_network_v4("0.0.0.0/8");
    if (address.is_multicast() || address.is_unspecified()) return true;
    if (address.is_v6()) return address.to_v6().is_link_local();
    const ip::address_v4 v4 = address.to_v4();
    const auto in = [&](const ip::network_v4& network) {
        return ip::network_v4(v4, network.prefix_length()).canonical() == network;
    };
    return in(kLinkLocal) || in(kThisNetwork) || v4 == ip::address_v4::broadcast();
}

std::optional<ip::address> address_of(const sockaddr* found) {
    if (found != nullptr && found->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, found, sizeof v4);
        return ip::address_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (found == nullptr || found->sa_family != AF_INET6) return std::nullopt;
    sockaddr_in6 v6{};
    std::memcpy(&v6, found, sizeof v6);
    ip::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return ip::address_v6(bytes);
}

/// An address of this machine.
bool is_local(const ip::address& address) {
    if (address.is_loopback() || address.is_unspecified()) return true;
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return true;  // not known: better too few connections than one to ourselves
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
    for (const ifaddrs* item = list; item != nullptr; item = item->ifa_next) {
        if (address_of(item->ifa_addr) == address) return true;
    }
    return false;
}

std::string port_of(const std::string& listener) {
    return listener.substr(std::min(listener.rfind(':') + 1, listener.size()));
}

}  // namespace

std::string authority_of(const std::string& url) {
    const std::size_t scheme = url.find("//");
    const std::size_t begin = scheme == std::string::npos ? 0 : scheme + 2;
    return url.substr(begin, url.find_first_of("/?#", begin) - begin);
}

std::optional<ip::address> address_in(const std::string& url) {
    std::string host = authority_of(url);
    if (host.starts_with('[')) {
        host = host.substr(1, host.find(']') - 1);
    } else {
        host = host.substr(0, host.find(':'));
    }
    boost::system::error_code error;
    const ip::address address = ip::make_address(host, error);
    return error ? std::nullopt : std::optional(address);
}

std::string Targets::why_not(const ip::tcp::endpoint& target, const std::vector<std::string>& own,
                             bool registered_here) const {
    const ip::address address = normalized(target.address());
    const std::string port = std::to_string(target.port());
    const bool ours =
        std::any_of(own.begin(), own.end(), [&](const std::string& listener) { return port_of(listener) == port; });
    if (ours && is_local(address)) return address.to_string() + ":" + port + " is this controller itself";
    return why_not(address, registered_here);
}

std::string Targets::why_not(const ip::address& found, bool registered_here) const {
    const ip::address address = normalized(found);
    const auto refused = [&](const char* why) {
        return "notifications to " + address.to_string() + " are not allowed: " + why + " (key notify)";
    };
    if (!notify_.empty()) return notify_.contains(address) ? "" : refused("it is in none of the networks");
    if (is_of_link(address)) return refused("it is an address of this link alone");
    if (address.is_loopback() && !registered_here) return refused("it is an address of this machine");
    return "";
}

}  // namespace vitalwire::controller::tacker
