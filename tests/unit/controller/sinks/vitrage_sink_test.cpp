#include <map>
#include <set>

#include "tests/unit/controller/sinks/cloud_sink_fixture.hpp"

namespace vitalwire::controller {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = Outcome::Kind;

constexpr const char* kOther = "11111111-2222-3333-4444-555555555555";

/// Vitrage as it was observed: 200 to every event; what it makes of it shows in its list, which has pages.
class VitrageSinkTest : public CloudSinkTest {
protected:
    VitrageSinkTest() : CloudSinkTest("rca") {}
    SinkFactory configure(runtime::ConfigReader& section) override { return configure_vitrage_sink(section); }

    CloudAnswer serve(const CloudRequest& request) override {
        if (bad) return *bad;
        if (request.method == "POST" && request.target == "/v1/event") return take(json::parse(request.body));
        if (request.method == "GET" && request.target.starts_with("/v1/alarm?")) return page(request.target);
        ADD_FAILURE() << request.method << " " << request.target;
        return {500};
    }

    CloudAnswer take(const json& event) {
        events.push_back(event);
        if (deaf > 0) {
            --deaf;
            return {200, "null"};
        }
        const json& details = event["details"];
        const auto key = std::make_pair(details["alarm"].get<std::string>(), details["instance_id"].get<std::string>());
        if (details["state"] == "down") shown.insert(key);
        if (details["state"] == "up") shown.erase(key);
        return {200, "null"};
    }

    CloudAnswer page(const std::string& target) {
        ++lists;
        if (bad_list) return *bad_list;
        EXPECT_THAT(target, HasSubstr("all_tenants=1&filter_by=vitrage_type&filter_vals=vitalwire&limit=1000"));
        json all = json::array();
        for (std::size_t i = 0; i < others; ++i)
            all.push_back(row("vitalwire", "guest.unhealthy", kOther, i));
        all.push_back(row("not_vitalwire", "guest.heartbeat.lost", kOther, 500'000));
        for (const auto& [name, instance] : shown)
            all.push_back(row("vitalwire", name, instance, 600'000 + all.size()));
        const std::size_t marker = target.find("&marker=");
        const std::size_t begin = marker == std::string::npos ? 0 : std::stoul(target.substr(target.size() - 12)) + 1;
        json part = json::array();
        for (std::size_t i = begin; i < all.size() && part.size() < 1000; ++i) {
            all[i]["vitrage_id"] = id(i);
            part.push_back(all[i]);
        }
        return {200, part.dump()};
    }
    static std::string id(std::size_t number) {
        const std::string digits = std::to_string(number);
        return "00000000-0000-0000-0000-" + std::string(12 - digits.size(), '0') + digits;
    }
    static json row(const std::string& type, const std::string& name, const std::string& instance, std::size_t number) {
        return {{"vitrage_type", type},     {"name", name},
                {"instance_id", instance},  {"monitor_event_id", "f" + std::to_string(number)},
                {"vitrage_id", id(number)}, {"state", "Active"}};
    }

    using Alarm = std::pair<std::string, std::string>;
    std::vector<json> events;
    std::set<Alarm> shown;
    std::size_t others = 0;  ///< alarms of other servers
    int deaf = 0;            ///< events that are taken and lost
    int lists = 0;
    std::optional<CloudAnswer> bad;
    std::optional<CloudAnswer> bad_list;
};

TEST_F(VitrageSinkTest, PostsTheEventOfTheDatasourceAndConfirmsWhenTheListShowsIt) {
    const auto sink = make("monitor_id = controller-1\n");
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0], json::parse(R"({
        "time": "2023-11-14T22:13:20.000000", "type": "vitalwire.heartbeat",
        "details": {"instance_id": "0f8fad5b-d9cb-469f-a165-70867728950e", "alarm": "guest.heartbeat.lost",
                    "state": "down", "severity": "critical",
                    "cause": "the guest stopped answering its heartbeat (silent): disk is full",
                    "monitor_id": "controller-1", "monitor_event_id": "f1"}})"));
    EXPECT_GT(lists, 0);
}

TEST_F(VitrageSinkTest, ConfirmsAClearWhenTheAlarmIsGone) {
    const auto sink = make();
    ASSERT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
    EXPECT_EQ(events.at(1)["details"]["state"], "up");
    EXPECT_EQ(events.at(1)["time"], "2023-11-14T22:13:22.000000");
    EXPECT_TRUE(shown.empty());
}

TEST_F(VitrageSinkTest, ConfirmsAnUpdateAsARaise) {
    EXPECT_EQ(deliver(*make(), update()).kind, Kind::confirmed);
    EXPECT_EQ(events.at(0)["details"]["state"], "down");
}

TEST_F(VitrageSinkTest, NamesTheAlarmsOfAllKinds) {
    const auto sink = make();
    const std::map<std::string, std::string> names = {{"heartbeat_lost", "guest.heartbeat.lost"},
                                                      {"vm_crashed", "guest.vm.crashed"},
                                                      {"unhealthy", "guest.unhealthy"},
                                                      {"stopped_by_host", "guest.vm.stopped_by_host"},
                                                      {"watchdog_fired", "guest.watchdog.fired"},
                                                      {"running_twice", "guest.running_twice"},
                                                      {"not_established", "guest.heartbeat.not_established"}};
    for (const auto& [kind, name] : names) {
        EXPECT_EQ(deliver(*sink, raise(kind)).kind, Kind::confirmed);
        EXPECT_EQ(events.back()["details"]["alarm"], name);
    }
}

TEST_F(VitrageSinkTest, AnEventThatIsTakenAndLostIsTriedAgain) {
    deaf = 1;
    const auto sink = make();
    const Outcome lost = deliver(*sink, raise());
    EXPECT_EQ(lost.kind, Kind::retry);
    EXPECT_EQ(lost.why, "Vitrage took the event and does not show the alarm");
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
}

TEST_F(VitrageSinkTest, AClearThatIsTakenAndLostIsTriedAgain) {
    const auto sink = make();
    ASSERT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    deaf = 1;
    EXPECT_EQ(deliver(*sink, clear()).why, "Vitrage took the event and still shows the alarm");
}

TEST_F(VitrageSinkTest, ClearsNothingWhileAnotherFaultOfTheSameKindIsOpen) {
    const auto sink = make();
    ASSERT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    AlarmEvent of_old_host = clear();
    of_old_host.others_open = {"heartbeat_lost"};
    EXPECT_EQ(deliver(*sink, of_old_host).kind, Kind::skipped);
    EXPECT_EQ(shown.size(), 1U);
    AlarmEvent of_another_kind = clear();
    of_another_kind.others_open = {"unhealthy"};
    EXPECT_EQ(deliver(*sink, of_another_kind).kind, Kind::confirmed);
    EXPECT_TRUE(shown.empty());
}

TEST_F(VitrageSinkTest, ManyThatWaitShareTheList) {
    const auto sink = make();
    int confirmed = 0;
    for (int i = 0; i < 20; ++i) {
        AlarmEvent event = raise();
        event.alarm.guest = base::GuestId("00000000-0000-0000-0000-0000000000" + std::to_string(10 + i));
        sink->deliver(event, [&](const Outcome& outcome) { confirmed += outcome.kind == Kind::confirmed ? 1 : 0; });
    }
    ASSERT_TRUE(loop.until([&] { return confirmed == 20; }));
    EXPECT_LT(lists, 15);
}

TEST_F(VitrageSinkTest, FindsTheAlarmOnALaterPage) {
    others = 2500;
    EXPECT_EQ(deliver(*make(), raise()).kind, Kind::confirmed);
    EXPECT_EQ(lists % 3, 0) << "three pages each time";
}

TEST_F(VitrageSinkTest, AListWithoutAnEndIsAnError) {
    bad = CloudAnswer{200, "[]"};
    json endless = json::array();
    for (std::size_t i = 0; i < 1000; ++i)
        endless.push_back(row("vitalwire", "guest.unhealthy", kOther, i));
    bad->body = endless.dump();
    const Outcome outcome = deliver(*make(), raise());
    EXPECT_EQ(outcome.kind, Kind::retry);
    EXPECT_EQ(outcome.why, "Vitrage's list of alarms does not end");
}

TEST_F(VitrageSinkTest, WhatIsNoListOfAlarmsConfirmsNothing) {
    const auto sink = make();
    for (const CloudAnswer& answer : bad_answers()) {
        bad = answer;
        for (const AlarmEvent& event : {raise(), clear()}) {
            const Outcome outcome = deliver(*sink, event);
            EXPECT_EQ(outcome.kind, Kind::retry) << answer.status << " " << answer.body;
            EXPECT_NE(outcome.why, "");
        }
    }
    bad.reset();
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed) << "it goes on afterwards";
}

TEST_F(VitrageSinkTest, ATokenThatIsNoLongerGoodIsReplaced) {
    const auto sink = make();
    ASSERT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    ++tokens;  // the one in use is not the newest any more
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
}

TEST_F(VitrageSinkTest, TheAlarmOfAnotherServerOrOfAnotherKindIsNoProof) {
    const auto sink = make();
    shown = {{"guest.heartbeat.lost", kOther}, {"guest.unhealthy", kServer}};
    deaf = 1;
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry);
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed) << "nor do they keep a clear from being proven";
}

TEST_F(VitrageSinkTest, SkipsWhatTheDatasourceCannotTake) {
    const auto sink = make();
    AlarmEvent of_directory = raise();
    of_directory.alarm.guest = base::GuestId("vm-1");
    EXPECT_EQ(deliver(*sink, of_directory).kind, Kind::skipped) << "and not tried again without end";
    EXPECT_THAT(deliver(*sink, of_directory).why, HasSubstr("the guest 'vm-1' is no uuid"));
    EXPECT_THAT(deliver(*sink, raise("flood")).why, HasSubstr("has no alarm for a fault 'flood'"));
    EXPECT_TRUE(served.empty());
}

TEST_F(VitrageSinkTest, IsAskedNoSoonerThanItAskedForWhicheverRequestItAnswersSo) {
    const auto sink = make();
    bad = CloudAnswer{429, "", {{"Retry-After", "20"}}};
    EXPECT_EQ(deliver(*sink, raise()).delay, std::chrono::seconds(20));
    bad.reset();
    bad_list = CloudAnswer{503, "", {{"Retry-After", "30"}}};
    const Outcome outcome = deliver(*sink, raise());
    EXPECT_EQ(outcome.kind, Kind::retry);
    EXPECT_EQ(outcome.delay, std::chrono::seconds(30));
    bad_list = CloudAnswer{204, ""};
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry) << "an empty answer shows nothing";
}

TEST_F(VitrageSinkTest, ListsWhatVitrageShowsInOurWords) {
    shown = {{"guest.vm.crashed", kServer}, {"guest.strange", kServer}, {"agent.lost", ""}};
    const auto sink = make("reconcile_interval = 5 s\n");
    EXPECT_EQ(sink->reconcile_interval(), base::Millis(5000));
    std::vector<std::string> lines;
    bool done = false;
    sink->list([&](const Sink::Shown& alarms) {
        done = true;
        ASSERT_TRUE(alarms);
        for (const ShownAlarm& alarm : *alarms)
            lines.push_back(alarm.guest.str() + " " + alarm.kind + " " + alarm.fault.str());
    });
    ASSERT_TRUE(loop.until([&] { return done; }));
    EXPECT_THAT(lines, ElementsAre(std::string(kServer) + " vm_crashed f600003"));
}

TEST_F(VitrageSinkTest, ASinkThatIsGoneIsNotCalledBack) {
    auto sink = make();
    bool called = false;
    sink->deliver(raise(), [&](const Outcome&) { called = true; });
    ASSERT_TRUE(loop.until([&] { return !events.empty(); }));
    sink.reset();
    loop.until([] { return false; }, std::chrono::milliseconds(300));
    EXPECT_FALSE(called);
}

TEST_F(VitrageSinkTest, ReportsEveryMistakeOfASection) {
    EXPECT_THAT(mistakes("reconcile_interval = 1 ms\nurl = http://x/\n"),
                ElementsAre(HasSubstr("c:2: [sink s] reconcile_interval: expected a time from 1 s"),
                            HasSubstr("c:3: [sink s] url: is no key")));
}

}  // namespace
}  // namespace vitalwire::controller
