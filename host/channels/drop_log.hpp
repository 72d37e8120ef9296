#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "wire/inbound.hpp"

namespace vitalwire::host {

/// The log of what is not taken of guests: a line when a guest and a channel begin with one reason, and one with the
/// number when there was nothing of that for a minute. No clock.
class DropLog {
public:
    void dropped(const base::GuestId& guest, wire::ChannelKind kind, std::string_view reason, std::uint64_t count,
                 const std::string& detail, base::TimePoint now);
    void tick(base::TimePoint now);
    /// When one may have ended; kNever while nothing is dropped.
    base::TimePoint next_due() const { return next_due_; }

private:
    struct Condition {
        std::uint64_t count = 0;
        base::TimePoint last{};
    };

    std::map<std::tuple<base::GuestId, wire::ChannelKind, std::string_view>, Condition> conditions_;
    base::TimePoint next_due_ = base::kNever;
};

}  // namespace vitalwire::host
