#include <optional>

#include "tests/unit/controller/sinks/cloud_sink_fixture.hpp"

namespace vitalwire::controller {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = Outcome::Kind;

class MasakariSinkTest : public CloudSinkTest {
protected:
    MasakariSinkTest() : CloudSinkTest("instance-ha") {}
    SinkFactory configure(runtime::ConfigReader& section) override { return configure_masakari_sink(section); }
    /// As it is: 409 to what equals a notification in all but its time, by whose time that one is not older than three
    /// minutes. The times are compared with each other, not with a clock.
    CloudAnswer serve(const CloudRequest& request) override {
        if (next) return *next;
        if (request.method == "GET") return {list_status, json{{"notifications", listed}}.dump(), list_headers};
        const json sent = json::parse(request.body)["notification"];
        for (const json& earlier : listed) {
            const auto age = time_in(sent) - time_in(earlier);
            const bool same = earlier["payload"] == sent["payload"] && age <= std::chrono::minutes(3);
            if (always_duplicate || same) return duplicate();
        }
        listed.push_back(sent);
        return answer_lost ? CloudAnswer{503, ""} : CloudAnswer{202, R"({"notification":{"status":"new"}})"};
    }
    static base::WallTime time_in(const json& notification) {
        return base::from_iso8601(notification["generated_time"].get<std::string>() + "Z");
    }
    static CloudAnswer duplicate() {
        return {
            409,
            R"({"conflict":{"code":409,"message":"Notification received from host compute-1 of type 'VM' is duplicate."}})"};
    }
    static AlarmEvent raise_later(base::Millis after) {
        AlarmEvent event = raise();
        event.alarm.id = base::FaultId("f2");
        event.alarm.opened_at += after;
        return event;
    }

    std::vector<json> listed;
    int list_status = 200;
    std::map<std::string, std::string> list_headers;
    bool answer_lost = false;
    bool always_duplicate = false;
    std::optional<CloudAnswer> next;
};

TEST_F(MasakariSinkTest, NotifiesOfAGuestThatDoesNotAnswer) {
    EXPECT_EQ(deliver(*make(), raise()).kind, Kind::confirmed);
    ASSERT_THAT(served, SizeIs(1));
    EXPECT_EQ(served[0].method, "POST");
    EXPECT_EQ(served[0].target, "/notifications");
    EXPECT_EQ(json::parse(served[0].body), json::parse(R"({"notification":{
        "type":"VM","hostname":"compute-1","generated_time":"2023-11-14T22:13:20.000000",
        "payload":{"event":"QEMU_GUEST_AGENT_ERROR","vir_domain_event":"STOPPED_FAILED",
                   "instance_uuid":"0f8fad5b-d9cb-469f-a165-70867728950e"}}})"));
}

TEST_F(MasakariSinkTest, NotifiesOfACrashAsOfTheEndOfTheMachinesLife) {
    EXPECT_EQ(deliver(*make(), raise("vm_crashed")).kind, Kind::confirmed);
    ASSERT_THAT(served, SizeIs(1));
    EXPECT_EQ(json::parse(served[0].body)["notification"]["payload"]["event"], "LIFECYCLE");
}

TEST_F(MasakariSinkTest, SendsNoUpdateAndNoClear) {
    const auto sink = make();
    EXPECT_EQ(deliver(*sink, update()).kind, Kind::skipped);
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::skipped);
    EXPECT_THAT(served, IsEmpty());
}

TEST_F(MasakariSinkTest, DoesNotRestartAServerWhoseFaultIsOver) {
    AlarmEvent late = raise();
    late.over = true;
    EXPECT_EQ(deliver(*make(), late).kind, Kind::skipped);
    EXPECT_THAT(served, IsEmpty());
}

TEST_F(MasakariSinkTest, AnotherFaultWaitsWhileTheServerIsRecovered) {
    const auto sink = make();
    ASSERT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    AlarmEvent second = raise("vm_crashed");
    second.alarm.id = base::FaultId("f2");
    second.others_open = {"heartbeat_lost"};
    const Outcome outcome = deliver(*sink, second);
    EXPECT_EQ(outcome.kind, Kind::later);
    EXPECT_EQ(outcome.why, "Masakari recovers this server because of fault f1");
    EXPECT_THAT(served, SizeIs(1));
    second.others_open = {};  // the first is over, this one is not
    EXPECT_EQ(deliver(*sink, second).kind, Kind::confirmed);
    EXPECT_THAT(served, SizeIs(2));
}

TEST_F(MasakariSinkTest, AnotherFaultWaitsAlsoAfterARestart) {
    AlarmEvent first = raise();
    first.alarm.opened_at = std::chrono::system_clock::now();
    ASSERT_EQ(deliver(*make(), first).kind, Kind::confirmed);
    AlarmEvent second = raise("vm_crashed");
    second.alarm.id = base::FaultId("f2");
    second.alarm.opened_at = first.alarm.opened_at;
    second.others_open = {"heartbeat_lost"};
    const auto restarted = make();
    EXPECT_EQ(deliver(*restarted, second).kind, Kind::later);
    second.others_open = {};
    EXPECT_EQ(deliver(*restarted, second).kind, Kind::confirmed);
    EXPECT_THAT(listed, SizeIs(2));
}

TEST_F(MasakariSinkTest, OfTwoFaultsThatOpenedWhileItWasAwayNoneVouchesForTheOther) {
    const auto sink = make();
    next = CloudAnswer{503, ""};
    AlarmEvent first = raise();
    first.others_open = {"vm_crashed"};
    AlarmEvent second = raise("vm_crashed");
    second.alarm.id = base::FaultId("f2");
    second.others_open = {"heartbeat_lost"};
    EXPECT_EQ(deliver(*sink, first).kind, Kind::retry);
    EXPECT_EQ(deliver(*sink, second).kind, Kind::retry);
    next.reset();
    EXPECT_EQ(deliver(*sink, second).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, first).kind, Kind::later);
    EXPECT_THAT(listed, SizeIs(1));
}

TEST_F(MasakariSinkTest, OnlyTheConfiguredKindsOfNovasServersCount) {
    const auto sink = make("kinds = vm_crashed\n");
    EXPECT_EQ(deliver(*sink, raise("heartbeat_lost")).kind, Kind::skipped);
    AlarmEvent stranger = raise("vm_crashed");
    stranger.alarm.guest = base::GuestId("vm-1");
    EXPECT_EQ(deliver(*sink, stranger).kind, Kind::skipped);
    EXPECT_THAT(served, IsEmpty());
    AlarmEvent crashed = raise("vm_crashed");
    crashed.others_open = {"heartbeat_lost"};  // which Masakari was not notified of
    EXPECT_EQ(deliver(*sink, crashed).kind, Kind::confirmed);
    EXPECT_THAT(served, SizeIs(1));
}

TEST_F(MasakariSinkTest, ADuplicateIsProofOnlyIfItsListHasThisFault) {
    const auto sink = make();
    answer_lost = true;
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry);
    answer_lost = false;
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed) << "it has it, only its answer was lost";
    EXPECT_EQ(served.back().target, "/notifications?type=VM&generated-since=2023-11-14T22:13:20");
    const Outcome second = deliver(*sink, raise_later(std::chrono::minutes(2)));
    EXPECT_EQ(second.kind, Kind::refused) << "the server hangs again within three minutes";
    EXPECT_THAT(second.why, HasSubstr("takes no other within 3 min"));
    EXPECT_EQ(deliver(*sink, raise_later(std::chrono::minutes(2))).kind, Kind::confirmed)
        << "under the time of this attempt it is no duplicate";
    EXPECT_THAT(listed, SizeIs(2));
}

TEST_F(MasakariSinkTest, ANotificationUnderALaterTimeIsFoundAgainWhenItsAnswerWasLost) {
    const auto sink = make();
    ASSERT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    ASSERT_EQ(deliver(*sink, raise_later(std::chrono::minutes(2))).kind, Kind::refused);
    answer_lost = true;
    EXPECT_EQ(deliver(*sink, raise_later(std::chrono::minutes(2))).kind, Kind::retry);
    answer_lost = false;
    EXPECT_EQ(deliver(*sink, raise_later(std::chrono::minutes(2))).kind, Kind::confirmed);
    EXPECT_THAT(listed, SizeIs(2)) << "the server is not recovered once more";
}

TEST_F(MasakariSinkTest, ADuplicateWhoseListCannotBeReadIsNoProof) {
    const auto sink = make();
    ASSERT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    always_duplicate = true;
    for (const int status : {403, 404, 500}) {
        list_status = status;
        EXPECT_EQ(deliver(*sink, raise()).kind, Kind::refused) << status;
    }
    const json ours = listed.at(0);
    list_status = 503;
    list_headers = {{"Retry-After", "20"}};
    const Outcome outcome = deliver(*sink, raise());
    EXPECT_EQ(outcome.delay, std::chrono::seconds(20));
    EXPECT_THAT(outcome.why, HasSubstr("list of notifications cannot be read: HTTP 503"));
    list_status = 200;
    for (const char* part : {"/payload/instance_uuid", "/payload/event", "/generated_time"}) {
        listed = {ours};
        listed[0][json::json_pointer(part)] = "another";
        EXPECT_EQ(deliver(*sink, raise()).kind, Kind::refused) << part;
    }
    listed = {ours};
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
}

TEST_F(MasakariSinkTest, OfAHostUnderMaintenanceItIsNotifiedAgainWithoutHoldingOthersUp) {
    next = {409, R"({"conflict":{"code":409,"message":"Host compute-1 is already under maintenance."}})"};
    const Outcome outcome = deliver(*make(), raise());
    EXPECT_EQ(outcome.kind, Kind::refused);
    EXPECT_THAT(outcome.why, HasSubstr("under maintenance"));
}

TEST_F(MasakariSinkTest, AHostThatIsCalledMaintenanceIsNotUnderIt) {
    AlarmEvent event = raise();
    event.alarm.host = base::HostId("maintenance-pool-7");
    next = {
        409,
        R"({"conflict":{"message":"Notification received from host maintenance-pool-7 of type 'VM' is duplicate."}})"};
    deliver(*make(), event);
    EXPECT_EQ(served.back().method, "GET") << "it looks for what Masakari has";
}

TEST_F(MasakariSinkTest, AHostInNoSegmentIsNamed) {
    next = {400, R"({"badRequest":{"code":400,"message":"Host with name compute-1 could not be found."}})"};
    const Outcome outcome = deliver(*make(), raise());
    EXPECT_EQ(outcome.kind, Kind::refused);
    EXPECT_THAT(outcome.why, HasSubstr("Host with name compute-1 could not be found."));
}

TEST_F(MasakariSinkTest, WhatIsNotMasakariIsTriedAgain) {
    const auto sink = make();
    for (const CloudAnswer& answer : bad_answers()) {
        next = answer;
        EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry) << answer.status << " " << answer.body;
    }
}

TEST_F(MasakariSinkTest, ReportsAKindThatDoesNotExist) {
    EXPECT_THAT(mistakes("kinds = sleepy\n"), ElementsAre(HasSubstr("found 'sleepy'")));
}

}  // namespace
}  // namespace vitalwire::controller
