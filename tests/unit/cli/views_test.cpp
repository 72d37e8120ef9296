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

TEST(GuestsView, BeginsWithTheWorst) {
    json list = json::array();
    for (const char* state : {"registered", "held", "crashed", "unregistered", "lost", "unhealthy"})
        list.push_back(guest(state, state));
    const Lines lines = guests_view({{"guests", list}}, kNow, {});
    ASSERT_THAT(lines, SizeIs(7));
    EXPECT_THAT(lines[0], StartsWith("STATE"));
    std::size_t place = 1;
    for (const char* state : {"crashed", "lost", "unhealthy", "held", "unregistered", "registered"})
        EXPECT_THAT(lines[place++], StartsWith(state));
}

TEST(GroupsView, ShowsWhatEachGroupHasSent) {
    const json group = {{"id", "g"},       {"name", "pair"},   {"project", "p"},     {"members", 2},
                        {"broadcasts", 7}, {"deliveries", 14}, {"notifications", 0}, {"queries", 0}};
    EXPECT_THAT(groups_view({{"groups", {group}}}, kNow, {}),
                ElementsAre("GROUP  NAME  PROJECT  MEMBERS  BROADCASTS  DELIVERIES",
                            "g      pair  p        2        7           14"));
    EXPECT_THAT(groups_view({{"groups", json::array()}}, kNow, {}), ElementsAre("no groups"));
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
    const std::string line = guests_view({{"guests", {entry}}}, kNow, {})[1];
    EXPECT_EQ(line, "held   g-1    own name  c1    g      3 s ago     1 s       412 us      3       migrating");
}

TEST(GuestsView, PrefersTheNameThatTheCloudGave) {
    json entry = guest("g-1", "registered");
    entry["name"] = "liar";
    entry["display_name"] = "web";
    EXPECT_THAT(guests_view({{"guests", {entry}}}, kNow, {})[1], AllOf(HasSubstr("web"), Not(HasSubstr("liar"))));
}

TEST(GuestsView, LetsNoGuestDrawOnTheTerminal) {
    json entry = guest("g-1", "registered");
    entry["name"] = "\x1b]0;owned\x07\n<3>forged";
    for (const std::string& line : guests_view({{"guests", {entry}}}, kNow, {}))
        EXPECT_EQ(line.find_first_of("\x1b\x07\n"), std::string::npos) << line;
}

TEST(GuestsView, SaysThatThereAreNone) {
    EXPECT_THAT(guests_view({{"guests", json::array()}}, kNow, {}), ElementsAre("no guests"));
}

TEST(Views, SurviveAnswersOfAnotherShape) {
    for (const json& odd : {json::object(), json{{"guests", 7}, {"faults", "x"}, {"agents", {1, 2}}},
                            json{{"guests", {1, nullptr, {{"guest", 5}, {"state", json::array()}}}},
                                 {"faults", {json::array(), {{"deliveries", 3}}}},
                                 {"sinks", {{{"name", 1}}}},
                                 {"problems", {{"what", "x"}}}}}) {
        EXPECT_FALSE(guests_view(odd, kNow, {}).empty());
        EXPECT_FALSE(faults_view(odd, kNow, {}).empty());
        EXPECT_FALSE(agents_view(odd, kNow, {}).empty());
        EXPECT_FALSE(status_view(odd, kNow, {}).empty());
    }
}

TEST(FaultsView, BeginsWithTheWorstOpenOnesTheNewestFirst) {
    const json document = {{"faults",
                            {fault("cleared", "critical", "4", "cleared"), fault("warning", "warning", "3", "open"),
                             fault("older", "critical", "1", "open"), fault("newer", "critical", "2", "open")}}};
    const Lines lines = faults_view(document, kNow, {});
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
    EXPECT_THAT(faults_view({{"faults", {entry}}}, kNow, {})[1],
                AllOf(HasSubstr("silent"), HasSubstr("1 acknowledged, doctor retries: connection refused, hook queued")));
}

TEST(AgentsView, BeginsWithTheLostOnes) {
    const json document = {{"agents",
                            {{{"host", "a"}, {"connected", true}, {"guests", 3}},
                             {{"host", "b"}, {"connected", false}, {"last_seen", "2026-11-22T06:00:08.000000Z"}}}}};
    const Lines lines = agents_view(document, kNow, {});
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

TEST(Filters, KeepWhatMatchesAllOfThem) {
    const json document = {{"guests", {guest("a", "lost", "c1"), guest("b", "lost", "c2"), guest("c", "held", "c1")}}};
    const auto left = [&](const Options& options) {
        json filtered = document;
        apply_filters(filtered, options);
        std::string ids;
        for (const json& entry : filtered["guests"])
            ids += entry["guest"].get<std::string>();
        return ids;
    };
    Options options;
    EXPECT_EQ(left(options), "abc");
    options.host = "c1";
    EXPECT_EQ(left(options), "ac");
    options.state = "lost";
    EXPECT_EQ(left(options), "a");
    options.group = "none";
    EXPECT_EQ(left(options), "");
}

TEST(Filters, FindTheFaultsOfAGuestByIdOrName) {
    json document = {{"faults", {{{"guest", "id"}, {"guest_name", "web"}}, {{"guest", "other"}}}}};
    Options options;
    options.guest = "web";
    apply_filters(document, options);
    EXPECT_THAT(document["faults"], SizeIs(1));
}

TEST(JsonText, IsSafeForATerminal) {
    const std::string text = json_text({{"name", "\x1b[2J\xC2\x9B\x7F\xFF"}});
    EXPECT_EQ(text.find_first_of("\x1b\xC2\x9B\x7F"), std::string::npos) << text;
}

}  // namespace
}  // namespace vitalwire::cli
