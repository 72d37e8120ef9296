#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "controller/model/alarm.hpp"
#include "controller/model/outcome.hpp"

namespace vitalwire::controller {

/// An alarm of ours as a receiver shows it.
struct ShownAlarm {
    base::GuestId guest;
    std::string kind;        ///< as Alarm::kind
    base::FaultId fault;     ///< that raised it first
    bool ends_soon = false;  ///< it is shown, and has to be sent again before the receiver lets it expire
};

/// A receiver of faults. It carries one event at a time and returns how that ended; order, repetition and back-off are
/// not its business (delivery.hpp).
class Sink {
public:
    using Done = std::function<void(Outcome)>;
    using Shown = tl::expected<std::vector<ShownAlarm>, Outcome>;  ///< or why it could not be read
    using Listed = std::function<void(const Shown&)>;

    virtual ~Sink() = default;
    /// Of a sink that listens, once everything is in place: where it cannot, it fails.
    virtual base::Result<void> start() { return {}; }
    virtual void stop() {}
    /// Where it listens; empty when it does not.
    virtual std::string address() const { return {}; }
    /// Calls `done` once, within the call or later on the event loop. Events of different guests come in parallel.
    virtual void deliver(const AlarmEvent& event, Done done) = 0;

    /// True when it is notified of alarms of a whole host, too.
    virtual bool takes_hosts() const { return true; }
    /// Where messages about this alarm go, for a sink with receivers at several addresses: one that does not answer
    /// holds up only what goes there.
    virtual std::string route(const Alarm& /*alarm*/) const { return {}; }

    /// How often what the receiver shows is to be compared with what it has confirmed. Absent: it cannot be asked, and
    /// `list` is not called.
    virtual std::optional<base::Millis> reconcile_interval() const { return std::nullopt; }
    /// The open alarms of ours that the receiver shows, at some moment after this call. Calls `listed` once, later.
    // NOLINTNEXTLINE(performance-unnecessary-value-param): a sink that can be asked keeps it
    virtual void list(Listed listed) { listed(std::vector<ShownAlarm>()); }
};

}  // namespace vitalwire::controller
