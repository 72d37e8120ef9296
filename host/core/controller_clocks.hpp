#pragma once

#include <map>
#include <string>

#include "base/moment.hpp"

namespace vitalwire::host {

/// How far the clock of this host is from those of the controllers that it is connected to. By the steady clock it goes
/// on from what each of them said last, so that a step of the clock here is seen at once, and one there when it says
/// the next time. Pure: no I/O, no clock.
class ControllerClocks {
public:
    /// Closer than that clocks of different hosts are not expected to be, with the way between them.
    static constexpr base::Duration kAgree = std::chrono::seconds(2);

    /// It said what time it is; the epoch: a controller of an earlier release.
    void said(std::size_t link, const std::string& controller, base::WallTime time, const base::Moment& at);
    void lost(std::size_t link) { clocks_.erase(link); }
    /// The time at that controller; the time here while it has not said it.
    base::WallTime time(std::size_t link, const base::Moment& at) const;
    bool any() const { return !clocks_.empty(); }
    /// Which differ, and by how much; empty: none.
    std::string problem(const base::Moment& at) const;

private:
    struct Clock {
        std::string controller;
        base::WallTime::duration beyond_steady{};
    };

    std::map<std::size_t, Clock> clocks_;
};

}  // namespace vitalwire::host
