#include "host/sources/qmp/qmp_session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vitalwire::host {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

template <class... F>
struct Overload : F... {
    using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

std::string in_words(const heartbeat::HostEvent& event) {
    return std::visit(
        Overload{[](const heartbeat::Inhibited& held) { return "held " + std::string(to_string(held.why)); },
                 [](const heartbeat::Released&) { return std::string("released"); },
                 [](const heartbeat::Rebooted&) { return std::string("rebooted"); },
                 [](const heartbeat::Found& found) { return found.run.empty() ? "found" : "found " + found.run; },
                 [](const heartbeat::Started&) { return std::string("started"); },
                 [](const heartbeat::Stopped& stopped) { return "stopped " + std::string(to_string(stopped.reason)); },
                 [](const heartbeat::Crashed& crashed) { return "crashed " + std::string(to_string(crashed.reason)); },
                 [](const heartbeat::StoppedByHost& stopped) {
                     return "stopped by host " + stopped.detail + (stopped.reason.empty() ? "" : " " + stopped.reason);
                 },
                 [](const heartbeat::WatchdogFired& fired) { return "watchdog " + fired.action; },
                 [](const auto&) { return std::string("another event"); }},
        event);
}

class QmpSessionTest : public testing::Test {
protected:
    /// QEMU is connected and says that its machine is in `status`.
    void connect(const std::string& status = "running", const std::string& run = "") {
        session_.connected(run);
        line(R"({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}})");
        line(R"({"return": {}, "id": "capabilities"})");
        line(R"({"return": {}, "id": "migration-events"})");
        line(R"({"return": {"status": ")" + status + R"(", "running": true}, "id": "status"})");
    }
    void status(const std::string& word) { line(R"({"return": {"status": ")" + word + R"("}, "id": "status"})"); }
    void event(const std::string& name, const std::string& data = "{}") {
        line(R"({"timestamp": {"seconds": 1, "microseconds": 2}, "event": ")" + name + R"(", "data": )" + data + "}");
    }
    void line(const std::string& text) {
        QmpSession::Result result;
        session_.line(text, result);
        note(result);
    }
    void vanish() {
        QmpSession::Result result;
        session_.vanished(result);
        note(result);
    }
    void note(const QmpSession::Result& result) {
        for (const auto& e : result.events)
            events_.push_back(in_words(e));
        commands_.insert(commands_.end(), result.commands.begin(), result.commands.end());
    }
    std::vector<std::string> take() { return std::exchange(events_, {}); }

    QmpSession session_;
    std::vector<std::string> events_;
    std::vector<std::string> commands_;
};

TEST_F(QmpSessionTest, AsksForTheStateAndForTheEventsOfAMigration) {
    connect();
    EXPECT_THAT(commands_, ElementsAre(HasSubstr("qmp_capabilities"), HasSubstr("migrate-set-capabilities"),
                                       HasSubstr("query-status")));
    EXPECT_THAT(take(), ElementsAre("found", "released"));
    EXPECT_TRUE(session_.ready());
}

TEST_F(QmpSessionTest, HoldsAMachineThatIsPausedAndReleasesItWhenItRuns) {
    connect();
    take();
    event("STOP");
    status("paused");
    event("RESUME");
    status("running");
    EXPECT_THAT(take(), ElementsAre("held paused", "held paused", "released"));
}

TEST_F(QmpSessionTest, ReportsAStopByADiskErrorWithItsReason) {
    connect();
    take();
    event("BLOCK_IO_ERROR", R"({"device": "vda", "action": "report", "reason": "not this one"})");
    event("BLOCK_IO_ERROR", R"({"device": "vda", "action": "stop", "reason": "No space left on device"})");
    event("STOP");
    EXPECT_THAT(take(), ElementsAre("held paused"));
    status("io-error");
    EXPECT_THAT(take(), ElementsAre("stopped by host io_error vda: No space left on device"));
    event("RESUME");
    status("running");
    EXPECT_THAT(take(), ElementsAre("released"));
}

TEST_F(QmpSessionTest, ReportsAWatchdogWhateverItDoes) {
    connect();
    take();
    event("WATCHDOG", R"({"action": "none"})");
    EXPECT_THAT(take(), ElementsAre("watchdog none"));
    event("WATCHDOG", R"({"action": "pause"})");
    event("STOP");
    status("watchdog");
    EXPECT_THAT(take(), ElementsAre("watchdog pause", "held paused", "stopped by host watchdog"));
}

TEST_F(QmpSessionTest, ReportsAMigrationThatBrokeWhileMemoryWasOnBothHosts) {
    connect();
    take();
    event("MIGRATION", R"({"status": "postcopy-paused"})");
    EXPECT_THAT(take(), ElementsAre("stopped by host postcopy_failed"));
}

TEST_F(QmpSessionTest, FindsAMachineThatIsPausedAlready) {
    connect("paused");
    EXPECT_THAT(take(), ElementsAre("found", "held paused"));
}

TEST_F(QmpSessionTest, TellsOfEachReset) {
    connect();
    take();
    event("RESET", R"({"guest": true, "reason": "guest-reset"})");
    event("RESET", R"({"guest": true, "reason": "guest-reset"})");
    EXPECT_THAT(take(), ElementsAre("rebooted", "rebooted"));
}

TEST_F(QmpSessionTest, AsksAfterAResetWhetherTheMachineRuns) {
    connect();
    event("STOP");
    status("paused");
    commands_.clear();
    take();
    event("RESET", R"({"guest": false, "reason": "host-qmp-system-reset"})");
    EXPECT_THAT(commands_, ElementsAre(HasSubstr("query-status")));
    status("prelaunch");
    EXPECT_THAT(take(), ElementsAre("rebooted", "held paused"));
}

TEST_F(QmpSessionTest, TakesAShutdownForAnEndThatSomebodyWanted) {
    connect();
    take();
    event("POWERDOWN");
    event("SHUTDOWN", R"({"guest": true, "reason": "guest-shutdown"})");
    vanish();
    EXPECT_THAT(take(), ElementsAre("held shutting_down", "stopped domain_stopped"));
}

TEST_F(QmpSessionTest, TakesAnEndWithoutAShutdownForACrash) {
    connect();
    take();
    vanish();
    EXPECT_THAT(take(), ElementsAre("crashed failed"));
    vanish();
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(QmpSessionTest, TellsOfAPanicOnceHoweverItEnds) {
    connect();
    take();
    event("GUEST_PANICKED", R"({"action": "pause", "info": {"type": "hyper-v"}})");
    event("STOP");
    status("guest-panicked");
    event("SHUTDOWN", R"({"guest": true, "reason": "guest-panic"})");
    vanish();
    EXPECT_THAT(take(), ElementsAre("crashed panicked"));
}

TEST_F(QmpSessionTest, FindsAMachineThatHasPanickedAlready) {
    connect("guest-panicked");
    EXPECT_THAT(take(), ElementsAre("found", "crashed panicked"));
}

TEST_F(QmpSessionTest, TakesTheOperatorsQuitAfterAPanicForAStop) {
    connect();
    event("GUEST_PANICKED", R"({"action": "pause"})");
    take();
    event("SHUTDOWN", R"({"guest": false, "reason": "host-qmp-quit"})");
    EXPECT_THAT(take(), ElementsAre("stopped domain_stopped"));
}

TEST_F(QmpSessionTest, StartsAgainAfterAPanicWithAReset) {
    connect();
    event("GUEST_PANICKED", R"({"action": "pause"})");
    take();
    event("RESET", R"({"guest": false, "reason": "host-qmp-system-reset"})");
    event("RESUME");
    status("running");
    EXPECT_THAT(take(), ElementsAre("started", "rebooted", "released"));
}

TEST_F(QmpSessionTest, HoldsAMachineThatMigratesAwayUntilItHasLeft) {
    connect();
    take();
    event("MIGRATION", R"({"status": "setup"})");
    event("MIGRATION", R"({"status": "active"})");
    status("running");
    event("STOP");
    event("MIGRATION", R"({"status": "completed"})");
    status("postmigrate");
    event("SHUTDOWN", R"({"guest": false, "reason": "host-qmp-quit"})");
    const auto told = take();
    EXPECT_THAT(told, Contains("held migrating"));
    EXPECT_THAT(told, testing::Not(Contains("released")));
    EXPECT_THAT(told, testing::Not(Contains("held paused")));
    EXPECT_EQ(told.back(), "stopped migrated");
}

TEST_F(QmpSessionTest, TakesTheEndOfAQemuWhoseMachineHasLeftForAMigration) {
    connect();
    event("MIGRATION", R"({"status": "active"})");
    event("MIGRATION", R"({"status": "completed"})");
    status("postmigrate");
    take();
    vanish();
    EXPECT_THAT(take(), ElementsAre("stopped migrated"));
}

TEST_F(QmpSessionTest, KnowsThatAMachineHasLeftBeforeItsQemuSaysSo) {
    connect();
    event("MIGRATION", R"({"status": "active"})");
    event("STOP");
    event("MIGRATION", R"({"status": "completed"})");
    take();
    vanish();
    EXPECT_THAT(take(), ElementsAre("stopped migrated"));
}

TEST_F(QmpSessionTest, KnowsThatAMachineHasLeftWhenAnAnswerOfBeforeComesLate) {
    connect();
    event("MIGRATION", R"({"status": "active"})");
    event("STOP");
    event("MIGRATION", R"({"status": "completed"})");
    status("finish-migrate");
    take();
    vanish();
    EXPECT_THAT(take(), ElementsAre("stopped migrated"));
}

TEST_F(QmpSessionTest, TakesTheEndOfAQemuWhoseMachineHasArrivedForACrash) {
    connect("inmigrate");
    event("RESUME");
    event("MIGRATION", R"({"status": "completed"})");
    take();
    vanish();
    EXPECT_THAT(take(), ElementsAre("crashed failed"));
}

TEST_F(QmpSessionTest, ReleasesAMachineWhoseMigrationFailed) {
    connect();
    event("MIGRATION", R"({"status": "active"})");
    take();
    event("MIGRATION", R"({"status": "failed"})");
    status("running");
    EXPECT_THAT(take(), ElementsAre("released"));
}

TEST_F(QmpSessionTest, HoldsAMachineThatArrivesUntilItRuns) {
    connect("inmigrate");
    EXPECT_THAT(take(), ElementsAre("found", "held migrating"));
    event("MIGRATION", R"({"status": "completed"})");
    event("RESUME");
    status("running");
    EXPECT_THAT(take(), ElementsAre("released"));
}

TEST_F(QmpSessionTest, HoldsAMachineThatSleeps) {
    connect();
    take();
    event("SUSPEND");
    event("WAKEUP");
    status("running");
    EXPECT_THAT(take(), ElementsAre("held suspended", "released"));
}

TEST_F(QmpSessionTest, StartsAnewWithTheNextQemuAtTheSamePath) {
    connect();
    vanish();
    take();
    connect();
    EXPECT_THAT(take(), ElementsAre("started", "released"));
}

TEST_F(QmpSessionTest, NamesTheRunOfItsQemu) {
    connect("running", "run-1");
    EXPECT_THAT(take(), ElementsAre("found run-1", "released"));
    connect("running", "run-2");
    EXPECT_THAT(take(), ElementsAre("found run-2", "released")) << "it was ended and started, which nobody saw";
    vanish();
    take();
    connect("running", "run-3");
    EXPECT_THAT(take(), ElementsAre("started", "found run-3", "released"));
}

TEST_F(QmpSessionTest, ANewConnectionToTheSameQemuIsNoStart) {
    connect();
    take();
    connect("paused");
    EXPECT_THAT(take(), ElementsAre("found", "held paused"));
}

TEST_F(QmpSessionTest, ANewConnectionToAMachineThatHadPanickedTellsNothing) {
    for (const char* ended : {"guest-panicked", "internal-error", "shutdown"}) {
        connect();
        event("GUEST_PANICKED", R"({"action": "pause"})");
        take();
        connect(ended);
        EXPECT_THAT(take(), IsEmpty()) << ended;
        connect();
        EXPECT_THAT(take(), ElementsAre("started", "released")) << "somebody has reset it";
    }
}

TEST_F(QmpSessionTest, IsInhibitedOnceForAMigrationHoweverManyPassesItTakes) {
    connect();
    take();
    for (const char* status : {"setup", "active", "active"})
        event("MIGRATION", R"({"status": ")" + std::string(status) + "\"}");
    for (int pass = 0; pass < 3; ++pass)
        event("MIGRATION_PASS", R"({"pass": 1})");
    status("running");
    EXPECT_THAT(take(), ElementsAre("held migrating"));
    event("STOP");
    EXPECT_THAT(take(), ElementsAre("held migrating")) << "now it stands still";
}

TEST_F(QmpSessionTest, APauseDuringAMigrationEndsInTheMigration) {
    connect();
    event("STOP");
    status("paused");
    event("MIGRATION", R"({"status": "active"})");
    take();
    event("RESUME");
    status("running");
    EXPECT_THAT(take(), ElementsAre("released", "held migrating"));
}

TEST_F(QmpSessionTest, SurvivesWhatNoQemuSends) {
    for (const char* nonsense : {"", "[]", "{", "{\"event\":5}", "{\"event\":\"STOP\",\"data\":7}", "{\"return\":[]}",
                                 "{\"id\":\"status\",\"return\":{\"status\":[]}}"})
        line(nonsense);
    connect();
    EXPECT_EQ(take().back(), "released");
}

}  // namespace
}  // namespace vitalwire::host
