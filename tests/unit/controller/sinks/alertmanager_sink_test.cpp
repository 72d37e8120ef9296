#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <regex>

#include "runtime/http/http_date.hpp"
#include "tests/unit/controller/openstack/cloud_server.hpp"
#include "tests/unit/controller/sinks/sink_fixture.hpp"

namespace vitalwire::controller {
namespace {

using nlohmann::json;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Kind = Outcome::Kind;

/// An Alertmanager that keeps the alerts it is sent, as it does: the newest for each set of labels.
class AlertmanagerSinkTest : public SinkTest {
protected:
    SinkFactory configure(runtime::ConfigReader& section) override { return configure_alertmanager_sink(section); }
    std::unique_ptr<Sink> make(const std::string& lines = "") {
        return SinkTest::make("url = " + server.url("/am/") + "\n" + lines);
    }

    Sink::Shown list(Sink& sink) {
        std::optional<Sink::Shown> shown;
        sink.list([&](const auto& result) { shown = result; });
        EXPECT_TRUE(loop.until([&] { return shown.has_value(); }));
        return *shown;
    }

    std::vector<std::string> shown(Sink& sink) {
        std::vector<std::string> out;
        const auto result = list(sink);
        EXPECT_TRUE(result) << result.error().why;
        for (const ShownAlarm& alarm : result.value_or(std::vector<ShownAlarm>{}))
            out.push_back(alarm.guest.str() + " " + alarm.kind + " " + alarm.fault.str() +
                          (alarm.ends_soon ? " ends soon" : ""));
        return out;
    }

    CloudAnswer serve(const CloudRequest& request) {
        requests.push_back(request.method + " " + request.target);
        if (bad) return *bad;
        const std::map<std::string, std::string> date = {{"Date", runtime::to_http_date(now())}};
        if (request.method == "POST") {
            for (const json& alert : json::parse(request.body)) {
                if (time_in(alert, "endsAt") < time_in(alert, "startsAt"))
                    return {400, "start time must be before end time", date};
                alerts[alert.at("labels").dump()] = alert;
            }
            return {200, "", date};
        }
        json listed = json::array();
        for (auto [labels, alert] : alerts) {
            // It writes milliseconds.
            alert["endsAt"] = alert.at("endsAt").get<std::string>().substr(0, 23) + "Z";
            if (is_asked_for(request.target, alert.at("labels").value("instance_id", ""))) listed.push_back(alert);
        }
        return {200, listed.dump(), date};
    }

    /// By the filter of the guest's id, a regular expression.
    static bool is_asked_for(std::string filters, const std::string& guest) {
        for (const auto& [encoded, plain] :
             {std::pair("%3D", "="), {"%22", "\""}, {"%7C", "|"}, {"%5B", "["}, {"%5D", "]"}})
            filters = std::regex_replace(filters, std::regex(encoded), plain);
        std::smatch found;
        if (!std::regex_search(filters, found, std::regex("instance_id([=!])~\"([^\"]*)\""))) return true;
        return std::regex_match(guest, std::regex(found[2].str())) == (found[1] == "=");
    }

    base::WallTime now() const { return std::chrono::system_clock::now() + clock_ahead; }
    static base::WallTime time_in(const json& alert, const char* key) {
        return base::from_iso8601(alert.at(key).get<std::string>());
    }
    /// Of the alerts there are.
    bool all_within_its_clock() const {
        return std::all_of(alerts.begin(), alerts.end(), [&](const auto& item) {
            return time_in(item.second, "startsAt") <= now() + std::chrono::seconds(2);
        });
    }
    std::size_t firing() const {
        return static_cast<std::size_t>(std::count_if(alerts.begin(), alerts.end(), [&](const auto& item) {
            return time_in(item.second, "endsAt") > now() + std::chrono::seconds(2);
        }));
    }

    static AlarmEvent raise() {
        Alarm alarm = open_alarm("vm-1", "f1");
        alarm.reason = "disk is full";
        return raise_of(std::move(alarm));
    }
    static AlarmEvent clear() { return clear_of(raise()); }

    CloudServer server{loop.io, [this](const CloudRequest& request) { return serve(request); }};
    base::WallTime::duration clock_ahead{};  ///< of ours
    std::map<std::string, json> alerts;
    std::vector<std::string> requests;
    std::optional<CloudAnswer> bad;
};

TEST_F(AlertmanagerSinkTest, RaisesAnAlertThatNamesTheFault) {
    const auto before = std::chrono::system_clock::now();
    AlarmEvent event = raise();
    event.alarm.display_name = "web-1";
    event.alarm.group = base::GroupId("7c0a");
    event.alarm.group_name = "cluster";
    event.alarm.project = "nfv";
    EXPECT_EQ(deliver(*make("lifetime = 10 min\nrunbook_url = https://wiki/{kind}.html\n"), event).kind,
              Kind::confirmed);
    EXPECT_THAT(requests, ElementsAre(StartsWith("GET "), "POST /am/api/v2/alerts"));
    ASSERT_EQ(alerts.size(), 1U);
    const json alert = alerts.begin()->second;
    EXPECT_EQ(alert.at("labels"), json::parse(R"({"alertname":"VitalwireHeartbeatLost","source":"vitalwire",
        "severity":"critical","kind":"heartbeat_lost","instance":"vm-1","instance_id":"vm-1","host":"compute-1",
        "group":"cluster","project":"nfv"})"));
    EXPECT_EQ(alert.at("startsAt"), "2023-11-14T22:13:20.000000Z");
    EXPECT_GE(base::from_iso8601(alert.at("endsAt")), before + minutes(10));
    EXPECT_EQ(alert.at("annotations"), json::parse(R"({"summary":"heartbeat_lost of web-1 (vm-1) on compute-1",
        "description":"the guest stopped answering its heartbeat (silent): disk is full","fault_id":"f1",
        "opened_at":"2023-11-14T22:13:20.000000Z","runbook_url":"https://wiki/heartbeat_lost.html","detail":"silent",
        "reason":"disk is full","display_name":"web-1","group_id":"7c0a"})"));
}

TEST_F(AlertmanagerSinkTest, HasNoEmptyLabelsOrAnnotations) {
    AlarmEvent event = raise();
    event.alarm.detail.clear();
    event.alarm.reason.clear();
    deliver(*make(), event);
    for (const char* part : {"labels", "annotations"}) {
        for (const auto& [key, value] : alerts.begin()->second.at(part).items())
            EXPECT_NE(value, "") << key;
    }
}

TEST_F(AlertmanagerSinkTest, AnUpdateAndTheClearAreOfTheSameAlert) {
    const auto sink = make();
    deliver(*sink, raise());
    AlarmEvent update = raise();
    update.change = AlarmChange::updated;
    update.alarm.reason = "disk is still full";
    update.alarm.display_name = "renamed since";
    update.alarm.project = "known by now";
    deliver(*sink, update);
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts.begin()->second.at("annotations").at("reason"), "disk is still full");
    AlarmEvent over = clear();
    over.alarm.group = base::GroupId("another");
    EXPECT_EQ(deliver(*sink, over).kind, Kind::confirmed);
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts.begin()->second.at("endsAt"), base::to_iso8601(*clear().alarm.cleared_at));
}

TEST_F(AlertmanagerSinkTest, AClearEndsWhatItsFaultRaisedUnderAnotherSpellingOfTheHost) {
    const auto sink = make();
    AlarmEvent spelled = raise();
    spelled.alarm.host = base::HostId("compute-1.example.net");
    deliver(*sink, spelled);
    deliver(*sink, clear());
    EXPECT_EQ(alerts.size(), 1U);
    EXPECT_EQ(firing(), 0U);
}

TEST_F(AlertmanagerSinkTest, AClearEndsOnlyTheAlertsOfItsGuestKindAndHost) {
    const auto sink = make();
    AlarmEvent other_guest = raise();
    other_guest.alarm.guest = base::GuestId("vm-2");
    AlarmEvent other_kind = raise();
    other_kind.alarm.kind = "unhealthy";
    AlarmEvent other_host = raise();
    other_host.alarm.host = base::HostId("compute-2");
    other_host.alarm.id = base::FaultId("f2");
    for (const AlarmEvent& event : {raise(), other_guest, other_kind, other_host})
        deliver(*sink, event);
    EXPECT_EQ(firing(), 4U);
    deliver(*sink, clear());
    EXPECT_EQ(firing(), 3U);
}

TEST_F(AlertmanagerSinkTest, AClearLeavesTheAlertOfAnotherFault) {
    const auto sink = make();
    AlarmEvent later = raise();  // by another controller
    later.alarm.id = base::FaultId("f2");
    deliver(*sink, later);
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::skipped);
    EXPECT_EQ(firing(), 1U);
    EXPECT_EQ(deliver(*sink, clear_of(later)).kind, Kind::confirmed) << "its own ends";
    EXPECT_EQ(firing(), 0U);
}

TEST_F(AlertmanagerSinkTest, EndsOfManyAreAskedForTogetherByTheirGuests) {
    const auto sink = make();
    deliver(*sink, raise());
    requests.clear();
    std::size_t confirmed = 0;
    for (int i = 0; i < 100; ++i) {
        AlarmEvent over = clear();
        over.alarm.guest = base::GuestId("vm-" + std::to_string(i));
        sink->deliver(over, [&](const Outcome& outcome) { confirmed += outcome.kind == Kind::confirmed ? 1 : 0; });
    }
    ASSERT_TRUE(loop.until([&] { return confirmed == 100; }));
    EXPECT_EQ(firing(), 0U);
    std::vector<std::string> questions;
    std::copy_if(requests.begin(), requests.end(), std::back_inserter(questions),
                 [](const std::string& request) { return request.starts_with("GET "); });
    EXPECT_THAT(questions, ElementsAre(::testing::EndsWith("&filter=instance_id%3D~%22(vm-0)%22"),
                                       HasSubstr("(vm-1%7Cvm-10%7Cvm-11%7C"), HasSubstr("%7Cvm-99)%22")));
}

TEST_F(AlertmanagerSinkTest, AnIdOfOddCharactersIsAskedForByAPatternThatItMatches) {
    const auto sink = make();
    AlarmEvent odd = raise();
    odd.alarm.guest = base::GuestId(R"(a "b"|c+d.e)");
    deliver(*sink, odd);
    deliver(*sink, clear_of(odd));
    EXPECT_THAT(requests.at(requests.size() - 2), ::testing::EndsWith("(a.*b.*c.*d.*e)%22"));
    EXPECT_EQ(firing(), 0U);
}

TEST_F(AlertmanagerSinkTest, TimesFitItsClockWhateverTheAgentsAndOurs) {
    for (const auto ahead : {seconds(0), seconds(7200), seconds(-7200)}) {
        clock_ahead = ahead;
        const auto sink = make("lifetime = 1 min\nreconcile_interval = 1 s\n");
        for (const auto opened : {seconds(-7200), seconds(30), seconds(7200)}) {
            for (const auto lasted : {seconds(-40), seconds(0), seconds(5), seconds(86400)}) {
                alerts.clear();
                AlarmEvent event = raise();
                event.alarm.opened_at = std::chrono::system_clock::now() + opened;
                EXPECT_EQ(deliver(*sink, event).kind, Kind::confirmed);
                EXPECT_EQ(firing(), 1U);
                EXPECT_TRUE(all_within_its_clock());
                EXPECT_EQ(alerts.begin()->second.at("annotations").at("opened_at"),
                          base::to_iso8601(event.alarm.opened_at));
                AlarmEvent over = clear_of(event);
                over.alarm.cleared_at = event.alarm.opened_at + lasted;
                EXPECT_EQ(deliver(*sink, over).kind, Kind::confirmed)
                    << ahead.count() << " " << opened.count() << " " << lasted.count();
                EXPECT_EQ(firing(), 0U);
                EXPECT_TRUE(all_within_its_clock());
            }
        }
    }
}

TEST_F(AlertmanagerSinkTest, ADateThatIsNoneLeavesOurClock) {
    bad = CloudAnswer{200, "[]", {{"Date", "yesterday"}}};
    EXPECT_EQ(deliver(*make(), raise()).kind, Kind::confirmed);
}

TEST_F(AlertmanagerSinkTest, ShowsWhatAlertmanagerHasForReconciliation) {
    const auto sink = make();
    EXPECT_EQ(sink->reconcile_interval(), base::Millis(minutes(1)));
    deliver(*sink, raise());
    EXPECT_THAT(shown(*sink), ElementsAre("vm-1 heartbeat_lost f1"));
    EXPECT_THAT(requests.back(),
                StartsWith("GET /am/api/v2/alerts?filter=source%3D%22vitalwire%22&filter=instance_id"));
    alerts.clear();  // it restarted
    EXPECT_THAT(shown(*sink), IsEmpty());
}

TEST_F(AlertmanagerSinkTest, ListsAlertsInPiecesEachOnce) {
    const auto sink = make();
    std::vector<std::string> raised;
    for (const char* guest : {"0f8f", "9c", "a1", "fff", "g", "Web", "vm-1"}) {
        AlarmEvent event = raise();
        event.alarm.guest = base::GuestId(guest);
        deliver(*sink, event);
        raised.push_back(std::string(guest) + " heartbeat_lost f1");
    }
    requests.clear();
    EXPECT_THAT(shown(*sink), ::testing::UnorderedElementsAreArray(raised));
    EXPECT_EQ(requests.size(), 17U);
}

TEST_F(AlertmanagerSinkTest, WhatWouldEndSoonIsMarked) {
    const auto sink = make("lifetime = 10 min\n");
    deliver(*sink, raise());
    json& alert = alerts.begin()->second;
    alert["endsAt"] = base::to_iso8601(std::chrono::system_clock::now() + minutes(4));
    EXPECT_THAT(shown(*sink), ElementsAre("vm-1 heartbeat_lost f1 ends soon")) << "which is no loss";
    alert["endsAt"] = base::to_iso8601(std::chrono::system_clock::now() + minutes(6));
    EXPECT_THAT(shown(*sink), ElementsAre("vm-1 heartbeat_lost f1"));
}

TEST_F(AlertmanagerSinkTest, AnAnswerThatIsNoListIsNoEmptyList) {
    const auto sink = make();
    for (const CloudAnswer& answer : {CloudAnswer{200, "<html>"}, CloudAnswer{200, "{}"}, CloudAnswer{200, "[1,"},
                                      CloudAnswer{503, ""}, CloudAnswer{404, "nothing here"}}) {
        bad = answer;
        EXPECT_FALSE(list(*sink)) << answer.status << " " << answer.body;
    }
}

TEST_F(AlertmanagerSinkTest, AlertsOfOthersAndOddOnesAreLeftOut) {
    bad = CloudAnswer{200, R"([1, {}, {"labels": {}, "annotations": {}}, {"labels": {"instance_id": 7}},
                               {"labels": {"instance_id": "vm-1"}, "annotations": {}, "endsAt": "tomorrow"}])"};
    EXPECT_THAT(shown(*make()), IsEmpty());
}

TEST_F(AlertmanagerSinkTest, ABadAlertIsRefusedAndAFailureTriedAgain) {
    const auto sink = make();
    deliver(*sink, raise());
    bad = CloudAnswer{400, R"({"code":601,"message":"bad labels"})"};
    const Outcome outcome = deliver(*sink, raise());
    EXPECT_EQ(outcome.kind, Kind::refused);
    EXPECT_THAT(outcome.why, HasSubstr("bad labels"));
    bad = CloudAnswer{503, ""};
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry);
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::retry);
}

TEST_F(AlertmanagerSinkTest, IsAskedNoSoonerThanItAskedForWhicheverRequestItAnswersSo) {
    const auto sink = make();
    deliver(*sink, raise());
    requests.clear();
    bad = CloudAnswer{429, "", {{"Retry-After", "20"}}};
    EXPECT_EQ(deliver(*sink, raise()).delay, seconds(20)) << "posted at once";
    std::vector<base::Millis> delays;
    for (const char* guest : {"vm-1", "vm-2", "vm-3"}) {
        AlarmEvent update = raise_of(open_alarm(guest, guest));
        update.change = AlarmChange::updated;
        sink->deliver(update, [&](const Outcome& outcome) { delays.push_back(outcome.delay); });
    }
    ASSERT_TRUE(loop.until([&] { return delays.size() == 3; }));
    EXPECT_THAT(delays, testing::Each(base::Millis(seconds(20))));
    EXPECT_EQ(requests.size(), 2U) << "those that waited for the first one's answer did not ask again";
    const auto shown = list(*sink);
    ASSERT_FALSE(shown);
    EXPECT_EQ(shown.error().delay, seconds(20));
}

TEST_F(AlertmanagerSinkTest, ASuccessThatIsNotAlertmanagersProvesNothing) {
    const auto sink = make();
    deliver(*sink, raise());  // its clock is known: what follows is posted
    for (const CloudAnswer& answer : {CloudAnswer{204, ""}, CloudAnswer{202, ""}, CloudAnswer{200, "<html>log in"}}) {
        bad = answer;
        const Outcome outcome = deliver(*sink, raise());
        EXPECT_EQ(outcome.kind, Kind::retry) << answer.status << " " << answer.body;
        EXPECT_THAT(outcome.why, HasSubstr("HTTP " + std::to_string(answer.status)));
        const auto shown = list(*sink);
        ASSERT_FALSE(shown);
        EXPECT_FALSE(shown.error().why.empty());
    }
    bad = CloudAnswer{200, R"({"status":"success"})"};
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
}

TEST_F(AlertmanagerSinkTest, AnAlarmOfAHostIsShownToo) {
    const auto sink = make();
    Alarm lost = open_alarm("", "agent_lost.compute-1");
    lost.kind = kAgentLost;
    deliver(*sink, raise_of(lost));
    EXPECT_EQ(alerts.begin()->second.at("labels"),
              json::parse(R"({"alertname":"VitalwireAgentLost","source":"vitalwire","severity":"critical",
                              "kind":"agent_lost","host":"compute-1"})"));
    EXPECT_THAT(shown(*sink), ElementsAre(" agent_lost agent_lost.compute-1"));
}

TEST_F(AlertmanagerSinkTest, AFailingSinkIsAnAlertOfItsOwn) {
    Alarm failing = open_alarm("", "sink_failing.ctl.rca");
    failing.kind = kSinkFailing;
    failing.detail = "rca";
    deliver(*make(), raise_of(failing));
    EXPECT_EQ(alerts.begin()->second.at("labels").at("sink"), "rca");
}

TEST_F(AlertmanagerSinkTest, ALifeTooShortForReconciliationIsReported) {
    make("reconcile_interval = 1 min\nlifetime = 2 min\n");
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_THAT(runtime::to_string(errors[0]),
                HasSubstr("lifetime: expected at least four times the reconcile_interval"));
}

}  // namespace
}  // namespace vitalwire::controller
