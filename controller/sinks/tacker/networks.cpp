#include "controller/sinks/tacker/networks.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace vitalwire::controller::tacker {

namespace {

constexpr int kBits = 128;
constexpr int kV4Prefix = 96;  // of an IPv4 address within an IPv6 one

}  // namespace

bool Networks::parse(const std::string& text, Address& address, bool& v4) {
    v4 = text.find(':') == std::string::npos;
    const std::string whole = v4 ? "::ffff:" + text : text;
    return ::inet_pton(AF_INET6, whole.c_str(), address.data()) == 1;
}

bool Networks::add(const std::string& text) {
    const std::size_t slash = text.find('/');
    Network network{};
    bool v4 = false;
    if (!parse(text.substr(0, slash), network.address, v4)) return false;
    const int most = v4 ? kBits - kV4Prefix : kBits;
    int bits = most;
    if (slash != std::string::npos) {
        const char* end = text.data() + text.size();
        const auto [stopped, error] = std::from_chars(text.data() + slash + 1, end, bits);
        if (error != std::errc{} || stopped != end || bits < 0 || bits > most) return false;
    }
    network.bits = bits + (v4 ? kV4Prefix : 0);
    networks_.push_back(network);
    return true;
}

bool Networks::contains(const std::string& text) const {
    if (text == "unix") return true;
    Address address{};
    bool v4 = false;
    if (!parse(text, address, v4)) return false;
    return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
        const auto whole = static_cast<std::size_t>(network.bits / 8);
        const int rest = network.bits % 8;
        if (!std::equal(address.begin(), address.begin() + whole, network.address.begin())) return false;
        if (rest == 0) return true;
        const int differs = address.at(whole) ^ network.address.at(whole);
        return differs >> (8 - rest) == 0;
    });
}

}  // namespace vitalwire::controller::tacker
