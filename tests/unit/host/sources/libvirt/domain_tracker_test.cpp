#include "host/sources/libvirt/domain_tracker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/libvirt.h>

#include <string>
#include <vector>

namespace vitalwire::host {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Acked = std::vector<std::string>;

struct Describe {
    std::string operator()(const heartbeat::Inhibited& held) const {
        return "held " + std::string(to_string(held.why));
    }
    std::string operator()(const heartbeat::Released&) const { return "released"; }
    std::string operator()(const heartbeat::Rebooted&) const { return "rebooted"; }
    std::string operator()(const heartbeat::Found& found) const {
        return "found" + (found.run.empty() ? "" : " " + found.run);
    }
    std::string operator()(const heartbeat::FoundOff&) const { return "off"; }
    std::string operator()(const heartbeat::Started&) const { return "started"; }
    std::string operator()(const heartbeat::Stopped& stopped) const {
        return "stopped " + std::string(to_string(stopped.reason));
    }
    std::string operator()(const heartbeat::Crashed& crashed) const {
        return "crashed " + std::string(to_string(crashed.reason));
    }
    std::string operator()(const heartbeat::StoppedByHost& stopped) const {
        return "stopped by host " + stopped.detail + (stopped.reason.empty() ? "" : ": " + stopped.reason);
    }
    std::string operator()(const heartbeat::WatchdogFired& fired) const { return "watchdog " + fired.action; }
    template <class Other>
    std::string operator()(const Other&) const {
        return "another event";
    }
};

DomainReading active(int state, int reason, int id = 1) {
    DomainReading reading;
    reading.id = id;
    reading.state = state;
    reading.reason = reason;
    return reading;
}

DomainReading shutoff(int reason) {
    return active(VIR_DOMAIN_SHUTOFF, reason, -1);
}

const DomainReading kRunning = active(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED);

class Tracked {
public:
    Acked event(int event, int detail) {
        return told([&](DomainTracker::Events& out) { tracker.lifecycle(event, detail, out); });
    }
    Acked read(const DomainReading& reading, bool connected = false) {
        return told([&](DomainTracker::Events& out) { tracker.read(reading, connected, out); });
    }
    Acked read_job(DomainReading reading, DomainJob job) {
        reading.job = job;
        return read(reading);
    }
    Acked rebooted() {
        return told([&](DomainTracker::Events& out) { tracker.rebooted(out); });
    }
    Acked transferring() {
        return told([&](DomainTracker::Events& out) { tracker.transferring(out); });
    }
    Acked vanished(bool unseen = false, bool connected = false) {
        return told([&](DomainTracker::Events& out) { tracker.vanished(unseen, connected, out); });
    }
    Tracked& running() {
        read(kRunning);
        return *this;
    }

    Acked io_error(const std::string& reason) {
        return told([&](DomainTracker::Events& out) { tracker.io_error(reason, out); });
    }
    Acked watchdog(const std::string& action) {
        return told([&](DomainTracker::Events& out) { tracker.watchdog(action, out); });
    }

    DomainTracker tracker;

private:
    template <class Step>
    Acked told(Step step) {
        DomainTracker::Events events;
        step(events);
        Acked out;
        for (const heartbeat::HostEvent& event : events)
            out.push_back(std::visit(Describe{}, event));
        return out;
    }
};

TEST(DomainTracker, ADomainThatIsStartedIsToldOnce) {
    Tracked domain;
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_BOOTED), ElementsAre("started"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED), IsEmpty());
    EXPECT_THAT(domain.read(kRunning), ElementsAre("found 1"));
    EXPECT_THAT(domain.read(kRunning), IsEmpty());
}

TEST(DomainTracker, AFirstLookIsNoStart) {
    Tracked domain;
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED),
                ElementsAre("found", "released"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_BOOTED), IsEmpty());
}

TEST(DomainTracker, APauseHoldsUntilItEnds) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED),
                ElementsAre("held paused"));
    EXPECT_THAT(domain.read(active(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER)), IsEmpty());
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED), ElementsAre("released"));
    EXPECT_THAT(domain.read(kRunning), IsEmpty());
}

TEST(DomainTracker, AStopThatNobodyWantedIsReportedWithItsReasonUntilTheDomainRuns) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.io_error("vda: enospc"), ElementsAre("stopped by host io_error: vda: enospc"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_IOERROR), IsEmpty());
    EXPECT_THAT(domain.read(active(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR)), IsEmpty());
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED), ElementsAre("released"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_IOERROR),
                ElementsAre("stopped by host io_error"))
        << "a second time";
}

TEST(DomainTracker, EverySuspensionByTheHypervisorItselfIsReportedAsThat) {
    const struct {
        int detail;
        std::string told;
    } kCases[] = {
        {VIR_DOMAIN_EVENT_SUSPENDED_IOERROR, "stopped by host io_error"},
        {VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG, "stopped by host watchdog"},
        {VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED, "stopped by host postcopy_failed"},
        {VIR_DOMAIN_EVENT_SUSPENDED_API_ERROR, "stopped by host api_error"},
        {VIR_DOMAIN_EVENT_SUSPENDED_RESTORED, "held paused"},
        {VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY, "held migrating"},
    };
    for (const auto& one : kCases) {
        Tracked domain;
        domain.running();
        EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_SUSPENDED, one.detail), ElementsAre(one.told)) << one.detail;
    }
}

TEST(DomainTracker, AWatchdogIsReportedWhileTheDomainRuns) {
    Tracked domain;
    EXPECT_THAT(domain.watchdog("reset"), IsEmpty());
    domain.running();
    EXPECT_THAT(domain.watchdog("reset"), ElementsAre("watchdog reset"));
}

TEST(DomainTracker, EveryStateAtFirstSightIsToldAsItIs) {
    const struct {
        int state, reason;
        Acked told;
    } kCases[] = {
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, {"found 1", "released"}},
        {VIR_DOMAIN_BLOCKED, VIR_DOMAIN_BLOCKED_UNKNOWN, {"found 1", "released"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, {"found 1", "held paused"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR, {"found 1", "stopped by host io_error"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_WATCHDOG, {"found 1", "stopped by host watchdog"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, {"found 1", "held paused"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SAVE, {"found 1", "held saving"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_DUMP, {"found 1", "held saving"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SNAPSHOT, {"found 1", "held saving"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_FROM_SNAPSHOT, {"found 1", "held saving"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, {"found 1", "held migrating"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY, {"found 1", "held migrating"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY_FAILED, {"found 1", "stopped by host postcopy_failed"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SHUTTING_DOWN, {"found 1", "held powered_off"}},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_CRASHED, {"crashed panicked"}},
        {VIR_DOMAIN_SHUTDOWN, VIR_DOMAIN_SHUTDOWN_USER, {"found 1", "held powered_off"}},
        {VIR_DOMAIN_PMSUSPENDED, VIR_DOMAIN_PMSUSPENDED_UNKNOWN, {"found 1", "held suspended"}},
        {VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED, {"crashed panicked"}},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED, {"crashed failed"}},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN, {}},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_UNKNOWN, {"off"}},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED, {"off"}},
    };
    for (const auto& one : kCases) {
        Tracked domain;
        EXPECT_EQ(domain.read(active(one.state, one.reason)), one.told) << one.state << " " << one.reason;
    }
}

TEST(DomainTracker, EveryEndIsAStopOrACrash) {
    const struct {
        int detail;
        Acked told;
    } kCases[] = {
        {VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, {"stopped domain_stopped"}},
        {VIR_DOMAIN_EVENT_STOPPED_DESTROYED, {"stopped domain_stopped"}},
        {VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT, {"stopped domain_stopped"}},
        {VIR_DOMAIN_EVENT_STOPPED_MIGRATED, {"stopped migrated"}},
        {VIR_DOMAIN_EVENT_STOPPED_CRASHED, {"crashed crashed"}},
        {VIR_DOMAIN_EVENT_STOPPED_FAILED, {"crashed failed"}},
    };
    for (const auto& one : kCases) {
        Tracked domain;
        domain.running();
        EXPECT_EQ(domain.event(VIR_DOMAIN_EVENT_STOPPED, one.detail), one.told) << one.detail;
    }
}

TEST(DomainTracker, AnEndThatOnlyAReadingTellsIsAStopOrACrash) {
    const struct {
        int reason;
        Acked told;
    } kCases[] = {
        {VIR_DOMAIN_SHUTOFF_SHUTDOWN, {"stopped domain_stopped"}},
        {VIR_DOMAIN_SHUTOFF_DESTROYED, {"stopped domain_stopped"}},
        {VIR_DOMAIN_SHUTOFF_MIGRATED, {"stopped migrated"}},
        {VIR_DOMAIN_SHUTOFF_CRASHED, {"crashed failed"}},
        {VIR_DOMAIN_SHUTOFF_UNKNOWN, {"stopped domain_stopped"}},
        {VIR_DOMAIN_SHUTOFF_FAILED, {"stopped domain_stopped"}},
        {VIR_DOMAIN_SHUTOFF_DAEMON, {"stopped domain_stopped"}},
    };
    for (const auto& one : kCases) {
        Tracked domain;
        domain.running();
        EXPECT_EQ(domain.read(shutoff(one.reason)), one.told) << one.reason;
    }
}

TEST(DomainTracker, AMigrationHoldsFromItsFirstIteration) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.transferring(), ElementsAre("held transferring")) << "a save, or a dump, looks the same";
    EXPECT_THAT(domain.read_job(kRunning, DomainJob::migration), ElementsAre("held migrating"));
    EXPECT_THAT(domain.read_job(kRunning, DomainJob::migration), IsEmpty());
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED),
                ElementsAre("held migrating"))
        << "again: its memory may have been copied for longer than a guest is excused";
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_MIGRATED),
                ElementsAre("stopped migrated"));
    EXPECT_TRUE(domain.tracker.is_stopped());
    EXPECT_EQ(domain.tracker.stop_reason(), heartbeat::StopReason::migrated);
}

TEST(DomainTracker, ADumpIsNoMigration) {
    Tracked domain;
    domain.running();
    domain.transferring();
    EXPECT_THAT(domain.read_job(kRunning, DomainJob::other), IsEmpty());
    EXPECT_THAT(domain.read_job(kRunning, DomainJob::none), ElementsAre("released"));
    domain.transferring();
    domain.read_job(kRunning, DomainJob::migration);
    domain.read_job(kRunning, DomainJob::none);
    EXPECT_THAT(domain.transferring(), ElementsAre("held transferring")) << "the next one is for something else";
}

TEST(DomainTracker, AMigrationThatIsGivenUpReleasesWhenItsJobIsOver) {
    Tracked domain;
    domain.running();
    domain.transferring();
    EXPECT_TRUE(domain.tracker.is_transferring());
    EXPECT_THAT(domain.read_job(kRunning, DomainJob::none), ElementsAre("released"));
    EXPECT_FALSE(domain.tracker.is_transferring());
}

TEST(DomainTracker, AMigrationGoesOnWhenItsJobIsNotKnown) {
    Tracked domain;
    domain.running();
    domain.transferring();
    EXPECT_THAT(domain.read(kRunning), IsEmpty());
    EXPECT_TRUE(domain.tracker.is_transferring());
}

TEST(DomainTracker, APauseDuringAMigrationEndsInTheMigration) {
    Tracked domain;
    domain.running();
    domain.transferring();
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED),
                ElementsAre("held paused"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED),
                ElementsAre("held transferring"));
}

TEST(DomainTracker, ADomainThatArrivesIsHeldUntilItRuns) {
    Tracked domain;
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_MIGRATED),
                ElementsAre("found", "held migrating"));
    EXPECT_THAT(domain.read(active(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION)), ElementsAre("found 1"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_MIGRATED), ElementsAre("released"));
}

TEST(DomainTracker, ADomainThatFailsToArriveDidNotCrashHere) {
    Tracked told_by_events;
    told_by_events.event(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_MIGRATED);
    EXPECT_THAT(told_by_events.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED),
                ElementsAre("stopped domain_stopped"));
    Tracked read;
    read.read(active(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP));
    EXPECT_THAT(read.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED),
                ElementsAre("stopped domain_stopped"));
}

TEST(DomainTracker, ADomainThatArrivedCanCrash) {
    Tracked domain;
    domain.event(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_MIGRATED);
    domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_MIGRATED);
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED), ElementsAre("crashed failed"));
}

TEST(DomainTracker, ASaveHoldsAndStops) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED),
                ElementsAre("held paused"));
    EXPECT_THAT(domain.transferring(), IsEmpty());
    EXPECT_THAT(domain.read_job(active(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SAVE), DomainJob::other),
                ElementsAre("held saving"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_SAVED), IsEmpty());
    EXPECT_THAT(domain.read(shutoff(VIR_DOMAIN_SHUTOFF_SAVED)), IsEmpty());
    EXPECT_TRUE(domain.tracker.is_saved());
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_RESTORED), IsEmpty());
    EXPECT_THAT(domain.read(active(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_FROM_SNAPSHOT, 2)), ElementsAre("found 2"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_FROM_SNAPSHOT),
                ElementsAre("released"));
    EXPECT_FALSE(domain.tracker.is_saved());
}

TEST(DomainTracker, ASavedDomainIsHeldUntilItIsRestoredOrTakenAway) {
    Tracked domain;
    EXPECT_THAT(domain.read(shutoff(VIR_DOMAIN_SHUTOFF_SAVED)), ElementsAre("found", "held saving")) << "a first look";
    EXPECT_THAT(domain.read(active(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_RESTORED, 2)),
                ElementsAre("found 2", "released"));
    domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_SAVED);
    EXPECT_THAT(domain.vanished(), ElementsAre("stopped removed"));
}

TEST(DomainTracker, AShutdownHoldsUntilTheEnd) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_SHUTDOWN, VIR_DOMAIN_EVENT_SHUTDOWN_GUEST),
                ElementsAre("held powered_off"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN),
                ElementsAre("stopped domain_stopped"));
    EXPECT_THAT(domain.read(shutoff(VIR_DOMAIN_SHUTOFF_SHUTDOWN)), IsEmpty());
    EXPECT_TRUE(domain.tracker.is_idle());
}

TEST(DomainTracker, ASuspendedSystemIsHeldUntilItWakesUp) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_PMSUSPENDED, VIR_DOMAIN_EVENT_PMSUSPENDED_MEMORY),
                ElementsAre("held suspended"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_WAKEUP), ElementsAre("released"));
}

TEST(DomainTracker, ARebootIsToldAndEndsNoPause) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.rebooted(), ElementsAre("rebooted"));
    EXPECT_THAT(domain.read(kRunning), IsEmpty());
    const DomainReading paused = active(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER);
    domain.read(paused);
    EXPECT_THAT(domain.rebooted(), ElementsAre("rebooted"));
    EXPECT_THAT(domain.read(paused), IsEmpty()) << "the session has kept it";
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED), ElementsAre("released"));
}

TEST(DomainTracker, ARebootEndsNoStopByTheHypervisorAndResumingDoes) {
    Tracked domain;
    domain.running();
    domain.read(active(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR));
    EXPECT_THAT(domain.rebooted(), ElementsAre("rebooted"));
    EXPECT_THAT(domain.read(active(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR)), IsEmpty());
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED), ElementsAre("released"));
}

TEST(DomainTracker, ARebootWhileItMigratesIsFollowedByTheMigration) {
    Tracked domain;
    domain.running();
    domain.transferring();
    EXPECT_THAT(domain.rebooted(), ElementsAre("rebooted"));
    EXPECT_THAT(domain.read_job(kRunning, DomainJob::migration), ElementsAre("held migrating"));
}

TEST(DomainTracker, ACrashIsToldOnceHoweverItIsHeardOf) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED),
                ElementsAre("crashed panicked"));
    EXPECT_THAT(domain.read(active(VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED)), IsEmpty());
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_CRASHED), IsEmpty());
    EXPECT_THAT(domain.read(shutoff(VIR_DOMAIN_SHUTOFF_CRASHED)), IsEmpty());
    EXPECT_FALSE(domain.tracker.is_idle());
}

TEST(DomainTracker, ACrashEndsWithTheNextStart) {
    Tracked domain;
    domain.running();
    domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED);
    EXPECT_THAT(domain.read(active(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, 2)),
                ElementsAre("started", "found 2"));
}

TEST(DomainTracker, ACrashThatRestartsTheDomainIsAStartAndAReboot) {
    Tracked domain;
    domain.running();
    domain.event(VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED);
    EXPECT_THAT(domain.rebooted(), ElementsAre("started", "rebooted"));
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED), IsEmpty());
}

TEST(DomainTracker, ACrashEndsWhenTheOperatorEndsTheDomain) {
    Tracked domain;
    domain.running();
    domain.event(VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED);
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_SHUTDOWN, VIR_DOMAIN_EVENT_SHUTDOWN_HOST), IsEmpty());
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED),
                ElementsAre("stopped domain_stopped"));
}

TEST(DomainTracker, ACrashOutlastsALibvirtdThatForgotIt) {
    Tracked domain;
    domain.running();
    domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED);
    EXPECT_THAT(domain.read(shutoff(VIR_DOMAIN_SHUTOFF_UNKNOWN)), IsEmpty());
    EXPECT_THAT(domain.read(shutoff(VIR_DOMAIN_SHUTOFF_FAILED)), IsEmpty()) << "a start that failed";
}

TEST(DomainTracker, ACrashOfADefinedDomainEndsWhenItIsUndefined) {
    Tracked domain;
    domain.running();
    domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED);
    domain.read(shutoff(VIR_DOMAIN_SHUTOFF_CRASHED));
    EXPECT_THAT(domain.vanished(), ElementsAre("stopped removed"));
}

TEST(DomainTracker, ACrashOfATransientDomainOutlastsIt) {
    Tracked domain;
    DomainReading transient = kRunning;
    transient.persistent = false;
    domain.read(transient);
    domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED);
    EXPECT_THAT(domain.vanished(), IsEmpty());
    EXPECT_FALSE(domain.tracker.is_idle());
}

TEST(DomainTracker, ATransientDomainWhoseEndNobodySawIsNotRemoved) {
    Tracked domain;
    DomainReading transient = kRunning;
    transient.persistent = false;
    domain.read(transient);
    EXPECT_THAT(domain.vanished(true), IsEmpty());
    EXPECT_TRUE(domain.tracker.is_missing());
    EXPECT_THAT(domain.vanished(), IsEmpty()) << "nor later";
    transient.id = 2;
    EXPECT_THAT(domain.read(transient), ElementsAre("found 2")) << "its session ends as with a reboot";
    EXPECT_FALSE(domain.tracker.is_missing());
    EXPECT_THAT(domain.vanished(), ElementsAre("stopped removed")) << "libvirt was asked all the time";
}

TEST(DomainTracker, ADefinedDomainThatIsUndefinedWhileNobodyLooksIsRemoved) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.vanished(true), ElementsAre("stopped removed"));
}

TEST(DomainTracker, ADomainThatLibvirtHasForgottenHasNotEndedWhileItsQemuIsConnected) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.read(shutoff(VIR_DOMAIN_SHUTOFF_UNKNOWN), true), IsEmpty());
    EXPECT_TRUE(domain.tracker.is_missing());
    EXPECT_THAT(domain.read(shutoff(VIR_DOMAIN_SHUTOFF_UNKNOWN)), IsEmpty()) << "nobody saw why it ended";
    EXPECT_THAT(domain.read(shutoff(VIR_DOMAIN_SHUTOFF_DESTROYED)), ElementsAre("stopped domain_stopped"));
    EXPECT_FALSE(domain.tracker.is_missing());
}

TEST(DomainTracker, ADomainThatAnotherLibvirtdDoesNotKnowHasNotEndedWhileItsQemuIsConnected) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.vanished(true, true), IsEmpty());
    EXPECT_THAT(domain.vanished(), IsEmpty()) << "nor later";
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED),
                ElementsAre("stopped domain_stopped"));
}

TEST(DomainTracker, ADomainThatVanishedWhileNobodyLookedIsRemoved) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.vanished(), ElementsAre("stopped removed"));
    EXPECT_THAT(Tracked().vanished(), IsEmpty());
}

TEST(DomainTracker, AnotherRunThatBeganWhileNobodyLookedIsAStopAndAStart) {
    Tracked domain;
    domain.running();
    EXPECT_THAT(domain.read(active(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, 2)),
                ElementsAre("stopped domain_stopped", "started", "found 2"));
}

TEST(DomainTracker, ADomainThatFailsToStartIsNothing) {
    Tracked domain;
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED), IsEmpty());
    EXPECT_THAT(domain.read(shutoff(VIR_DOMAIN_SHUTOFF_FAILED)), ElementsAre("off"));
    EXPECT_TRUE(domain.tracker.is_idle());
}

TEST(DomainTracker, ADefinitionIsNothing) {
    Tracked domain;
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_DEFINED_ADDED), IsEmpty());
    domain.running();
    EXPECT_THAT(domain.event(VIR_DOMAIN_EVENT_UNDEFINED, VIR_DOMAIN_EVENT_UNDEFINED_REMOVED), IsEmpty());
}

}  // namespace
}  // namespace vitalwire::host
