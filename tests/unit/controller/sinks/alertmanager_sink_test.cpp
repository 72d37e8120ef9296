#include <chrono>
#include <nlohmann/json.hpp>

#include "tests/unit/controller/openstack/cloud_server.hpp"
#include "tests/unit/controller/sinks/sink_fixture.hpp"

namespace vitalwire::controller {
namespace {

using nlohmann::json;
using std::chrono::minutes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = Outcome::Kind;

/// An Alertmanager that keeps the alerts it is sent, as it does: the newest for each set of labels.
class AlertmanagerSinkTest : public SinkTest {
protected:
    SinkFactory configure(runtime::ConfigReader& section) override { return configure_alertmanager_sink(section); }
    std::unique_ptr<Sink> make(const std::string& lines = "") {
        return SinkTest::make("url = " + server.url("/am/") + "\n" + lines);
    }

    base::Result<std::vector<ShownAlarm>> list(Sink& sink) {
        std::optional<base::Result<std::vector<ShownAlarm>>> shown;
        sink.list([&](const auto& result) { shown = result; });
        EXPECT_TRUE(loop.until([&] { return shown.has_value(); }));
        return *shown;
    }

    std::vector<std::string> shown(Sink& sink) {
        std::vector<std::string> out;
        const auto result = list(sink);
        EXPECT_TRUE(result) << result.error().message;
        for (const ShownAlarm& alarm : result.value_or(std::vector<ShownAlarm>{}))
            out.push_back(alarm.guest.str() + " " + alarm.kind + " " + alarm.fault.str());
        return out;
    }

    CloudAnswer serve(const CloudRequest& request) {
        requests.push_back(request.method + " " + request.target);
        if (bad) return *bad;
        if (request.method == "POST") {
            for (const json& alert : json::parse(request.body))
                alerts[alert.at("labels").dump()] = alert;
            return {200, ""};
        }
        json listed = json::array();
        for (auto [labels, alert] : alerts) {
            // It writes milliseconds.
            alert["endsAt"] = alert.at("endsAt").get<std::string>().substr(0, 23) + "Z";
            listed.push_back(alert);
        }
        return {200, listed.dump()};
    }

    static AlarmEvent raise() {
        Alarm alarm = open_alarm("vm-1", "f1");
        alarm.reason = "disk is full";
        return raise_of(std::move(alarm));
    }
    static AlarmEvent clear() { return clear_of(raise()); }

    CloudServer server{loop.io, [this](const CloudRequest& request) { return serve(request); }};
    std::map<std::string, json> alerts;
    std::vector<std::string> requests;
    std::optional<CloudAnswer> bad;
};

TEST_F(AlertmanagerSinkTest, RaisesAnAlertThatNamesTheFault) {
    const auto before = std::chrono::system_clock::now();
    EXPECT_EQ(deliver(*make("lifetime = 10 min\n"), raise()).kind, Kind::confirmed);
    EXPECT_THAT(requests, ElementsAre("POST /am/api/v2/alerts"));
    ASSERT_EQ(alerts.size(), 1U);
    const json alert = alerts.begin()->second;
    EXPECT_EQ(alert.at("labels"), json::parse(R"({"alertname":"VitalwireHeartbeatLost","source":"vitalwire",
        "severity":"critical","kind":"heartbeat_lost","instance_id":"vm-1","host":"compute-1"})"));
    EXPECT_EQ(alert.at("startsAt"), "2023-11-14T22:13:20.000000Z");
    EXPECT_GE(base::from_iso8601(alert.at("endsAt")), before + minutes(10));
    EXPECT_EQ(alert.at("annotations").at("fault_id"), "f1");
    EXPECT_EQ(alert.at("annotations").at("reason"), "disk is full");
}

TEST_F(AlertmanagerSinkTest, AnUpdateAndTheClearAreOfTheSameAlert) {
    const auto sink = make();
    deliver(*sink, raise());
    AlarmEvent update = raise();
    update.change = AlarmChange::updated;
    update.alarm.reason = "disk is still full";
    update.alarm.display_name = "renamed since";
    deliver(*sink, update);
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts.begin()->second.at("annotations").at("reason"), "disk is still full");
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts.begin()->second.at("endsAt"), base::to_iso8601(*clear().alarm.cleared_at));
}

TEST_F(AlertmanagerSinkTest, ShowsWhatAlertmanagerHasForTheAudit) {
    const auto sink = make();
    EXPECT_EQ(sink->audit_interval(), base::Millis(minutes(1)));
    deliver(*sink, raise());
    EXPECT_THAT(shown(*sink), ElementsAre("vm-1 heartbeat_lost f1"));
    EXPECT_EQ(requests.back(), "GET /am/api/v2/alerts?filter=source%3D%22vitalwire%22");
    alerts.clear();  // it restarted
    EXPECT_THAT(shown(*sink), IsEmpty());
}

TEST_F(AlertmanagerSinkTest, WhatWouldEndSoonHasToBeToldAgain) {
    const auto sink = make("lifetime = 10 min\n");
    deliver(*sink, raise());
    json& alert = alerts.begin()->second;
    alert["endsAt"] = base::to_iso8601(std::chrono::system_clock::now() + minutes(4));
    EXPECT_THAT(shown(*sink), IsEmpty());
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
    bad = CloudAnswer{400, R"({"code":601,"message":"bad labels"})"};
    const Outcome outcome = deliver(*sink, raise());
    EXPECT_EQ(outcome.kind, Kind::refused);
    EXPECT_THAT(outcome.why, HasSubstr("bad labels"));
    bad = CloudAnswer{503, ""};
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry);
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

TEST_F(AlertmanagerSinkTest, ALifeTooShortForTheAuditIsReported) {
    make("audit = 1 min\nlifetime = 2 min\n");
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_THAT(runtime::to_string(errors[0]), HasSubstr("lifetime: expected at least four times the audit"));
}

}  // namespace
}  // namespace vitalwire::controller
