// What one vitalwired leaves to the next.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "guest/absent.hpp"
#include "guest/reports.hpp"
#include "guest/unwatched.hpp"
#include "guest_fixture.hpp"
#include "raw_application.hpp"

namespace vitalwire::guest::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class RestartTest : public GuestTest {
protected:
    RestartTest() { settings_.applications.state = dir_ / "state"; }

    /// In order, as a service manager does it.
    void restart() {
        guest_->stop();
        start_again();
    }
    /// The earlier one has no time for anything.
    void start_again() {
        host_.reset();
        guest_.reset();
        start_registered();
    }
    std::unique_ptr<RawApplication> connect() {
        auto application = std::make_unique<RawApplication>(dir_ / "apps");
        if (!application->connected()) throw std::runtime_error("cannot connect");
        return application;
    }
    template <class Event>
    Event next(RawApplication& application) {
        std::optional<app::Event> event;
        await("an event comes", [&] { return (event = application.next()).has_value(); });
        return std::get<Event>(*event);
    }
    std::unique_ptr<RawApplication> registered(const std::string& name) {
        auto application = connect();
        application->register_as(name);
        next<app::Registered>(*application);
        return application;
    }
    void report(const std::string& name, const heartbeat::Health& health) {
        auto script = connect();
        script->send(app::Set{name, health, {}, {}});
        next<app::Done>(*script);
    }
    std::string state() const {
        std::ifstream file(dir_ / "state");
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::vector<std::string> items() {
        auto script = connect();
        script->send(app::StatusRequest{});
        std::vector<std::string> lines;
        for (const app::Item& item : next<app::Status>(*script).items)
            lines.push_back(item.kind + " " + item.name + " " + item.state + " " + item.reason);
        return lines;
    }
};

TEST_F(RestartTest, AReportedFaultStaysUntilItIsReportedAgain) {
    start_registered();
    report("backup", {false, "no space"});
    report("licence", {true, ""});
    restart();
    await_reason("report backup: no space");
    EXPECT_THAT(items(), testing::ElementsAre("report backup unhealthy no space", "report licence healthy "));
    report("backup", {true, ""});
    await_reason("");
    restart();
    await_reason("");
}

TEST_F(RestartTest, TheFirstAnswerOfTheNextOneHasWhatTheEarlierOneKnew) {
    start_registered();
    report("backup", {false, "no space"});
    restart();
    EXPECT_EQ(challenge().reason, "report backup: no space");
}

TEST_F(RestartTest, AFaultThatWasConfirmedOutlivesACrashInTheNextMoment) {
    start_registered();
    report("backup", {false, "no space"});
    start_again();
    await_reason("report backup: no space");
}

TEST_F(RestartTest, ACrashDoesNotEndWhatTheHostWasToldThoughAnotherApplicationChangesAllTheTime) {
    start_registered();
    auto other = registered("other");
    auto application = registered("db");
    for (int i = 0; i <= 100; ++i)
        other->send(app::Report{{i % 2 == 0, "now and then"}, {}});
    application->send(app::Report{{false, "no space"}, {}});
    await_reason("application db: no space");
    start_again();
    EXPECT_THAT(challenge().reason, HasSubstr("no space"));
}

TEST_F(RestartTest, AnApplicationThatEndedIsMissedUntilItRegistersAgain) {
    start_registered();
    auto application = registered("db");
    application->send(app::Report{{false, "exit status 3"}, {}});
    application->end();
    await_reason("application db: ended without deregistering: exit status 3");
    restart();
    await_reason("application db: ended without deregistering: exit status 3");
    restart();
    await_reason("application db: ended without deregistering: exit status 3");
    application = registered("db");
    await_reason("");
}

TEST_F(RestartTest, AnApplicationThatEndedCanBeForgottenAfterIt) {
    start_registered();
    registered("db")->end();
    await_reason("application db: ended without deregistering");
    restart();
    auto script = connect();
    script->send(app::Forget{"db", {}});
    next<app::Done>(*script);
    await_reason("");
}

TEST_F(RestartTest, AnApplicationThatWasUnhealthyIsSoUntilItSaysOtherwise) {
    start_registered();
    auto application = registered("db");
    application->send(app::Report{{false, "no disk"}, {}});
    await_reason("application db: no disk");
    restart();
    await_reason("application db: no disk");
    auto again = registered("db");
    await_reason("");
}

TEST_F(RestartTest, AnApplicationThatWasHealthyIsExpectedAndNoFault) {
    start_registered();
    auto application = registered("db");
    restart();
    EXPECT_TRUE(challenge().healthy);
    EXPECT_THAT(items(), testing::ElementsAre("application db not watched expected to register again"));
    auto again = registered("db");
    EXPECT_THAT(items(), testing::ElementsAre("application db healthy "));
}

TEST_F(RestartTest, ACheckThatFailedHasFailedUntilItHasAnotherResult) {
    dir_.write("full", "");
    const std::string command = "test -e '" + (dir_ / "full") + "' && { echo full; exit 1; }; test -e '" +
                                (dir_ / "slow") + "' && sleep 1000; exit 0";
    settings_.checks = {{"disk", command, milliseconds(100), milliseconds(20'000), milliseconds(0)}};
    start_registered();
    await_reason("check disk: full");
    dir_.write("slow", "");
    std::filesystem::remove(dir_ / "full");
    restart();
    EXPECT_EQ(challenge().reason, "check disk: full");
    std::filesystem::remove(dir_ / "slow");
    settings_.checks[0].target = "exit 0";
    guest_->reload(settings_);
    await_reason("");
}

TEST_F(RestartTest, AnotherBootOfTheMachineEndsIt) {
    start_registered();
    report("backup", {false, "no space"});
    guest_->stop();
    std::string text = state();
    const auto boot = text.find("boot\":\"");
    ASSERT_NE(boot, std::string::npos);
    text[boot + 7] = text[boot + 7] == '0' ? '1' : '0';
    dir_.write("state", text);
    start_again();
    EXPECT_TRUE(challenge().healthy);
}

TEST_F(RestartTest, OnlyItsUserCanReadAndWriteIt) {
    start_registered();
    report("backup", {false, "no space"});
    guest_->stop();
    struct stat found {};
    ASSERT_EQ(::stat((dir_ / "state").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0600U);
    EXPECT_FALSE(std::filesystem::exists(dir_ / "state.new"));
}

TEST_F(RestartTest, AStateThatOthersMayHaveWrittenIsIgnored) {
    start_registered();
    report("backup", {false, "no space"});
    guest_->stop();
    ASSERT_EQ(::chmod((dir_ / "state").c_str(), 0666), 0);
    start_again();
    EXPECT_TRUE(challenge().healthy);
    report("backup", {false, "no space"});
    guest_->stop();
    std::filesystem::rename(dir_ / "state", dir_ / "elsewhere");
    std::filesystem::create_symlink(dir_ / "elsewhere", dir_ / "state");
    start_again();
    EXPECT_TRUE(challenge().healthy);
}

TEST_F(RestartTest, InAFolderThatIsOpenToOthersNothingIsKeptAndItIsTold) {
    std::filesystem::create_directory(dir_ / "open");
    ASSERT_EQ(::chmod((dir_ / "open").c_str(), 0777), 0);
    settings_.applications.state = dir_ / "open/state";
    start_registered();
    report("backup", {false, "no space"});
    await_reason("report backup: no space; warning: vitalwired does not keep for a restart what was reported");
    EXPECT_THAT(items(), testing::Contains(
                             HasSubstr("warning state not kept " + (dir_ / "open") + ": other users may write there")));
    EXPECT_FALSE(std::filesystem::exists(dir_ / "open/state"));
}

TEST_F(RestartTest, AStateThatCannotBeRenewedIsNotBelieved) {
    start_registered();
    for (const bool is_open : {true, false}) {
        report("backup", {false, "no space"});
        await("it is written", [&] { return state().find("no space") != std::string::npos; });
        std::filesystem::permissions(dir_ / ".", std::filesystem::perms(is_open ? 0777 : 0700));
        if (!is_open) std::filesystem::create_directories(dir_ / "state.new/in_the_way");
        report("backup", {true, ""});
        await("it is said", [&] { return testing::Value(items(), testing::Contains(HasSubstr("not kept"))); });
        start_again();
        EXPECT_EQ(challenge().reason, "");
        std::filesystem::permissions(dir_ / ".", std::filesystem::perms::owner_all);
        start_again();
        EXPECT_EQ(challenge().reason, "") << "and not later either";
    }
}

TEST_F(RestartTest, AStateThatWasNotWrittenIsWrittenAsSoonAsItCanBe) {
    start_registered();
    report("backup", {false, "no space"});
    await("it is written", [&] { return state().find("no space") != std::string::npos; });
    std::filesystem::create_directories(dir_ / "state.new/in_the_way");
    report("backup", {true, ""});
    await("it is removed", [&] { return state().empty(); });
    EXPECT_THAT(challenge().reason, HasSubstr("vitalwired does not keep for a restart what was reported"));
    std::filesystem::remove_all(dir_ / "state.new");
    await("it is written again", [&] { return state().find("backup") != std::string::npos; });
    EXPECT_THAT(items(), Not(testing::Contains(HasSubstr("not kept"))));
    EXPECT_EQ(challenge().reason, "");
}

TEST_F(RestartTest, AGuestThatHasNothingToKeepWritesNothing) {
    start_registered();
    challenge();
    guest_->stop();
    EXPECT_FALSE(std::filesystem::exists(dir_ / "state"));
}

TEST(Kept, ComesBackAsItWas) {
    Kept kept{"service", "db", 7, 42, "123", "7 db.service db"};
    kept.stopping = true;
    kept.health = {false, "\"quoted\" \n and more", model::CorrectiveAction::reboot};
    kept.time = milliseconds(300);
    kept.own_time = milliseconds(400);
    kept.until = base::TimePoint(milliseconds(5000));
    std::size_t left_out = 0;
    const auto read = decode_kept(encode_kept({kept}, "b1", left_out), "b1");
    ASSERT_TRUE(read && read->size() == 1);
    const Kept& back = read->front();
    EXPECT_EQ(back.kind + back.name + back.started + back.identity, "servicedb1237 db.service db");
    EXPECT_EQ(back.uid, 7U);
    EXPECT_EQ(back.pid, 42);
    EXPECT_TRUE(back.stopping && !back.ended);
    EXPECT_EQ(back.health, (heartbeat::Health{false, "\"quoted\"", model::CorrectiveAction::reboot}));
    EXPECT_EQ(back.time, milliseconds(300));
    EXPECT_EQ(back.own_time, milliseconds(400));
    EXPECT_EQ(back.until, kept.until);
    EXPECT_EQ(decode_kept(encode_kept({kept}, "b1", left_out), "b2").error().code, base::Errc::not_found);
}

TEST(Kept, IsBoundedAndFaultsComeFirst) {
    std::vector<Kept> all;
    for (int i = 0; i < 3000; ++i)
        all.push_back({"report", "report-" + std::to_string(i)});
    all.back().health = {false, "no space"};
    std::size_t left_out = 0;
    const std::string text = encode_kept(all, "b1", left_out);
    EXPECT_LE(text.size(), kMaxKeptBytes);
    const auto read = decode_kept(text, "b1");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->size() + left_out, all.size());
    EXPECT_GT(left_out, 0U);
    EXPECT_EQ(read->front().name, "report-2999");
}

TEST(Kept, WhatMakesNoSenseIsLeftOut) {
    std::size_t left_out = 0;
    const std::string good = encode_kept({Kept{"report", "a"}}, "b1", left_out);
    const auto read = decode_kept(good + "{\"kind\":\"report\"}\n[]\nx\n\n{\"kind\":7,\"name\":\"a\"}\n", "b1");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->size(), 1U);
    for (const std::string& text :
         {std::string(), std::string("\n"), std::string("{}"), std::string("{\"vitalwired_state\":2}")})
        EXPECT_FALSE(decode_kept(text, "b1"));
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string changed = good;
        changed[i] = static_cast<char>(changed[i] ^ 0x15);
        static_cast<void>(decode_kept(changed, "b1"));
        static_cast<void>(decode_kept(good.substr(0, i), "b1"));
    }
}

class RestoreTest : public LoopTest {
protected:
    MonitorClock clock_{io_};
    HealthBoard board_{[](const heartbeat::Health&) {}};
};

TEST_F(RestoreTest, AHealthyApplicationThatDoesNotComeBackIsAWarning) {
    Absent absent(clock_, board_, milliseconds(50));
    absent.restore({"application", "db", 7});
    EXPECT_EQ(board_.overall().reason, "");
    await("it is missed", [&] { return !board_.overall().reason.empty(); });
    EXPECT_TRUE(board_.overall().healthy);
    EXPECT_EQ(board_.overall().reason,
              "warning: application db was watched before vitalwired was started again, and has not registered since");
    EXPECT_TRUE(absent.take_over({7, 0, {}}, "db"));
    EXPECT_EQ(board_.overall().reason, "");
}

TEST_F(RestoreTest, AnotherUserCannotSpeakForOneThatIsExpectedAfterTheRestart) {
    Absent absent(clock_, board_, milliseconds(50));
    absent.restore({"application", "db", 7});
    EXPECT_EQ(absent.take_over({8, 0, {}}, "db").error().code, base::Errc::in_use);
    await("it is missed", [&] { return !board_.overall().reason.empty(); });
    EXPECT_EQ(absent.take_over({8, 0, {}}, "db").error().code, base::Errc::in_use);
    EXPECT_NE(board_.overall().reason, "");
    EXPECT_TRUE(absent.take_over({0, 0, {}}, "db")) << "root may";
}

TEST_F(RestoreTest, AProcessThatHasDroppedItsPrivilegesKeepsItsName) {
    Absent absent(clock_, board_);
    Kept kept{"application", "db", 0, 77, "1234"};
    kept.health = {false, "replica is behind"};
    absent.restore(kept);
    EXPECT_FALSE(absent.take_over({65534, 77, "1235"}, "db")) << "another process with its number";
    EXPECT_FALSE(absent.take_over({65534, 78, "1234"}, "db"));
    std::vector<Kept> again;
    absent.keep(again);
    EXPECT_EQ(again.at(0).pid, 77);
    EXPECT_EQ(again.at(0).started, "1234");
    EXPECT_TRUE(absent.take_over({65534, 77, "1234"}, "db"));
}

TEST_F(RestoreTest, OneWhoseNameIsDroppedStaysAFaultUntilItIsForgotten) {
    std::vector<Kept> kept;
    {
        Absent absent(clock_, board_);
        absent.set_max(2, 1);
        for (const char* name : {"db", "cache", "web", "worker"})
            absent.add_ended(name, {});
        for (const char* name : {"web", "worker"})
            EXPECT_TRUE(absent.take_over({}, name));
        board_.remove("application web");
        board_.remove("application worker");
        absent.keep(kept);
    }
    board_.remove("application others-of-user-0");
    EXPECT_TRUE(board_.overall().healthy);
    std::size_t left_out = 0;
    Absent next(clock_, board_);
    const auto read = decode_kept(encode_kept(kept, "b1", left_out), "b1");
    ASSERT_TRUE(read);
    for (const Kept& each : *read)
        next.restore(each);
    EXPECT_EQ(board_.overall().reason,
              "application others-of-user-0: ended without deregistering: 2 that ended before, more than are named");
    EXPECT_TRUE(next.forget(0, "others-of-user-0"));
    EXPECT_TRUE(board_.overall().healthy);
}

TEST_F(RestoreTest, ARefusedRegistrationDoesNotSilenceThatTheApplicationIsMissing) {
    Absent absent(clock_, board_, milliseconds(50));
    Unwatched unwatched(clock_, board_);
    absent.restore({"application", "db", 7});
    await("it is missed", [&] { return !board_.overall().reason.empty(); });
    const std::string missing = board_.overall().reason;
    unwatched.add(8, "application db", "wanted to be watched and is not", {base::Errc::bad_field, "no interval"});
    EXPECT_EQ(board_.overall().reason,
              missing + "; warning: application db wanted to be watched and is not: no interval");
    unwatched.remove(8, "application db");
    EXPECT_EQ(board_.overall().reason, missing);
}

TEST_F(RestoreTest, OneThatMayBeSilentForLongerIsGivenThatTime) {
    Absent absent(clock_, board_, milliseconds(50));
    Kept slow{"application", "slow"};
    slow.time = seconds(3600);
    absent.restore(slow);
    absent.restore({"application", "db"});
    await("the other one is missed", [&] { return !board_.overall().reason.empty(); });
    EXPECT_THAT(board_.overall().reason, Not(HasSubstr("slow")));
}

TEST_F(RestoreTest, AnotherUserCannotWipeOutAFaultFromBeforeTheRestart) {
    Absent absent(clock_, board_);
    Kept kept{"application", "db", 7};
    kept.health = {false, "no disk"};
    absent.restore(kept);
    EXPECT_EQ(absent.take_over({8, 0, {}}, "db").error().code, base::Errc::in_use);
    EXPECT_EQ(absent.forget(8, "db").error().code, base::Errc::in_use);
    EXPECT_EQ(board_.overall().reason, "application db: no disk");
    EXPECT_TRUE(absent.forget(7, "db"));
    EXPECT_EQ(board_.overall().reason, "");
}

TEST_F(RestoreTest, WhatRootReportsAsIllNobodyElseEnds) {
    Reports reports(clock_, board_);
    EXPECT_TRUE(reports.set(7, {"backup", {true, ""}, {}, {}}));
    EXPECT_TRUE(reports.set(0, {"backup", {true, ""}, {}, {}}));
    EXPECT_TRUE(reports.set(7, {"backup", {false, "no space"}, {}, {}})) << "it is still theirs";
    EXPECT_TRUE(reports.set(0, {"backup", {false, "no disk"}, {}, {}}));
    EXPECT_FALSE(reports.set(7, {"backup", {true, ""}, {}, {}}));
    EXPECT_EQ(board_.overall().reason, "report backup: no disk");
}

TEST_F(RestoreTest, AReportThatCouldNotBeRenewedInBetweenHasTimeForIt) {
    Reports reports(clock_, board_);
    Kept kept{"report", "backup", 7};
    kept.time = milliseconds(100);
    kept.until = clock_.now() - seconds(5);
    reports.restore(kept);
    EXPECT_TRUE(board_.overall().healthy);
    await("it is overdue", [&] { return !board_.overall().healthy; });
    EXPECT_EQ(board_.overall().reason, "report backup: was not renewed within 100 ms");
}

TEST_F(RestoreTest, ARestartGivesAReportNoMoreTimeThanItHad) {
    Reports reports(clock_, board_);
    Kept kept{"report", "backup", 7};
    kept.time = std::chrono::hours(24 * 7);
    kept.until = clock_.now() + std::chrono::hours(1);
    reports.restore(kept);
    std::vector<Kept> again;
    reports.keep(again);
    ASSERT_EQ(again.size(), 1U);
    EXPECT_LE(again[0].until, kept.until + seconds(1));
    EXPECT_GE(again[0].until, kept.until - seconds(1));
}

}  // namespace
}  // namespace vitalwire::guest::test
