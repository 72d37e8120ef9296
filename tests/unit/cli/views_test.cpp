#include "cli/views.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace vitalwire::cli {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

const base::WallTime kNow = base::from_iso8601("2026-11-22T06:05:08.000000Z");

Lines guests_lines(const json& document, base::WallTime now, const Style& style) {
    return guests_table(document, now, style).lines(style);
}

Lines faults_lines(const json& document, base::WallTime now, const Style& style) {
    return faults_table(document, now, style).lines(style);
}

Lines agents_lines(const json& document, base::WallTime now, const Style& style) {
    return agents_table(document, now, style).lines(style);
}

Lines groups_lines(const json& document, base::WallTime now, const Style& style) {
    return groups_table(document, now, style).lines(style);
}

json guest(const std::string& id, const std::string& state, const std::string& host = "c1") {
    return {{"guest", id}, {"state", state}, {"host", host}, {"group", "g"}, {"interval_ms", 1000}};
}

json fault(const std::string& id, const std::string& severity, const std::string& opened, const std::string& state) {
    return {{"id", id},
            {"guest", id},
            {"severity", severity},
            {"kind", "heartbeat_lost"},
            {"state", state},
            {"opened_at", "2026-11-22T06:0" + opened + ":00.000000Z"}};
}

TEST(FaultsView, ShortensTheIdOfAFaultAndNotTheNameOfAnAlarm) {
    const json document = {{"faults", {fault("0123456789abcdef", "critical", "1", "open")}},
                           {"alarms", {fault("agent_lost.compute-1", "critical", "2", "open")}}};
    const Lines lines = faults_lines(document, kNow, {});
    EXPECT_THAT(lines[2], HasSubstr(" 01234567 "));
    EXPECT_THAT(lines[1], HasSubstr(" agent_lost.compute-1 "));
}

TEST(GuestsView, NotesAGuestThatCameNearItsDeadline) {
    json near = guest("g1", "registered");
    near["longest_round_trip_us"] = 310'000;
    near["response_deadline_ms"] = 600;
    json far = near;
    far["longest_round_trip_us"] = 299'000;
    const Lines lines = guests_lines({{"guests", {near}}}, kNow, {});
    EXPECT_THAT(lines[1], HasSubstr("near its deadline: 310 ms of 600 ms"));
    EXPECT_THAT(guests_lines({{"guests", {far}}}, kNow, {})[1], Not(HasSubstr("deadline")));
}

TEST(GuestsView, NotesWhatAHealthyGuestWarnsOf) {
    json entry = guest("g1", "registered");
    entry["warning"] = "warning: application db is not watched";
    EXPECT_THAT(guests_lines({{"guests", {entry}}}, kNow, {})[1], HasSubstr("application db is not watched"));
    EXPECT_THAT(guest_view({{"guest", entry}}, kNow, {}), Contains(AllOf(StartsWith("warning"), HasSubstr("db"))));
}

TEST(GuestView, ShowsHowLongAnswersTook) {
    json entry = guest("g1", "registered");
    entry["round_trips"] = {0, 60, 1};
    const Lines lines = guest_view({{"guest", entry}}, kNow, {});
    EXPECT_THAT(lines, Contains(AllOf(StartsWith("256 us"), HasSubstr(" 60 "), HasSubstr("####"))));
    EXPECT_THAT(lines, Contains(AllOf(StartsWith("512 us"), HasSubstr(" 1 "), HasSubstr("#"))));
    EXPECT_THAT(lines, Not(Contains(StartsWith("128 us"))));
}

TEST(HostView, AddsUpHowLongTheAnswersOfItsGuestsTook) {
    json one = guest("g1", "registered");
    one["round_trips"] = {3};
    json other = guest("g2", "registered");
    other["round_trips"] = {4, 1};
    const Lines lines = host_view({{"guests", {one, other}}}, kNow, {});
    EXPECT_THAT(lines, Contains(AllOf(StartsWith("128 us"), HasSubstr(" 7 "))));
}

TEST(FaultsView, MarksAFaultThatNobodyVouchesForNow) {
    json open = fault("f1", "critical", "1", "open");
    open["unconfirmed_since"] = "2026-11-22T06:04:08.000000Z";
    EXPECT_THAT(faults_lines({{"faults", {open}}}, kNow, {})[1], HasSubstr("unconfirmed, last confirmed 1 min ago"));
    json over = open;
    over["state"] = "cleared";
    EXPECT_THAT(faults_lines({{"faults", {over}}}, kNow, {})[1], Not(HasSubstr("unconfirmed")));
}

TEST(GuestsView, BeginsWithTheWorst) {
    json list = json::array();
    for (const char* state : {"registered", "held", "crashed", "unregistered", "lost", "unhealthy"})
        list.push_back(guest(state, state));
    const Lines lines = guests_lines({{"guests", list}}, kNow, {});
    ASSERT_THAT(lines, SizeIs(7));
    EXPECT_THAT(lines[0], StartsWith("STATE"));
    std::size_t place = 1;
    for (const char* state : {"crashed", "lost", "unhealthy", "held", "unregistered", "registered"})
        EXPECT_THAT(lines[place++], StartsWith(state));
}

TEST(GroupsView, ShowsWhatEachGroupHasSent) {
    const json group = {{"id", "g"},       {"name", "pair"},   {"project", "p"},     {"members", 2},
                        {"broadcasts", 7}, {"deliveries", 14}, {"notifications", 0}, {"queries", 0}};
    EXPECT_THAT(groups_lines({{"groups", {group}}}, kNow, {}),
                ElementsAre("GROUP  NAME  PROJECT  MEMBERS  BROADCASTS  DELIVERIES",
                            "g      pair  p        2        7           14"));
}

TEST(GroupView, ShowsEveryMemberAndWhetherItCanBeReached) {
    const json lost = {{"instance_id", "b"}, {"state", "active"}, {"heartbeat", "lost"}, {"messaging", true}};
    const json healthy = {{"instance_id", "a"}, {"state", "paused"}, {"heartbeat", "healthy"},
                          {"messaging", true},  {"refused", 3},      {"channels", {"org.vitalwire.0"}}};
    const json document = {{"id", "g"},       {"name", "pair"},  {"project", "p"},
                           {"broadcasts", 1}, {"deliveries", 2}, {"guests", json::array({lost, healthy})}};
    EXPECT_THAT(group_view(document, kNow, {}),
                ElementsAre("group g, pair, project p", "1 broadcast to 2 receivers, 0 notifications, 0 queries", "",
                            "HEARTBEAT  GUEST  STATE   MESSAGING   REFUSED", "healthy    a      paused  connected   3",
                            "lost       b      active  no channel  -"));
}

TEST(SentView, SaysHowManyHearIt) {
    EXPECT_THAT(sent_view({{"group", "g"}, {"guests", 3}}, kNow, {}), ElementsAre("sent to 3 guests of group g"));
}

TEST(GuestsView, SaysWhenWhatAndWhy) {
    json entry = guest("g-1", "held");
    entry["registered_since"] = "2026-11-22T06:05:05.000000Z";
    entry["hold"] = "migrating";
    entry["name"] = "own name";
    entry["last_round_trip_us"] = 412;
    entry["misses"] = 3;
    const std::string line = guests_lines({{"guests", {entry}}}, kNow, {})[1];
    EXPECT_EQ(line, "held   g-1    own name  c1    g      3 s ago     1 s       412 us      3       migrating");
}

TEST(GuestsView, PrefersTheNameThatTheCloudGave) {
    json entry = guest("g-1", "registered");
    entry["name"] = "liar";
    entry["display_name"] = "web";
    EXPECT_THAT(guests_lines({{"guests", {entry}}}, kNow, {})[1], AllOf(HasSubstr("web"), Not(HasSubstr("liar"))));
}

TEST(GuestsView, LetsNoGuestDrawOnTheTerminal) {
    json entry = guest("g-1", "registered");
    entry["name"] = "\x1b]0;owned\x07\n<3>forged";
    for (const std::string& line : guests_lines({{"guests", {entry}}}, kNow, {}))
        EXPECT_EQ(line.find_first_of("\x1b\x07\n"), std::string::npos) << line;
}

TEST(Views, SurviveAnswersOfAnotherShape) {
    for (const json& odd : {json::object(), json{{"guests", 7}, {"faults", "x"}, {"agents", {1, 2}}},
                            json{{"guests", {1, nullptr, {{"guest", 5}, {"state", json::array()}}}},
                                 {"faults", {json::array(), {{"deliveries", 3}}}},
                                 {"sinks", {{{"name", 1}}}},
                                 {"problems", {{"what", "x"}}}}}) {
        EXPECT_FALSE(guests_lines(odd, kNow, {}).empty());
        EXPECT_FALSE(faults_lines(odd, kNow, {}).empty());
        EXPECT_FALSE(agents_lines(odd, kNow, {}).empty());
        EXPECT_FALSE(status_view(odd, kNow, {}).empty());
        EXPECT_FALSE(guest_view(odd, kNow, {}).empty());
        EXPECT_FALSE(host_view(odd, kNow, {}).empty());
        EXPECT_FALSE(top_view({{"status", odd}, {"faults", odd}, {"guests", odd}}, kNow, {}, 20).empty());
        fault_view(odd, kNow, {});
    }
}

TEST(FaultsView, BeginsWithTheWorstOpenOnesTheNewestFirst) {
    const json document = {{"faults",
                            {fault("cleared", "critical", "4", "cleared"), fault("warning", "warning", "3", "open"),
                             fault("older", "critical", "1", "open"), fault("newer", "critical", "2", "open")}}};
    const Lines lines = faults_lines(document, kNow, {});
    ASSERT_THAT(lines, SizeIs(5));
    EXPECT_THAT(lines[1], HasSubstr("newer"));
    EXPECT_THAT(lines[2], HasSubstr("older"));
    EXPECT_THAT(lines[3], HasSubstr("warning"));
    EXPECT_THAT(lines[4], HasSubstr("cleared"));
}

TEST(FaultsView, SaysWhoHasNotBeenTold) {
    json entry = fault("f", "critical", "1", "open");
    entry["detail"] = "silent";
    entry["deliveries"] = {{{"sink", "log"}, {"state", "acknowledged"}},
                           {{"sink", "doctor"}, {"state", "sending"}, {"last_error", "connection refused"}},
                           {{"sink", "hook"}, {"state", "queued"}}};
    EXPECT_THAT(
        faults_lines({{"faults", {entry}}}, kNow, {})[1],
        AllOf(HasSubstr("silent"), HasSubstr("1 acknowledged, doctor retries: connection refused, hook queued")));
}

TEST(AgentsView, BeginsWithTheLostOnes) {
    const json document = {{"agents",
                            {{{"host", "a"}, {"connected", true}, {"guests", 3}},
                             {{"host", "b"}, {"connected", false}, {"last_seen", "2026-11-22T06:00:08.000000Z"}}}}};
    const Lines lines = agents_lines(document, kNow, {});
    EXPECT_THAT(lines[1], AllOf(StartsWith("lost       b"), HasSubstr("5 min ago")));
    EXPECT_THAT(lines[2], StartsWith("connected  a"));
}

TEST(StatusView, OfAController) {
    const json document = {
        {"program", "vitalwire-controller"},
        {"version", "1.2"},
        {"host", "ctl"},
        {"since", "2026-11-22T06:00:08.000000Z"},
        {"healthy", false},
        {"problems", {{{"what", "sink doctor: cannot deliver"}, {"detail", "refused"}}}},
        {"guests", {{"total", 12}, {"registered", 10}, {"lost", 2}, {"held", 0}}},
        {"faults_open", {{"critical", 2}, {"major", 0}}},
        {"agents",
         {{"connected", 1},
          {"known", 2},
          {"lost", {{{"host", "compute-7"}, {"since", "2026-11-22T06:00:08.000000Z"}, {"guests", 3}}}}}},
        {"sinks",
         {{{"name", "doctor"},
           {"type", "doctor"},
           {"state", "retrying"},
           {"queued", 4},
           {"delivered", 9},
           {"oldest_waiting", "2026-11-22T06:00:08.000000Z"}}}}};
    const Lines lines = status_view(document, kNow, {});
    EXPECT_EQ(lines[0], "vitalwire-controller 1.2 on ctl started 5 min ago");
    EXPECT_EQ(lines[1], "not healthy");
    EXPECT_EQ(lines[2], "12 guests: 2 lost, 10 registered");
    EXPECT_EQ(lines[3], "open faults: 2 critical");
    EXPECT_EQ(lines[4], "agents: 1 connected of 2");
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("sink doctor: cannot deliver"), HasSubstr("refused"))));
    EXPECT_THAT(lines, Contains(AllOf(StartsWith("doctor  doctor  retrying"), HasSubstr("5 min ago"))));
    EXPECT_THAT(lines, Contains(AllOf(StartsWith("compute-7"), HasSubstr("5 min ago"), HasSubstr("3"))));
}

TEST(StatusView, FitsATerminal) {
    const json document = {{"program", "vitalwire-controller"},
                           {"host", std::string(300, 'h')},
                           {"healthy", true},
                           {"guests", {{"total", 12}, {"registered", 10}, {"lost", 2}}}};
    for (const std::string& line : status_view(document, kNow, {false, 20}))
        EXPECT_LE(line.size(), 20U) << line;
}

TEST(StatusView, OfAnAgent) {
    const json document = {{"program", "vitalwire-agent"},
                           {"healthy", true},
                           {"guests", {{"total", 1}}},
                           {"links", {{{"name", "tcp://ctl:8991"}, {"up", false}, {"last_error", "refused"}}}}};
    const Lines lines = status_view(document, kNow, {});
    EXPECT_THAT(lines, Contains("healthy"));
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("tcp://ctl:8991"), HasSubstr("down"), HasSubstr("refused"))));
    EXPECT_THAT(lines, Contains("no open faults"));
    EXPECT_THAT(lines, Not(Contains(HasSubstr("agents:"))));
}

TEST(StatusView, OfAnAgentWithoutAControllerSaysWhatWaits) {
    json document = {{"program", "vitalwire-agent"},
                     {"undelivered", {{"faults", 3}, {"oldest", "2026-11-22T06:00:08.000000Z"}}}};
    EXPECT_THAT(status_view(document, kNow, {}), Contains("not delivered yet: 3 faults, the oldest 5 min ago"));
    document["undelivered"] = {{"faults", 0}};
    EXPECT_THAT(status_view(document, kNow, {}), Not(Contains(HasSubstr("not delivered"))));
}

TEST(FaultsView, HasTheAlarmsOfHostsWithTheirTimes) {
    const json alarm = {{"id", "0123456789"},     {"host", "c9"},    {"kind", "agent_lost"},
                        {"severity", "critical"}, {"state", "open"}, {"opened_at", "2026-11-22T06:05:05.000000Z"}};
    const Lines lines = faults_lines({{"faults", json::array()}, {"alarms", {alarm}}}, kNow, {});
    ASSERT_THAT(lines, SizeIs(2));
    EXPECT_EQ(lines[1], "critical  01234567  agent_lost  c9    3 s ago");
}

TEST(CoverageTable, BeginsWithWhatIsUncovered) {
    const json document = {{"guests",
                            {{{"guest", "a"}, {"host", "c1"}, {"coverage", "watched"}, {"why", ""}},
                             {{"guest", "b"}, {"host", "c2"}, {"coverage", "uncovered"}, {"why", "agent away"}}}}};
    EXPECT_THAT(
        coverage_table(document, kNow, {}).lines({}),
        ElementsAre("COVERAGE   GUEST  HOST  WHY", "uncovered  b      c2    agent away", "watched    a      c1    -"));
}

TEST(GuestView, ShowsOneGuestAndItsFaults) {
    json entry = guest("g-1", "lost");
    entry["display_name"] = "web";
    entry["name"] = "own";
    const json document = {{"guest", entry}, {"faults", {fault("f", "critical", "1", "open")}}};
    const Lines lines = guest_view(document, kNow, {});
    EXPECT_EQ(lines[0], "guest             g-1");
    EXPECT_EQ(lines[1], "name              web");
    EXPECT_EQ(lines[2], "its own name      own");
    EXPECT_EQ(lines[3], "state             lost");
    EXPECT_THAT(lines, Contains(HasSubstr("heartbeat_lost")));
    EXPECT_THAT(guest_view({{"guest", entry}}, kNow, {}), Contains("no faults"));
}

TEST(FaultView, ShowsTimesDeliveriesAndJournal) {
    json entry = fault("f-1", "critical", "1", "open");
    entry["host"] = "c1";
    entry["deliveries"] = {{{"sink", "log"}, {"state", "acknowledged"}}};
    entry["journal"] = {
        {"entries", {{{"at", "2026-11-22T06:05:05.000000Z"}, {"what", "sent"}, {"sink", "log"}, {"times", 2}}}}};
    const Lines lines = fault_view(entry, kNow, {});
    EXPECT_THAT(lines, Contains("opened            2026-11-22 06:01:00Z, 4 min ago"));
    EXPECT_THAT(lines, Contains("of                guest f-1 on c1"));
    EXPECT_THAT(lines, Contains("log   acknowledged"));
    EXPECT_THAT(lines, Contains("3 s ago  sent   log   2"));
}

json cloud_in_trouble() {
    json faults = json::array();
    for (int i = 0; i < 30; ++i)
        faults.push_back(fault("warning-" + std::to_string(i), "warning", "1", "open"));
    faults.push_back(fault("the-worst", "critical", "1", "open"));
    json sinks = json::array();
    for (int i = 0; i < 12; ++i)
        sinks.push_back({{"name", "sink-" + std::to_string(i)}, {"state", "ok"}});
    return {{"status", {{"healthy", false}, {"sinks", sinks}, {"problems", {{{"what", "nova"}}}}}},
            {"faults", {{"faults", faults}}}};
}

TEST(TopView, FitsTheTerminalAndBeginsWithTheWorst) {
    const Lines lines = top_view(cloud_in_trouble(), kNow, {false, 60}, 20);
    ASSERT_THAT(lines, SizeIs(20));
    EXPECT_THAT(lines[2], StartsWith("critical heartbeat_lost the-worst"));
    EXPECT_THAT(lines[18], StartsWith("... and 16 more lines"));
    EXPECT_THAT(lines[19], StartsWith("sinks ok: sink-0, sink-1")) << "in one line";
    for (const std::string& line : lines)
        EXPECT_LE(line.size(), 60U) << line;
    for (const std::size_t rows : {4U, 2U, 1U})
        EXPECT_THAT(top_view(cloud_in_trouble(), kNow, {false, 60}, rows), SizeIs(rows));
}

TEST(TopView, ShowsWhatKeepsFaultsBack) {
    const json windows = {{{"scope", "all"}, {"name", ""}}, {{"scope", "host"}, {"name", "compute-1"}}};
    const json document = {{"status", {{"healthy", true}, {"maintenance", windows}}}};
    EXPECT_EQ(top_view(document, kNow, {}, 20)[2], "maintenance keeps faults back: all, host compute-1");
}

TEST(TopView, ShowsTheSlowestGuestsWhenThereIsRoom) {
    json fast = guest("fast", "registered");
    fast["longest_round_trip_us"] = 100;
    json slow = guest("slow", "registered");
    slow["longest_round_trip_us"] = 400'000;
    slow["response_deadline_ms"] = 600;
    const json document = {{"status", {{"healthy", true}}}, {"guests", {{"guests", {fast, slow}}}}};
    const Lines lines = top_view(document, kNow, {}, 20);
    EXPECT_EQ(lines[2], "longest round trip 400 ms of 600 ms slow  c1");
    EXPECT_EQ(lines[3], "longest round trip 100 us fast  c1");
}

}  // namespace
}  // namespace vitalwire::cli
