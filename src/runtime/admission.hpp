#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "runtime/listen.hpp"

namespace vitalwire::runtime {

/// What to close when there is no room for one more: the oldest connection of the address that has most of them, so
/// that no address takes the room of all. `peer_of(element)` is the address; `range`, not empty, is in order of
/// arrival.
template <class Range, class PeerOf>
auto oldest_of_busiest(Range& range, PeerOf peer_of) {
    std::map<std::string, std::size_t> counts;
    for (const auto& element : range)
        ++counts[peer_of(element)];
    auto oldest = std::begin(range);
    for (auto at = std::begin(range); at != std::end(range); ++at) {
        if (counts[peer_of(*at)] > counts[peer_of(*oldest)]) oldest = at;
    }
    return oldest;
}

/// A listener whose connections wait here, as bare sockets, until they have sent their first byte; then they are handed
/// over, in turn between source addresses. Who connects and sends nothing costs a descriptor for a few seconds, and
/// delays nobody: nothing is allocated for it, and TLS has not begun.
class Admission {
public:
    using Socket = Listener::Socket;
    using Accepted = Listener::Accepted;

    static constexpr std::size_t kMaxWaiting = 1024;
    static constexpr base::Millis kMaxSilence{3000};

    /// `address` as for Listener::open.
    static base::Result<Admission> open(boost::asio::io_context& io, const std::string& address);
    ~Admission();
    Admission(Admission&&) noexcept = default;
    Admission& operator=(Admission&&) = delete;

    /// Hands over one connection, never from within; call again for the next one. Not calling it leaves them waiting.
    void accept(Accepted accepted);
    const std::string& address() const;
    const std::string& problem() const;
    /// Connections closed here: nothing was sent in time, or there were too many of them.
    std::uint64_t refused() const;
    /// No callback comes after it.
    void close();

private:
    class Impl;
    explicit Admission(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

}  // namespace vitalwire::runtime
