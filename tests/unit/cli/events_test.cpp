#include "cli/events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::cli {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

json fault(const std::string& id, const std::string& opened, const std::string& cleared = "", int revision = 1) {
    json out = {{"id", id},
                {"guest", "g-1"},
                {"guest_name", "web"},
                {"host", "c1"},
                {"severity", "critical"},
                {"kind", "heartbeat_lost"},
                {"detail", "silent"},
                {"state", cleared.empty() ? "open" : "cleared"},
                {"revision", revision},
                {"opened_at", "2026-11-22T06:" + opened + ":00.000000Z"},
                {"updated_at", "2026-11-22T06:" + (cleared.empty() ? opened : cleared) + ":00.000000Z"}};
    if (!cleared.empty()) {
        out["cleared_at"] = out["updated_at"];
        out["clear_reason"] = "answered";
    }
    return out;
}

std::vector<std::string> lines(const json& events) {
    std::vector<std::string> out;
    for (const json& event : events)
        out.push_back(event_line(event));
    return out;
}

base::WallTime at(const std::string& minute) {
    return base::from_iso8601("2026-11-22T06:" + minute + ":00.000000Z");
}

TEST(History, IsInTheOrderOfTime) {
    const json all = {{"faults", {fault("b", "02"), fault("a", "01", "03")}}};
    EXPECT_THAT(lines(history(all, {}, {})["events"]),
                ElementsAre("2026-11-22 06:01:00Z opened critical heartbeat_lost of guest g-1 (web) on c1, silent",
                            "2026-11-22 06:02:00Z opened critical heartbeat_lost of guest g-1 (web) on c1, silent",
                            "2026-11-22 06:03:00Z cleared critical heartbeat_lost of guest g-1 (web) on c1, answered"));
}

TEST(History, IsByTheClockOfTheControllerAndNamesTheTimeOfTheHost) {
    json wrong = fault("a", "59", "01");
    wrong["received_at"] = "2026-11-22T06:10:00.000000Z";
    wrong["changed_at"] = "2026-11-22T06:20:00.000000Z";
    json right = fault("b", "15");
    right["received_at"] = right["changed_at"] = "2026-11-22T06:15:01.900000Z";
    const json all = {{"faults", {wrong, right}}};
    EXPECT_THAT(lines(history(all, at("09"), {})["events"]),
                ElementsAre("2026-11-22 06:10:00Z opened critical heartbeat_lost of guest g-1 (web) on c1, silent; "
                            "2026-11-22 06:59:00Z by the clock of its host",
                            "2026-11-22 06:15:01Z opened critical heartbeat_lost of guest g-1 (web) on c1, silent",
                            "2026-11-22 06:20:00Z cleared critical heartbeat_lost of guest g-1 (web) on c1, answered; "
                            "2026-11-22 06:01:00Z by the clock of its host"));
    EXPECT_THAT(history(all, at("16"), {})["events"], SizeIs(1));
    EXPECT_THAT(history(all, {}, at("12"))["events"], SizeIs(1));
}

TEST(History, IsOfThePeriodOnly) {
    const json all = {{"faults", {fault("b", "02"), fault("a", "01", "03")}}};
    EXPECT_THAT(history(all, at("02"), {})["events"], SizeIs(2));
    EXPECT_THAT(history(all, at("02"), at("02"))["events"], SizeIs(1));
    EXPECT_THAT(history(all, at("04"), {})["events"], IsEmpty());
}

TEST(History, HasTheAlarmsOfHostsToo) {
    const json all = {{"alarms",
                       {{{"host", "c1"},
                         {"kind", "agent_lost"},
                         {"severity", "critical"},
                         {"opened_at", "2026-11-22T06:01:00.000000Z"},
                         {"updated_at", "2026-11-22T06:01:00.000000Z"}}}}};
    EXPECT_THAT(lines(history(all, {}, {})["events"]),
                ElementsAre("2026-11-22 06:01:00Z opened critical agent_lost of host c1"));
}

TEST(History, HasEachTimeThatAnAlarmWasOpen) {
    const json all = {{"alarms",
                       {{{"host", "c1"},
                         {"kind", "agent_lost"},
                         {"severity", "critical"},
                         {"opened_at", "2026-11-22T06:03:00.000000Z"},
                         {"updated_at", "2026-11-22T06:03:00.000000Z"},
                         {"earlier",
                          {{{"opened_at", "2026-11-22T06:01:00.000000Z"},
                            {"cleared_at", "2026-11-22T06:02:00.000000Z"},
                            {"clear_reason", "connected"}}}}}}}};
    EXPECT_THAT(lines(history(all, {}, {})["events"]),
                ElementsAre("2026-11-22 06:01:00Z opened critical agent_lost of host c1",
                            "2026-11-22 06:02:00Z cleared critical agent_lost of host c1, connected",
                            "2026-11-22 06:03:00Z opened critical agent_lost of host c1"));
}

TEST(Changes, AreNoneBetweenEqualMoments) {
    const OpenFaults open = open_faults({{"faults", {fault("a", "01")}}});
    EXPECT_THAT(changes(open, open, "").events, IsEmpty());
    EXPECT_THAT(changes(open, open, "").gone, IsEmpty());
}

TEST(Changes, FollowTheLifeOfAFault) {
    const OpenFaults none;
    const OpenFaults first = open_faults({{"faults", {fault("a", "01")}}});
    const OpenFaults second = open_faults({{"faults", {fault("a", "01", "", 2)}}});
    const OpenFaults cleared = open_faults({{"faults", {fault("a", "01", "02", 3)}}});
    EXPECT_EQ(changes(none, first, "").events.at(0)["event"], "opened");
    EXPECT_EQ(changes(first, second, "").events.at(0)["event"], "updated");
    ASSERT_THAT(changes(second, cleared, "").gone, SizeIs(1));
    EXPECT_EQ(changes(second, cleared, "").gone[0]["id"], "a");
}

TEST(EventLine, LetsNoGuestDrawOnTheTerminal) {
    json odd = fault("a", "01");
    odd["guest_name"] = "\x1b[2J\n";
    odd["detail"] = "\x07";
    const std::string line = event_line(make_event("opened", "2026-11-22T06:01:00.000000Z", odd));
    EXPECT_EQ(line.find_first_of("\x1b\n\x07"), std::string::npos) << line;
}

}  // namespace
}  // namespace vitalwire::cli
