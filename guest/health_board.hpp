#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "heartbeat/guest_session.hpp"

namespace vitalwire::guest {

/// What every check and application said last, and what the guest answers with: one that is unhealthy makes the guest
/// unhealthy, and the reasons are told in the order in which they arose.
class HealthBoard {
public:
    using Changed = std::function<void(const heartbeat::Health& overall)>;

    explicit HealthBoard(Changed changed) : changed_(std::move(changed)) {}

    /// `source`: "check NAME" or "application NAME". `reason` may be any bytes.
    void set(const std::string& source, bool healthy, std::string_view reason);
    /// `source` is not watched any more.
    void remove(const std::string& source);
    heartbeat::Health overall() const;

private:
    struct Trouble {
        std::string source;
        std::string reason;
    };
    std::vector<Trouble>::iterator find(const std::string& source);

    Changed changed_;
    std::vector<Trouble> troubles_;
};

}  // namespace vitalwire::guest
