#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "heartbeat/host_session.hpp"
#include "host/sources/libvirt/domain_reading.hpp"

namespace vitalwire::host {

/// What libvirt's events and readings of one domain mean for its guest. Pure. Events are quick and may be lost; a
/// reading says how it is now; both lead to the same level, and only what changes is told.
///
/// A domain that crashed stays crashed until it is started again, ended by the operator or undefined. One that arrives
/// from another host and fails to was never a guest of this host: no crash.
class DomainTracker {
public:
    using Events = std::vector<heartbeat::HostEvent>;

    /// A lifecycle event: a virDomainEventType and the detail that goes with it.
    void lifecycle(int event, int detail, Events& out);
    /// The domain's watchdog device fired, and the hypervisor does `action`.
    void watchdog(const std::string& action, Events& out);
    /// A disk failed, and the hypervisor stopped the domain for it. `reason`: what and where.
    void io_error(const std::string& reason, Events& out);
    /// libvirt reports each reboot twice, and so does this.
    void rebooted(Events& out);
    /// The domain's memory is being written out: a migration, a save, a dump or a snapshot. Which, and its end, is
    /// known from readings only.
    void transferring(Events& out);
    /// `connected`: somebody else sees that its QEMU lives.
    void read(const DomainReading& reading, bool connected, Events& out);
    /// libvirt does not know the domain. `unseen`: nor was it watched since the domain was read.
    void vanished(bool unseen, bool connected, Events& out);

    bool is_running() const { return phase_ == Phase::alive && !inhibit_ && !transferring_ && !arriving_; }
    bool is_transferring() const { return phase_ == Phase::alive && transferring_; }
    /// Nothing of it is left here, for `stop_reason`.
    bool is_stopped() const { return phase_ == Phase::stopped; }
    heartbeat::StopReason stop_reason() const { return stop_reason_; }
    /// How it ended is not known, or whether it has: libvirt has forgotten it.
    bool is_missing() const { return missing_; }
    /// Its memory is on disk, and nothing of it runs.
    bool is_saved() const { return phase_ == Phase::alive && inhibit_ == heartbeat::Inhibit::saving && id_ < 0; }
    /// There is nothing to remember of it.
    bool is_idle() const { return phase_ == Phase::stopped || phase_ == Phase::unknown; }

private:
    enum class Phase : std::uint8_t { unknown, alive, crashed, stopped };

    void suspended(int detail, Events& out);
    void stopped(int detail, Events& out);
    void read_state(const DomainReading& reading, bool connected, Events& out);
    void read_paused(int reason, Events& out);
    void read_shutoff(int reason, bool connected, Events& out);
    void live(Events& out);
    void started(Events& out);
    void tell_run(Events& out);
    void run(Events& out);
    void inhibit(heartbeat::Inhibit why, Events& out);
    void stopped_by_host(const std::string& detail, const std::string& reason, Events& out);
    void stop(heartbeat::StopReason why, Events& out);
    void crash(heartbeat::CrashReason why, Events& out);
    void saved(Events& out);

    Phase phase_ = Phase::unknown;
    std::optional<heartbeat::Inhibit> inhibit_;
    std::string host_stop_;  ///< why the hypervisor stopped it; empty: it did not
    std::string host_stop_reason_;
    bool transferring_ = false;
    bool migrating_ = false;  ///< that is what it is transferred for
    bool arriving_ = false;   ///< has not run here
    bool persistent_ = true;
    bool missing_ = false;  ///< since it was read last
    int id_ = -1;
    int told_id_ = -1;  ///< as the run that was found
    heartbeat::StopReason stop_reason_ = heartbeat::StopReason::removed;
};

}  // namespace vitalwire::host
