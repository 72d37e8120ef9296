#pragma once

#include <cstddef>
#include <vector>

namespace vitalwire::bench {

/// Broadcasts as a cloud passes them on whose host sends them to one central service, which sends them to every guest
/// itself: three hops instead of the four of agent and controller. Both processes read and write JSON, and decide, keep
/// and count nothing.
class Relay {
public:
    explicit Relay(std::size_t guests);
    ~Relay();

    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// The guests' ends.
    const std::vector<int>& channels() const { return guests_; }

private:
    void run_host(int service) const;
    void run_service(int host) const;

    std::vector<int> guests_;
    std::vector<int> host_;
    std::vector<int> processes_;
};

}  // namespace vitalwire::bench
