#include "host/sources/libvirt/domain_tracker.hpp"

#include <libvirt/libvirt.h>

#include <utility>

namespace vitalwire::host {

using heartbeat::CrashReason;
using heartbeat::Inhibit;
using heartbeat::StopReason;

namespace {

/// What the detail of a suspension or the reason of a pause says about who stopped the domain; empty: somebody wanted
/// it.
std::string host_stop_of_detail(int detail) {
    switch (detail) {
        case VIR_DOMAIN_EVENT_SUSPENDED_IOERROR:
            return "io_error";
        case VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG:
            return "watchdog";
        case VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED:
            return "postcopy_failed";
        case VIR_DOMAIN_EVENT_SUSPENDED_API_ERROR:
            return "api_error";
        default:
            return {};
    }
}

}  // namespace

void DomainTracker::lifecycle(int event, int detail, Events& out) {
    switch (event) {
        case VIR_DOMAIN_EVENT_STARTED:
            id_ = told_id_ = -1;
            if (detail == VIR_DOMAIN_EVENT_STARTED_WAKEUP) return run(out);
            if (detail != VIR_DOMAIN_EVENT_STARTED_MIGRATED) return started(out);
            arriving_ = true;
            return inhibit(Inhibit::migrating, out);
        case VIR_DOMAIN_EVENT_SUSPENDED:
            return suspended(detail, out);
        case VIR_DOMAIN_EVENT_RESUMED:
            return run(out);
        case VIR_DOMAIN_EVENT_SHUTDOWN:
            if (phase_ != Phase::crashed) inhibit(Inhibit::powered_off, out);
            return;
        case VIR_DOMAIN_EVENT_PMSUSPENDED:
            return inhibit(Inhibit::suspended, out);
        case VIR_DOMAIN_EVENT_CRASHED:
            return crash(detail == VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED ? CrashReason::crashed : CrashReason::panicked,
                         out);
        case VIR_DOMAIN_EVENT_STOPPED:
            return stopped(detail, out);
        default:
            // Defined and undefined: a reading says what that means.
            return;
    }
}

void DomainTracker::suspended(int detail, Events& out) {
    if (phase_ == Phase::crashed) return;
    if (const std::string why = host_stop_of_detail(detail); !why.empty()) return stopped_by_host(why, {}, out);
    const bool migrates =
        detail == VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED || detail == VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY;
    if (!migrates) return inhibit(Inhibit::paused, out);
    // Reported also when its memory has been copied for so long that the guest is judged again.
    inhibit_.reset();
    inhibit(Inhibit::migrating, out);
}

void DomainTracker::stopped_by_host(const std::string& detail, const std::string& reason, Events& out) {
    live(out);
    inhibit_ = Inhibit::paused;
    if (host_stop_ == detail && (reason.empty() || host_stop_reason_ == reason)) return;
    host_stop_ = detail;
    if (!reason.empty()) host_stop_reason_ = reason;
    out.emplace_back(heartbeat::StoppedByHost{detail, host_stop_reason_});
}

void DomainTracker::watchdog(const std::string& action, Events& out) {
    if (phase_ == Phase::alive) out.emplace_back(heartbeat::WatchdogFired{action});
}

void DomainTracker::io_error(const std::string& reason, Events& out) {
    if (phase_ == Phase::alive) stopped_by_host("io_error", reason, out);
}

void DomainTracker::stopped(int detail, Events& out) {
    if (phase_ == Phase::unknown) return;
    if (detail == VIR_DOMAIN_EVENT_STOPPED_CRASHED) return crash(CrashReason::crashed, out);
    if (detail == VIR_DOMAIN_EVENT_STOPPED_FAILED) return crash(CrashReason::failed, out);
    if (detail == VIR_DOMAIN_EVENT_STOPPED_SAVED) return saved(out);
    stop(detail == VIR_DOMAIN_EVENT_STOPPED_MIGRATED ? StopReason::migrated : StopReason::domain_stopped, out);
}

void DomainTracker::rebooted(Events& out) {
    live(out);
    // The session holds for the reboot now, in place of what we told before, unless the machine stands still.
    if (inhibit_ && !stands_still(*inhibit_)) inhibit_.reset();
    out.emplace_back(heartbeat::Rebooted{});
}

void DomainTracker::transferring(Events& out) {
    if (!std::exchange(transferring_, true)) migrating_ = false;
    if (phase_ != Phase::crashed && !inhibit_) inhibit(Inhibit::transferring, out);
}

void DomainTracker::read(const DomainReading& reading, bool connected, Events& out) {
    const bool another_run = phase_ == Phase::alive && !missing_ && id_ >= 0 && reading.id >= 0 && reading.id != id_;
    if (another_run) stop(StopReason::domain_stopped, out);
    id_ = reading.id;
    persistent_ = reading.persistent;
    tell_run(out);  // a new one, before how it is
    const bool was_missing = std::exchange(missing_, false);
    if (reading.job) {
        transferring_ = transferring_ && *reading.job != DomainJob::none;
        migrating_ = *reading.job == DomainJob::migration;
    }
    read_state(reading, connected || was_missing, out);
    tell_run(out);
}

void DomainTracker::read_state(const DomainReading& reading, bool connected, Events& out) {
    switch (reading.state) {
        case VIR_DOMAIN_PAUSED:
            return read_paused(reading.reason, out);
        case VIR_DOMAIN_SHUTDOWN:
            return inhibit(Inhibit::powered_off, out);
        case VIR_DOMAIN_PMSUSPENDED:
            return inhibit(Inhibit::suspended, out);
        case VIR_DOMAIN_CRASHED:
            return crash(CrashReason::panicked, out);
        case VIR_DOMAIN_SHUTOFF:
            return read_shutoff(reading.reason, connected, out);
        default:
            return run(out);
    }
}

void DomainTracker::read_paused(int reason, Events& out) {
    if (reason == VIR_DOMAIN_PAUSED_CRASHED) return crash(CrashReason::panicked, out);
    const bool new_here = phase_ != Phase::alive;
    switch (reason) {
        case VIR_DOMAIN_PAUSED_STARTING_UP:
            arriving_ = arriving_ || new_here;
            return inhibit(Inhibit::paused, out);
        case VIR_DOMAIN_PAUSED_MIGRATION:
            arriving_ = arriving_ || new_here;
            return inhibit(Inhibit::migrating, out);
        case VIR_DOMAIN_PAUSED_POSTCOPY:
            return inhibit(Inhibit::migrating, out);
        case VIR_DOMAIN_PAUSED_IOERROR:
            return stopped_by_host("io_error", {}, out);
        case VIR_DOMAIN_PAUSED_WATCHDOG:
            return stopped_by_host("watchdog", {}, out);
        case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED:
            return stopped_by_host("postcopy_failed", {}, out);
        case VIR_DOMAIN_PAUSED_SAVE:
        case VIR_DOMAIN_PAUSED_DUMP:
        case VIR_DOMAIN_PAUSED_SNAPSHOT:
        case VIR_DOMAIN_PAUSED_FROM_SNAPSHOT:
            return inhibit(Inhibit::saving, out);
        case VIR_DOMAIN_PAUSED_SHUTTING_DOWN:
            return inhibit(Inhibit::powered_off, out);
        default:
            return inhibit(Inhibit::paused, out);
    }
}

void DomainTracker::read_shutoff(int reason, bool connected, Events& out) {
    switch (reason) {
        case VIR_DOMAIN_SHUTOFF_CRASHED:
            return crash(CrashReason::failed, out);
        case VIR_DOMAIN_SHUTOFF_MIGRATED:
            return stop(StopReason::migrated, out);
        case VIR_DOMAIN_SHUTOFF_SAVED:
            return saved(out);
        case VIR_DOMAIN_SHUTOFF_SHUTDOWN:
        case VIR_DOMAIN_SHUTOFF_DESTROYED:
        case VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT:
            return stop(StopReason::domain_stopped, out);
        default:
            // A libvirtd that was restarted has forgotten why, and a start that failed says nothing of the crash
            // before.
            if (phase_ == Phase::unknown) return out.emplace_back(heartbeat::FoundOff{}), void();
            // Or it has forgotten that the domain runs: what becomes of that it will not see.
            missing_ = phase_ == Phase::alive && connected;
            if (missing_) return;
            if (phase_ != Phase::crashed) stop(StopReason::domain_stopped, out);
    }
}

void DomainTracker::vanished(bool unseen, bool connected, Events& out) {
    // A transient domain that crashed disappears by itself; nobody has dealt with it. Of one whose end nobody saw that
    // may be the reason: that it is absent ends nothing. One whose QEMU lives was forgotten.
    missing_ = phase_ == Phase::alive && (missing_ || (unseen && (connected || !persistent_)));
    transferring_ = transferring_ && !missing_;
    if (missing_ || (phase_ == Phase::crashed && !persistent_)) return;
    stop(StopReason::removed, out);
}

void DomainTracker::live(Events& out) {
    if (phase_ != Phase::unknown) return started(out);
    // Nobody saw it start: it may run since long ago.
    phase_ = Phase::alive;
    if (id_ < 0) out.emplace_back(heartbeat::Found{});
    tell_run(out);
}

void DomainTracker::started(Events& out) {
    if (std::exchange(phase_, Phase::alive) != Phase::alive) out.emplace_back(heartbeat::Started{});
}

void DomainTracker::tell_run(Events& out) {
    if (phase_ != Phase::alive || id_ < 0 || std::exchange(told_id_, id_) == id_) return;
    out.emplace_back(heartbeat::Found{std::to_string(id_)});
}

void DomainTracker::run(Events& out) {
    const bool first_look = phase_ == Phase::unknown;
    live(out);
    arriving_ = false;
    if (transferring_) return inhibit(migrating_ ? Inhibit::migrating : Inhibit::transferring, out);
    host_stop_.clear();
    host_stop_reason_.clear();
    if (!inhibit_ && !first_look) return;
    inhibit_.reset();
    out.emplace_back(heartbeat::Released{});
}

void DomainTracker::inhibit(Inhibit why, Events& out) {
    live(out);
    if (inhibit_ == why) return;
    inhibit_ = why;
    out.emplace_back(heartbeat::Inhibited{why});
}

void DomainTracker::stop(StopReason why, Events& out) {
    const bool known = phase_ == Phase::alive || phase_ == Phase::crashed;
    inhibit_.reset();
    host_stop_.clear();
    host_stop_reason_.clear();
    transferring_ = arriving_ = false;
    id_ = told_id_ = -1;
    if (!known) return;
    phase_ = Phase::stopped;
    stop_reason_ = why;
    out.emplace_back(heartbeat::Stopped{why});
}

/// That is no end: its guest goes on as it was, healthy or hung, when it is restored.
void DomainTracker::saved(Events& out) {
    if (phase_ == Phase::stopped) return;
    if (phase_ == Phase::crashed) return stop(StopReason::domain_stopped, out);
    transferring_ = arriving_ = false;
    id_ = told_id_ = -1;
    inhibit(Inhibit::saving, out);
}

void DomainTracker::crash(CrashReason why, Events& out) {
    if (arriving_) return stop(StopReason::domain_stopped, out);
    inhibit_.reset();
    transferring_ = false;
    // What has ended cannot crash; what is first seen crashed did so while nobody looked.
    if (phase_ != Phase::alive && phase_ != Phase::unknown) return;
    phase_ = Phase::crashed;
    out.emplace_back(heartbeat::Crashed{why});
}

}  // namespace vitalwire::host
