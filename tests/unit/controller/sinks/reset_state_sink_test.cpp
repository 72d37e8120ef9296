#include "tests/unit/controller/sinks/cloud_sink_fixture.hpp"

namespace vitalwire::controller {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = Outcome::Kind;

/// Nova with one server.
class ResetStateSinkTest : public CloudSinkTest {
protected:
    ResetStateSinkTest() : CloudSinkTest("compute") {}
    SinkFactory configure(runtime::ConfigReader& section) override { return configure_reset_state_sink(section); }

    CloudAnswer serve(const CloudRequest& request) override {
        const std::string path = std::string("/servers/") + kServer;
        requests.push_back(request.method + " " + request.target.substr(std::min(path.size(), request.target.size())) +
                           (request.body.empty() ? "" : " " + request.body));
        if (bad) return *bad;
        if (!request.target.starts_with(path)) return {404, R"({"itemNotFound":{"code":404,"message":"not there"}})"};
        if (request.method == "POST") {
            vm_state = json::parse(request.body)["os-resetState"]["state"].get<std::string>();
            return {202, ""};
        }
        const json found = {
            {"id", kServer}, {"OS-EXT-STS:vm_state", vm_state}, {"OS-EXT-STS:power_state", power_state}};
        return {200, json{{"server", found}}.dump()};
    }

    std::string vm_state = "active";
    int power_state = 1;
    std::vector<std::string> requests;
    std::optional<CloudAnswer> bad;
};

constexpr const char* kSetError = R"(POST /action {"os-resetState":{"state":"error"}})";
constexpr const char* kSetActive = R"(POST /action {"os-resetState":{"state":"active"}})";

TEST_F(ResetStateSinkTest, SetsTheServerToErrorOnce) {
    const auto sink = make();
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, update()).kind, Kind::confirmed);
    EXPECT_THAT(requests, ElementsAre(kSetError));
}

TEST_F(ResetStateSinkTest, LeavesTheStateAtTheClear) {
    const auto sink = make();
    deliver(*sink, raise());
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
    EXPECT_THAT(requests, ElementsAre(kSetError));
    EXPECT_FALSE(sink->audit_interval());
}

TEST_F(ResetStateSinkTest, SetsTheServerToActiveAtTheClearWhenSoConfigured) {
    const auto sink = make("on_clear = active\n");
    deliver(*sink, raise());
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
    EXPECT_THAT(requests, ElementsAre(kSetError, "GET ", kSetActive));
}

TEST_F(ResetStateSinkTest, DoesNotCallActiveWhatNovaDoesNotSeeRunning) {
    const auto sink = make("on_clear = active\n");
    vm_state = "error";
    power_state = 4;
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
    EXPECT_THAT(requests, ElementsAre("GET "));
}

TEST_F(ResetStateSinkTest, LeavesAStateThatSomebodyElseHasSet) {
    const auto sink = make("on_clear = active\n");
    for (const char* state : {"active", "stopped", "resized"}) {
        vm_state = state;
        EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
        EXPECT_EQ(vm_state, state);
    }
}

TEST_F(ResetStateSinkTest, OfSeveralFaultsTheLastToClearSetsActive) {
    const auto sink = make("on_clear = active\nkinds = heartbeat_lost vm_crashed\n");
    vm_state = "error";
    AlarmEvent first = clear();
    first.others_open = {"vm_crashed", "unhealthy"};
    EXPECT_EQ(deliver(*sink, first).kind, Kind::confirmed);
    EXPECT_THAT(requests, IsEmpty());
    AlarmEvent last = clear("vm_crashed");
    last.others_open = {"unhealthy"};  // none of ours
    EXPECT_EQ(deliver(*sink, last).kind, Kind::confirmed);
    EXPECT_EQ(vm_state, "active");
}

TEST_F(ResetStateSinkTest, AFaultThatIsOverBeforeItIsToldSetsNothing) {
    AlarmEvent late = raise();
    late.over = true;
    EXPECT_EQ(deliver(*make(), late).kind, Kind::confirmed);
    EXPECT_THAT(requests, IsEmpty());
}

TEST_F(ResetStateSinkTest, OnlyTheConfiguredKindsCount) {
    const auto sink = make();
    EXPECT_EQ(deliver(*sink, raise("unhealthy")).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, raise("not_established")).kind, Kind::confirmed);
    EXPECT_THAT(requests, IsEmpty());
    EXPECT_EQ(deliver(*make("kinds = unhealthy\n"), raise("unhealthy")).kind, Kind::confirmed);
    EXPECT_THAT(requests, ElementsAre(kSetError));
}

TEST_F(ResetStateSinkTest, AServerThatIsGoneNeedsNothing) {
    const auto sink = make("on_clear = active\n");
    AlarmEvent gone = raise();
    gone.alarm.guest = base::GuestId("11111111-2222-3333-4444-555555555555");
    EXPECT_EQ(deliver(*sink, gone).kind, Kind::confirmed);
    AlarmEvent over = clear();
    over.alarm.guest = gone.alarm.guest;
    EXPECT_EQ(deliver(*sink, over).kind, Kind::confirmed);
    EXPECT_EQ(requests.size(), 2U);
}

TEST_F(ResetStateSinkTest, AGuestThatIsNoServerOfNovaNeedsNothing) {
    AlarmEvent event = raise();
    event.alarm.guest = base::GuestId("..");
    EXPECT_EQ(deliver(*make(), event).kind, Kind::confirmed);
    EXPECT_TRUE(served.empty());
}

TEST_F(ResetStateSinkTest, AConflictIsTriedAgainWithoutHoldingOthersUp) {
    bad = CloudAnswer{409, R"({"conflictingRequest":{"code":409,"message":"locked"}})"};
    const Outcome outcome = deliver(*make(), raise());
    EXPECT_EQ(outcome.kind, Kind::refused);
    EXPECT_THAT(outcome.why, HasSubstr("HTTP 409"));
}

TEST_F(ResetStateSinkTest, WhatIsNotNovaIsTriedAgain) {
    const auto sink = make("on_clear = active\n");
    for (const CloudAnswer& answer : bad_answers()) {
        bad = answer;
        EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry) << answer.status << " " << answer.body;
        EXPECT_EQ(deliver(*sink, clear()).kind, Kind::retry) << answer.status << " " << answer.body;
    }
}

TEST_F(ResetStateSinkTest, ATokenThatIsNoLongerGoodIsReplaced) {
    const auto sink = make();
    deliver(*sink, raise());
    ++tokens;
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
}

TEST_F(ResetStateSinkTest, ReportsEveryMistakeOfASection) {
    EXPECT_THAT(mistakes("kinds = heartbeat_lost sleepy\non_clear = reboot\n"),
                ElementsAre(HasSubstr("c:2: [sink s] kinds: expected some of heartbeat_lost, vm_crashed, unhealthy, "
                                      "not_established, found 'sleepy'"),
                            HasSubstr("c:3: [sink s] on_clear: expected one of leave, active")));
}

}  // namespace
}  // namespace vitalwire::controller
