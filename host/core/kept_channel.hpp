#pragma once

#include <string>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "wire/inbound.hpp"

namespace vitalwire::host {

/// A channel as it was connected last, for a restart at which no source can say where it is.
struct KeptChannel {
    base::GuestId guest;
    wire::ChannelKind kind = wire::ChannelKind::native;
    std::string path;
    std::string socket;               ///< what tells it from another one at that path
    base::Millis end_known_within{};  ///< as its source had it

    friend bool operator==(const KeptChannel&, const KeptChannel&) = default;
};

}  // namespace vitalwire::host
