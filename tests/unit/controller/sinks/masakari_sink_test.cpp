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
    CloudAnswer serve(const CloudRequest& /*request*/) override { return next; }

    CloudAnswer next{202, R"({"notification":{"status":"new"}})"};
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

TEST_F(MasakariSinkTest, KnowsNoUpdateAndNoClear) {
    const auto sink = make();
    EXPECT_EQ(deliver(*sink, update()).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
    EXPECT_THAT(served, IsEmpty());
}

TEST_F(MasakariSinkTest, DoesNotRestartAServerWhoseFaultIsOver) {
    AlarmEvent late = raise();
    late.over = true;
    EXPECT_EQ(deliver(*make(), late).kind, Kind::confirmed);
    EXPECT_THAT(served, IsEmpty());
}

TEST_F(MasakariSinkTest, DoesNotStartOverWhileItIsAtWorkOnTheServer) {
    AlarmEvent second = raise("vm_crashed");
    second.others_open = {"heartbeat_lost"};
    EXPECT_EQ(deliver(*make(), second).kind, Kind::confirmed);
    EXPECT_THAT(served, IsEmpty());
}

TEST_F(MasakariSinkTest, OnlyTheConfiguredKindsOfNovasServersCount) {
    const auto sink = make("kinds = vm_crashed\n");
    EXPECT_EQ(deliver(*sink, raise("heartbeat_lost")).kind, Kind::confirmed);
    AlarmEvent stranger = raise("vm_crashed");
    stranger.alarm.guest = base::GuestId("vm-1");
    EXPECT_EQ(deliver(*sink, stranger).kind, Kind::confirmed);
    EXPECT_THAT(served, IsEmpty());
    AlarmEvent crashed = raise("vm_crashed");
    crashed.others_open = {"heartbeat_lost"};  // which Masakari was not told of
    EXPECT_EQ(deliver(*sink, crashed).kind, Kind::confirmed);
    EXPECT_THAT(served, SizeIs(1));
}

TEST_F(MasakariSinkTest, ADuplicateIsProofThatItIsThere) {
    next = {
        409,
        R"({"conflict":{"code":409,"message":"Notification received from host compute-1 of type 'VM' is duplicate."}})"};
    EXPECT_EQ(deliver(*make(), raise()).kind, Kind::confirmed);
}

TEST_F(MasakariSinkTest, OfAHostUnderMaintenanceItIsToldAgainWithoutHoldingOthersUp) {
    next = {409, R"({"conflict":{"code":409,"message":"Host compute-1 is already under maintenance."}})"};
    const Outcome outcome = deliver(*make(), raise());
    EXPECT_EQ(outcome.kind, Kind::refused);
    EXPECT_THAT(outcome.why, HasSubstr("under maintenance"));
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
