#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <string>
#include <vector>

namespace vitalwire::controller::tacker {

/// IPv4 as itself, also when it is written within an IPv6 address (::ffff:a.b.c.d).
boost::asio::ip::address normalized(const boost::asio::ip::address& address);

/// A list of addresses and networks: "10.0.0.0/8", "192.0.2.7", "2001:db8::/32".
class Networks {
public:
    /// False when it is none.
    bool add(const std::string& text);
    bool empty() const { return v4_.empty() && v6_.empty(); }
    bool contains(const boost::asio::ip::address& address) const;
    /// `address` as text; a peer over a UNIX socket ("unix") was let in by its permissions.
    bool contains(const std::string& address) const;

private:
    std::vector<boost::asio::ip::network_v4> v4_;
    std::vector<boost::asio::ip::network_v6> v6_;
};

}  // namespace vitalwire::controller::tacker
