#include <cstdlib>
#include <fstream>

#include "base/log.hpp"
#include "controller/sinks/http_target.hpp"
#include "tests/unit/controller/sinks/sink_fixture.hpp"
#include "tests/unit/controller/support/receiver.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::controller {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = Outcome::Kind;

class HttpSinksTest : public SinkTest {
protected:
    SinkFactory configure(runtime::ConfigReader& section) override {
        const std::string wanted = section.text("type", "");
        for (const SinkType& type : sink_types()) {
            if (type.name == wanted) return type.configure(section);
        }
        ADD_FAILURE() << "no such type: " << wanted;
        return {};
    }

    using SinkTest::deliver;
    Outcome deliver(const std::string& lines, const AlarmEvent& event) {
        const auto sink = make(lines);
        return sink ? deliver(*sink, event) : Outcome::retry("configuration");
    }

    static AlarmEvent raise() {
        Alarm alarm = open_alarm("vm-1", "f1");
        alarm.reason = "no \"answer\"";
        alarm.display_name = "web";
        alarm.corrective_action = "reboot";
        return raise_of(std::move(alarm));
    }
    static AlarmEvent clear() { return clear_of(raise()); }

    Receiver receiver{loop.io};
};

TEST_F(HttpSinksTest, DoctorPutsAListOfEvents) {
    const Outcome outcome = deliver("type = doctor\nurl = " + receiver.url("/events"), raise());
    EXPECT_EQ(outcome.kind, Kind::confirmed);
    ASSERT_EQ(receiver.requests.size(), 1U);
    EXPECT_EQ(receiver.requests[0].method, "PUT");
    EXPECT_EQ(receiver.requests[0].path, "/events");
    const json expected = json::parse(R"([{
        "time": "2023-11-14T22:13:20.000000", "type": "compute.instance.fault",
        "details": {"hostname": "compute-1", "source": "vitalwire", "severity": "critical", "status": "down",
                    "cause": "the guest stopped answering its heartbeat (silent): no \"answer\"",
                    "monitor_id": "vitalwire", "monitor_event_id": "f1:1", "instance_id": "vm-1", "fault_id": "f1",
                    "kind": "heartbeat_lost", "detail": "silent", "reason": "no \"answer\"", "revision": 1,
                    "corrective_action": "reboot", "display_name": "web"}}])");
    EXPECT_EQ(receiver.confirmed.at(0), expected);
}

TEST_F(HttpSinksTest, DoctorSendsAClearAsUp) {
    deliver("type = doctor\nurl = " + receiver.url("/events"), clear());
    const json& event = receiver.confirmed.at(0).at(0);
    EXPECT_EQ(event["details"]["status"], "up");
    EXPECT_EQ(event["details"]["clear_reason"], "recovered");
    EXPECT_EQ(event["details"]["monitor_event_id"], "f1:2");
    EXPECT_EQ(event["time"], "2023-11-14T22:13:22.000000");
}

TEST_F(HttpSinksTest, DoctorPostsOneObjectInSingleMode) {
    deliver("type = doctor\nmode = single\nevent_type = my.type\nmonitor_id = m1\nurl = " + receiver.url("/v1/event"),
            raise());
    EXPECT_EQ(receiver.requests.at(0).method, "POST");
    EXPECT_EQ(receiver.confirmed.at(0)["type"], "my.type");
    EXPECT_EQ(receiver.confirmed.at(0)["details"]["monitor_id"], "m1");
}

TEST_F(HttpSinksTest, DoctorSendsAnAlarmOfAHostAsAnEventOfItsOwnType) {
    Alarm lost = open_alarm("", "agent_lost.compute-1");
    lost.kind = kAgentLost;
    lost.detail.clear();
    const std::string lines = "type = doctor\nurl = " + receiver.url("/events");
    EXPECT_EQ(deliver(lines, raise_of(lost)).kind, Kind::confirmed);
    EXPECT_EQ(receiver.confirmed.at(0), json::parse(R"([{
        "time": "2023-11-14T22:13:20.000000", "type": "compute.host.vitalwire",
        "details": {"hostname": "compute-1", "source": "vitalwire", "severity": "critical", "status": "down",
                    "cause": "the agent of the host is lost: nobody watches its guests",
                    "monitor_id": "vitalwire", "monitor_event_id": "agent_lost.compute-1:1",
                    "fault_id": "agent_lost.compute-1", "kind": "agent_lost", "detail": "", "reason": "",
                    "revision": 1, "corrective_action": ""}}])"));
    deliver(lines, clear_of(raise_of(lost)));
    EXPECT_EQ(receiver.confirmed.at(1).at(0).at("details").at("status"), "up");
}

TEST_F(HttpSinksTest, DoctorNeverSendsUpUnderATypeThatMeansDown) {
    const std::string lines =
        "type = doctor\nevent_type = compute.host.down\nhost_event_type = x.down\nurl = " + receiver.url("/events");
    Alarm lost = open_alarm("", "agent_lost.compute-1");
    lost.kind = kAgentLost;
    for (const AlarmEvent& event : {raise(), clear(), raise_of(lost), clear_of(raise_of(lost))})
        deliver(lines, event);
    std::vector<std::string> types;
    for (const json& events : receiver.confirmed)
        types.push_back(events.at(0).at("type").get<std::string>() + " " +
                        events.at(0).at("details").at("status").get<std::string>());
    EXPECT_THAT(types, ElementsAre("compute.host.down down", "compute.host.up up", "x.down down", "x.up up"));
}

std::vector<std::string> g_warnings;

TEST_F(HttpSinksTest, DoctorWarnsOfATypeThatTakesTheWholeHostDown) {
    g_warnings.clear();
    log::set_backend([](log::Level, std::string_view text) { g_warnings.emplace_back(text); });
    EXPECT_NE(make("type = doctor\nurl = http://inspector/events\nevent_type = compute.host.down\n"), nullptr);
    ASSERT_EQ(g_warnings.size(), 1U);
    EXPECT_THAT(g_warnings[0], HasSubstr("file=c line=4 key=\"[sink s] event_type\""));
    EXPECT_THAT(g_warnings[0], HasSubstr("set all its servers to ERROR"));
    EXPECT_NE(make("type = doctor\nurl = http://inspector/events\n"), nullptr);
    EXPECT_EQ(g_warnings.size(), 1U);
}

TEST_F(HttpSinksTest, WebhookPostsTheFaultAndWhatHappened) {
    AlarmEvent event = raise();
    event.collapsed = 3;
    EXPECT_EQ(deliver("type = webhook\nurl = " + receiver.url("/hook"), event).kind, Kind::confirmed);
    EXPECT_EQ(receiver.requests.at(0).method, "POST");
    const json& body = receiver.confirmed.at(0);
    EXPECT_EQ(body["event"], "opened");
    EXPECT_EQ(body["collapsed"], 3);
    EXPECT_EQ(body["fault"]["id"], "f1");
    EXPECT_EQ(body["fault"]["state"], "open");
    EXPECT_EQ(body["fault"]["guest"], "vm-1");
    EXPECT_EQ(body["fault"]["host"], "compute-1");
    EXPECT_EQ(body["fault"]["display_name"], "web");
    EXPECT_EQ(body["fault"]["opened_at"], "2023-11-14T22:13:20.000000Z");
    EXPECT_FALSE(body["fault"].contains("cleared_at"));
}

TEST_F(HttpSinksTest, WebhookUsesTheConfiguredMethodHeadersAndSecret) {
    test::TempDir dir;
    std::ofstream(dir / "secret") << "Bearer s3cret\n";
    RawReceiver raw(loop.io, RawReceiver::Manner::answer);
    deliver("type = webhook\nmethod = PUT\nheader = X-Team: night shift\nsecret_file = " + (dir / "secret") +
                "\nurl = " + raw.url(),
            raise());
    EXPECT_THAT(raw.head(), HasSubstr("PUT / HTTP/1.1"));
    EXPECT_THAT(raw.head(), HasSubstr("X-Team: night shift\r\n"));
    EXPECT_THAT(raw.head(), HasSubstr("Authorization: Bearer s3cret\r\n"));
    EXPECT_THAT(raw.head(), HasSubstr("Content-Type: application/json\r\n"));
}

TEST_F(HttpSinksTest, TakesSecretsFromTheEnvironment) {
    setenv("VITALWIRE_TEST_SECRET", "t0ken", 1);
    RawReceiver raw(loop.io, RawReceiver::Manner::answer);
    deliver("type = webhook\nsecret_header = X-Auth-Token\nsecret_env = VITALWIRE_TEST_SECRET\nurl = " + raw.url(),
            raise());
    EXPECT_THAT(raw.head(), HasSubstr("X-Auth-Token: t0ken\r\n"));
}

TEST_F(HttpSinksTest, AReceiverThatCannotWorkNowIsTriedAgain) {
    for (const int status : {401, 403, 404, 500, 502, 503}) {
        receiver.status = status;
        const Outcome outcome = deliver("type = doctor\nurl = " + receiver.url("/"), raise());
        EXPECT_EQ(outcome.kind, Kind::retry) << status;
        EXPECT_THAT(outcome.why, HasSubstr("HTTP " + std::to_string(status)));
    }
    EXPECT_TRUE(receiver.confirmed.empty());
}

TEST_F(HttpSinksTest, AReceiverSaysWhenToTryAgain) {
    const auto delay = [](long status, std::map<std::string, std::string> headers) {
        return outcome_of(runtime::HttpClientResponse{status, std::move(headers), ""}).delay;
    };
    EXPECT_EQ(delay(429, {{"retry-after", "20"}}), std::chrono::seconds(20));
    EXPECT_EQ(delay(503, {{"retry-after", "86400"}}), std::chrono::minutes(1)) << "a fault does not wait for a day";
    EXPECT_EQ(delay(503, {{"retry-after", "99999999999999999999"}}), std::chrono::minutes(1));
    EXPECT_EQ(delay(503, {{"retry-after", "Sun, 29 Nov 2026 09:25:56 GMT"}, {"date", "Sun, 29 Nov 2026 09:25:26 GMT"}}),
              std::chrono::seconds(30));
    for (const char* nonsense : {"", "-5", "soon", "20 s"})
        EXPECT_EQ(delay(503, {{"retry-after", nonsense}}), base::Millis(0)) << nonsense;
    EXPECT_EQ(delay(500, {{"retry-after", "20"}}), std::chrono::seconds(20)) << "whatever its status is";
    EXPECT_EQ(delay(413, {{"retry-after", "20"}}), std::chrono::seconds(20)) << "too much at a time";
    EXPECT_EQ(delay(200, {{"retry-after", "20"}}), base::Millis(0));
}

TEST_F(HttpSinksTest, ARedirectionIsNamed) {
    EXPECT_EQ(outcome_of(runtime::HttpClientResponse{308, {{"location", "https://inspector/events"}}, ""}).why,
              "HTTP 308 to https://inspector/events, which is not followed");
}

TEST_F(HttpSinksTest, AnAnswerAboutTheMessageIsARefusal) {
    for (const int status : {400, 409, 413, 422}) {
        receiver.status = status;
        const Outcome outcome = deliver("type = doctor\nurl = " + receiver.url("/"), raise());
        EXPECT_EQ(outcome.kind, Kind::refused) << status;
        EXPECT_THAT(outcome.why, HasSubstr("not now"));
    }
}

TEST_F(HttpSinksTest, ARedirectIsNoConfirmation) {
    receiver.status = 302;
    EXPECT_EQ(deliver("type = doctor\nurl = " + receiver.url("/"), raise()).kind, Kind::retry);
}

TEST_F(HttpSinksTest, AReceiverThatIsNotThereIsTriedAgain) {
    const std::string url = receiver.url("/");
    receiver.stop();
    const Outcome outcome = deliver("type = doctor\nurl = " + url, raise());
    EXPECT_EQ(outcome.kind, Kind::retry);
    EXPECT_NE(outcome.why, "");
}

TEST_F(HttpSinksTest, AReceiverThatHangsIsTriedAgainAfterTheTimeout) {
    RawReceiver raw(loop.io, RawReceiver::Manner::hang);
    const auto started = std::chrono::steady_clock::now();
    EXPECT_EQ(deliver("type = doctor\ntimeout = 200 ms\nurl = " + raw.url(), raise()).kind, Kind::retry);
    EXPECT_GE(std::chrono::steady_clock::now() - started, std::chrono::milliseconds(190));
}

TEST_F(HttpSinksTest, AReceiverThatClosesWithoutAnAnswerIsTriedAgain) {
    RawReceiver raw(loop.io, RawReceiver::Manner::close);
    EXPECT_EQ(deliver("type = doctor\nurl = " + raw.url(), raise()).kind, Kind::retry);
}

TEST_F(HttpSinksTest, ANonUtf8ReasonStillArrives) {
    AlarmEvent event = raise();
    event.alarm.reason = "\xff\xfe";
    EXPECT_EQ(deliver("type = webhook\nurl = " + receiver.url("/"), event).kind, Kind::confirmed);
    EXPECT_TRUE(receiver.confirmed.at(0).is_object());
}

TEST_F(HttpSinksTest, ReportsEveryMistakeOfASection) {
    EXPECT_THAT(mistakes("type = webhook\nurl = ftp://x\nmethod = GET\ntimeout = 1\nheader = nonsense\nsecret_file = "
                         "/nonexistent\npassword_env = VITALWIRE_TEST_NO_SUCH\ntypo = 1\n"),
                ElementsAre(HasSubstr("c:3: [sink s] url: expected http://HOST:PORT or https://HOST:PORT"),
                            HasSubstr("c:5: [sink s] timeout: expected a time from 100 ms"),
                            HasSubstr("c:6: [sink s] header: expected 'Name: value'"),
                            HasSubstr("c:7: [sink s] secret_file: expected a readable file"),
                            HasSubstr("c:8: [sink s] password_env: no such variable"),
                            HasSubstr("c:4: [sink s] method: expected one of POST"),
                            HasSubstr("c:9: [sink s] typo: is no key")));
}

TEST_F(HttpSinksTest, RefusesAPasswordInTheUrlAndDoesNotShowIt) {
    const auto found = mistakes("type = doctor\nurl = http://user:s3cret@host/\n");
    ASSERT_EQ(found.size(), 1U);
    EXPECT_THAT(found[0], HasSubstr("use the keys user and password_file"));
    EXPECT_THAT(found[0], Not(HasSubstr("s3cret")));
}

TEST_F(HttpSinksTest, AUrlIsRequired) {
    EXPECT_THAT(mistakes("type = doctor\n"), ElementsAre("c:1: [sink s] url: is missing"));
}

TEST_F(HttpSinksTest, WhatAReceiverAnswersIsLeftAsItIsForWhatShowsIt) {
    runtime::HttpClientResponse answer;
    answer.status = 404;
    answer.body = "\x1b[31mgone \\ \"" + std::string(200, 'x');
    answer.headers["location"] = "http://h/\t";
    const std::string why = outcome_of(answer).why;
    EXPECT_THAT(why, HasSubstr("HTTP 404 to http://h/\t, which is not followed: \x1b[31mgone \\ \"x"));
    EXPECT_THAT(why, ::testing::EndsWith("x..."));
    g_warnings.clear();
    log::set_backend([](log::Level, std::string_view text) { g_warnings.emplace_back(text); });
    log::warning("the receiver fails", {{"why", why}});
    EXPECT_THAT(g_warnings.at(0), HasSubstr(R"(\x1b[31mgone \\ \"x)")) << "escaped once";
}

std::vector<std::string> g_lines;

TEST_F(HttpSinksTest, LogWritesEachEventEscaped) {
    g_lines.clear();
    log::set_backend([](log::Level, std::string_view text) { g_lines.emplace_back(text); });
    AlarmEvent event = raise();
    event.alarm.reason = "\x1b[2J\n";
    const auto sink = make("type = log\n");
    EXPECT_EQ(deliver(*sink, event).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
    ASSERT_EQ(g_lines.size(), 2U);
    EXPECT_THAT(g_lines[0], HasSubstr("fault opened kind=heartbeat_lost guest=vm-1"));
    EXPECT_THAT(g_lines[0], HasSubstr("reason=\"\\x1b[2J\\n\""));
    EXPECT_THAT(g_lines[1], HasSubstr("fault cleared kind=heartbeat_lost guest=vm-1"));
}

TEST_F(HttpSinksTest, RefusesHeadersThatWouldBreakTheRequest) {
    EXPECT_THAT(mistakes("type = webhook\nurl = http://h/\nheader = X-Good: 1\nheader = : 1\nheader = X Y: 1\n"
                         "header = Content-Length: 5\nheader = X: 1\x01secret\n"),
                ElementsAre(HasSubstr("c:5: [sink s] header: expected 'Name: value'"),
                            HasSubstr("c:6: [sink s] header: expected a name of 1 to 64 letters"),
                            HasSubstr("c:7: [sink s] header: 'Content-Length' is written by the client itself"),
                            AllOf(HasSubstr("c:8: [sink s] header: expected at most 4096 bytes without control"),
                                  Not(HasSubstr("secret")))));
}

TEST_F(HttpSinksTest, TakesAnIpv6AddressWithoutAPort) {
    EXPECT_THAT(mistakes("type = webhook\nurl = http://[::1]\n"), testing::IsEmpty());
}

TEST_F(HttpSinksTest, RefusesAUrlThatCannotBeConnectedTo) {
    for (const auto& [url, expected] :
         {std::pair("http://", "a host after //"), std::pair("http://:80/", "a host after //"),
          std::pair("http://h:0/", "a port from 1 to 65535"), std::pair("http://h:65536/", "a port up to 65535"),
          std::pair("http://h:x/", "expected host:port"), std::pair("http://h h/", "a URL without blanks")})
        EXPECT_THAT(mistakes(std::string("type = webhook\nurl = ") + url + "\n").back(), HasSubstr(expected));
}

}  // namespace
}  // namespace vitalwire::controller
