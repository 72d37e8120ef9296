#include "runtime/store.hpp"
#include "runtime/stored_table.hpp"
#include "tests/unit/controller/sinks/cloud_sink_fixture.hpp"
#include "tests/unit/controller/support/memory_store.hpp"
#include "tests/unit/support/temp_dir.hpp"

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

    SinkContext context() override {
        SinkContext context = CloudSinkTest::context();
        context.name = "s";
        context.table = [this](const std::string& name) -> runtime::StoredTable& {
            return tables.try_emplace(name, store ? *store : in_memory, name).first->second;
        };
        return context;
    }

    CloudAnswer serve(const CloudRequest& request) override {
        const std::string path = std::string("/servers/") + kServer;
        requests.push_back(request.method + " " + request.target.substr(std::min(path.size(), request.target.size())) +
                           (request.body.empty() ? "" : " " + request.body));
        if (bad) return *bad;
        if (!request.target.starts_with(path)) return {404, R"({"itemNotFound":{"code":404,"message":"not there"}})"};
        if (request.method == "POST") {
            set_state(json::parse(request.body)["os-resetState"]["state"].get<std::string>());
            return {answers_late ? 504 : 202, ""};
        }
        if (unreadable > 0 && unreadable-- == 1) return {503, ""};
        const json found = {{"id", kServer},
                            {"OS-EXT-STS:vm_state", vm_state},
                            {"OS-EXT-STS:power_state", power_state},
                            {"updated", "2026-11-29T09:00:" + std::to_string(10 + saves) + "Z"}};
        return {200, json{{"server", found}}.dump()};
    }

    /// As any client that may does; Nova saves the row.
    void set_state(const std::string& state) {
        vm_state = state;
        ++saves;
    }
    static AlarmEvent raise_second() {
        AlarmEvent second = raise("vm_crashed");
        second.alarm.id = base::FaultId("f2");
        return second;
    }

    std::string vm_state = "active";
    int saves = 0;
    bool answers_late = false;  ///< a proxy gives up before Nova answers
    int unreadable = 0;         ///< so many looks until one fails
    int power_state = 1;
    std::vector<std::string> requests;
    std::optional<CloudAnswer> bad;
    std::unique_ptr<runtime::Store> store;
    MemoryStore::Disk memory;
    MemoryStore in_memory{memory};
    std::map<std::string, runtime::StoredTable> tables;  ///< as the controller keeps them
};

constexpr const char* kSetError = R"(POST /action {"os-resetState":{"state":"error"}})";
constexpr const char* kSetActive = R"(POST /action {"os-resetState":{"state":"active"}})";

TEST_F(ResetStateSinkTest, SetsTheServerToErrorOnce) {
    const auto sink = make();
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, update()).kind, Kind::skipped);
    EXPECT_THAT(requests, ElementsAre("GET ", kSetError));
}

TEST_F(ResetStateSinkTest, AnErrorThatNovaSavedAndDidNotAnswerInTimeIsNotSetAgain) {
    const auto sink = make();
    answers_late = true;
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry);
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    EXPECT_THAT(requests, ElementsAre("GET ", kSetError, "GET "));
}

TEST_F(ResetStateSinkTest, LeavesTheStateAtTheClear) {
    const auto sink = make();
    deliver(*sink, raise());
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::skipped);
    EXPECT_THAT(requests, ElementsAre("GET ", kSetError));
    EXPECT_FALSE(sink->reconcile_interval());
}

TEST_F(ResetStateSinkTest, SetsTheServerToActiveAtTheClearWhenSoConfigured) {
    const auto sink = make("on_clear = active\n");
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
    EXPECT_THAT(requests, ElementsAre("GET ", kSetError, "GET ", "GET ", kSetActive));
}

TEST_F(ResetStateSinkTest, DoesNotCallActiveWhatNovaDoesNotSeeRunning) {
    const auto sink = make("on_clear = active\n");
    deliver(*sink, raise());
    power_state = 4;
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
    EXPECT_EQ(vm_state, "error");
}

TEST_F(ResetStateSinkTest, LeavesAnErrorThatWasThereBefore) {
    const auto sink = make("on_clear = active\n");
    vm_state = "error";  // an operator's
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed) << "Nova shows ERROR";
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::skipped);
    EXPECT_THAT(requests, ElementsAre("GET "));
    EXPECT_EQ(vm_state, "error");
}

TEST_F(ResetStateSinkTest, LeavesWhatSomebodyElseHasSetSince) {
    const auto sink = make("on_clear = active\n");
    for (const char* state : {"active", "stopped", "error"}) {
        vm_state = "active";
        deliver(*sink, raise());
        set_state("active");
        set_state(state);
        EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
        EXPECT_EQ(vm_state, state);
    }
}

TEST_F(ResetStateSinkTest, AnErrorThatCouldNotBeReadBackIsStillItsOwn) {
    const auto sink = make("on_clear = active\n");
    unreadable = 2;  // the look after it was set
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry);
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, clear()).kind, Kind::confirmed);
    EXPECT_EQ(vm_state, "active");
}

TEST_F(ResetStateSinkTest, WhoseErrorItIsSurvivesARestart) {
    test::TempDir dir;
    const auto open = [&] { store = std::move(*runtime::Store::open(loop.io, dir / "controller.db")); };
    open();
    deliver(*make("on_clear = active\n"), raise());
    ASSERT_TRUE(loop.until([&] { return store->pending() == 0; }));
    store->close();
    tables.clear();
    store.reset();
    open();
    EXPECT_EQ(deliver(*make("on_clear = active\n"), clear()).kind, Kind::confirmed);
    EXPECT_EQ(vm_state, "active");
    store->close();
}

TEST_F(ResetStateSinkTest, WhoseErrorItIsIsKnownWhenTheSinkIsConfiguredAgain) {
    deliver(*make("on_clear = active\n"), raise());
    EXPECT_EQ(deliver(*make("on_clear = active\nkinds = heartbeat_lost\n"), clear()).kind, Kind::confirmed);
    EXPECT_EQ(vm_state, "active");
}

TEST_F(ResetStateSinkTest, OfSeveralFaultsTheLastToClearSetsActive) {
    const auto sink = make("on_clear = active\nkinds = heartbeat_lost vm_crashed\n");
    deliver(*sink, raise());
    EXPECT_EQ(deliver(*sink, raise_second()).kind, Kind::confirmed);
    AlarmEvent first = clear();
    first.others_open = {"vm_crashed", "unhealthy"};
    EXPECT_EQ(deliver(*sink, first).kind, Kind::skipped);
    EXPECT_EQ(vm_state, "error");
    AlarmEvent last = clear_of(raise_second());
    last.others_open = {"unhealthy"};  // none of ours
    EXPECT_EQ(deliver(*sink, last).kind, Kind::confirmed);
    EXPECT_EQ(vm_state, "active");
}

TEST_F(ResetStateSinkTest, AFaultThatIsOverBeforeItIsSentSetsNothing) {
    AlarmEvent late = raise();
    late.over = true;
    EXPECT_EQ(deliver(*make(), late).kind, Kind::skipped);
    EXPECT_THAT(requests, IsEmpty());
}

TEST_F(ResetStateSinkTest, OnlyTheConfiguredKindsCount) {
    const auto sink = make();
    EXPECT_EQ(deliver(*sink, raise("unhealthy")).kind, Kind::skipped);
    EXPECT_EQ(deliver(*sink, raise("not_established")).kind, Kind::skipped);
    EXPECT_THAT(requests, IsEmpty());
    EXPECT_EQ(deliver(*make("kinds = unhealthy\n"), raise("unhealthy")).kind, Kind::confirmed);
    EXPECT_THAT(requests, ElementsAre("GET ", kSetError));
}

TEST_F(ResetStateSinkTest, AServerThatIsGoneNeedsNothing) {
    const auto sink = make("on_clear = active\n");
    AlarmEvent gone = raise();
    gone.alarm.guest = base::GuestId("11111111-2222-3333-4444-555555555555");
    EXPECT_EQ(deliver(*sink, gone).kind, Kind::skipped);
    AlarmEvent over = clear();
    over.alarm.guest = gone.alarm.guest;
    EXPECT_EQ(deliver(*sink, over).kind, Kind::skipped);
    EXPECT_EQ(deliver(*make(), gone).kind, Kind::skipped);
    EXPECT_EQ(requests.size(), 2U);
}

TEST_F(ResetStateSinkTest, AGuestThatIsNoServerOfNovaNeedsNothing) {
    AlarmEvent event = raise();
    event.alarm.guest = base::GuestId("..");
    EXPECT_EQ(deliver(*make(), event).kind, Kind::skipped);
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
    deliver(*sink, raise());
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
    EXPECT_THAT(
        mistakes("kinds = heartbeat_lost sleepy\non_clear = reboot\n"),
        ElementsAre(
            HasSubstr("c:2: [sink s] kinds: expected some of heartbeat_lost, unhealthy, "
                      "not_established, vm_crashed, stopped_by_host, watchdog_fired, running_twice, found 'sleepy'"),
            HasSubstr("c:3: [sink s] on_clear: expected one of leave, active")));
}

}  // namespace
}  // namespace vitalwire::controller
