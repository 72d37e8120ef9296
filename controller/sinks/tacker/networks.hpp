#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace vitalwire::controller::tacker {

/// Addresses of those who may: "10.0.0.0/8", "192.0.2.7", "2001:db8::/32".
class Networks {
public:
    /// False when it is none.
    bool add(const std::string& text);
    /// `address` as text; whoever comes over a UNIX socket ("unix") was let in by its permissions.
    bool contains(const std::string& address) const;

private:
    /// IPv4 as ::ffff:a.b.c.d.
    using Address = std::array<std::uint8_t, 16>;
    struct Network {
        Address address;
        int bits;
    };
    static bool parse(const std::string& text, Address& address, bool& v4);

    std::vector<Network> networks_;
};

}  // namespace vitalwire::controller::tacker
