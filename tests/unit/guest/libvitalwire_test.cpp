#include <gmock/gmock.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <vitalwire/vitalwire.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <vector>

#include "guest_fixture.hpp"
#include "raw_application.hpp"

namespace vitalwire::guest::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// An application as a VNF would write it: one handle, driven by its descriptor.
class Application {
public:
    explicit Application(const std::string& socket) {
        vw_options options = VW_OPTIONS_INIT;
        options.socket_path = socket.c_str();
        options.context = this;
        options.connection = [](vw_t*, int connected, void* self) {
            static_cast<Application*>(self)->told.emplace_back(connected ? "connected" : "disconnected");
        };
        EXPECT_EQ(vw_open(&options, &handle), VW_OK);
    }
    ~Application() { EXPECT_EQ(vw_close(handle), VW_OK); }
    Application(const Application&) = delete;
    Application& operator=(const Application&) = delete;

    vw_heartbeat_options options(const char* name) {
        vw_heartbeat_options options = VW_HEARTBEAT_OPTIONS_INIT;
        options.name = name;
        options.interval_ms = 100;
        options.context = this;
        options.registration = [](vw_t*, vw_result_t result, const char*, void* self) {
            static_cast<Application*>(self)->told.emplace_back(vw_strerror(result));
        };
        options.health = [](vw_t*, char* text, size_t size, void* self) {
            auto& application = *static_cast<Application*>(self);
            ++application.asked;
            std::snprintf(text, size, "%s", application.reason.c_str());
            return application.reason.empty() ? VW_HEALTHY : VW_UNHEALTHY;
        };
        return options;
    }
    void register_as(const char* name) {
        const auto wanted = options(name);
        EXPECT_EQ(vw_heartbeat_register(handle, &wanted), VW_OK) << vw_last_error(handle);
    }
    /// As in an application's own poll loop.
    void poll_once() {
        pollfd ready{vw_fd(handle), POLLIN, 0};
        if (hung || ::poll(&ready, 1, 0) != 1) return;
        EXPECT_EQ(vw_dispatch(handle, VW_DISPATCH_ALL), VW_OK);
    }
    bool was_told(const std::string& what) const { return std::count(told.begin(), told.end(), what) > 0; }

    vw_t* handle = nullptr;
    bool hung = false;
    std::string reason;
    int asked = 0;
    std::vector<std::string> told;
};

class LibvitalwireTest : public GuestTest {
protected:
    Application& application() {
        applications_.push_back(std::make_unique<Application>(dir_ / "apps"));
        return *applications_.back();
    }
    Application& registered(const char* name) {
        Application& added = application();
        added.register_as(name);
        await("it is registered", [&] { return added.was_told("success"); });
        return added;
    }
    void end(Application& ended) {
        std::erase_if(applications_, [&](const auto& each) { return each.get() == &ended; });
    }
    void turn() override {
        GuestTest::turn();
        for (const auto& each : applications_)
            each->poll_once();
    }
    void restart_daemon(const std::function<void()>& while_away = [] {}) {
        guest_.reset();
        turn();
        while_away();
        start();
    }

    std::vector<std::unique_ptr<Application>> applications_;
};

TEST_F(LibvitalwireTest, AsksTheCallbackAndTellsTheHost) {
    start_registered();
    Application& db = registered("db");
    db.reason = "replica \"b\" is behind\nby an hour";
    await_reason("application db: replica \"b\" is behind");
    db.reason.clear();
    await_reason("");
    EXPECT_GE(db.asked, 2);
}

TEST_F(LibvitalwireTest, ASuccessorThatIsAsIllEndsNoFault) {
    start_registered();
    auto before = std::make_unique<RawApplication>(dir_ / "apps");
    before->register_as("db");
    before->send(app::Report{{false, "disk full"}, {}});
    await_reason("application db: disk full");
    before->end();
    await_reason("application db: ended without deregistering: disk full");
    Application& after = application();
    await("it is connected", [&] { return after.was_told("connected"); });
    after.reason = "disk full";
    auto options = after.options("db");
    options.interval_ms = VW_MAX_INTERVAL_MS;
    ASSERT_EQ(vw_heartbeat_register(after.handle, &options), VW_OK);
    EXPECT_EQ(after.asked, 0) << "callbacks come from vw_dispatch()";
    await("it is registered", [&] { return after.was_told("success"); });
    EXPECT_EQ(challenge().reason, "application db: disk full");
    EXPECT_EQ(after.asked, 1);
}

TEST_F(LibvitalwireTest, ItsCallbackIsAskedBeforeTheRegistrationAndMayTakeItBackOrMakeAnother) {
    start_registered();
    Application& db = application();
    auto options = db.options("db");
    options.health = [](vw_t* vw, char*, size_t, void* self) {
        EXPECT_EQ(vw_heartbeat_deregister(vw), VW_OK);
        static_cast<Application*>(self)->register_as("db2");
        return VW_HEALTHY;
    };
    db.reason = "x";
    ASSERT_EQ(vw_heartbeat_register(db.handle, &options), VW_OK);
    await("it is registered", [&] { return db.was_told("success"); });
    EXPECT_EQ(challenge().reason, "application db2: x");
}

TEST_F(LibvitalwireTest, TheWorstOfSeveralApplicationsWins) {
    start_registered();
    registered("good");
    registered("bad").reason = "b";
    await_reason("application bad: b");
    registered("worse").reason = "w";
    await_reason("application bad: b; application worse: w");
}

TEST_F(LibvitalwireTest, AnApplicationThatHangsIsNamedUntilItDispatchesAgain) {
    start_registered();
    Application& db = registered("db");
    db.hung = true;
    await_reason("application db: did not answer within 100 ms");
    db.hung = false;
    await_reason("");
}

TEST_F(LibvitalwireTest, ClosingTheHandleDeregisters) {
    start_registered();
    Application& db = registered("db");
    db.reason = "x";
    await_reason("application db: x");
    end(db);
    await_reason("");
}

TEST_F(LibvitalwireTest, AReportIsToldAtOnce) {
    start_registered();
    Application& db = application();
    auto options = db.options("db");
    options.health = nullptr;
    options.interval_ms = VW_MAX_INTERVAL_MS;
    ASSERT_EQ(vw_heartbeat_register(db.handle, &options), VW_OK);
    await("it is registered", [&] { return db.was_told("success"); });
    EXPECT_EQ(vw_heartbeat_report(db.handle, VW_UNHEALTHY, "no licence"), VW_OK);
    await_reason("application db: no licence");
    EXPECT_EQ(vw_heartbeat_report(db.handle, VW_HEALTHY, nullptr), VW_OK);
    await_reason("");
}

TEST_F(LibvitalwireTest, WithoutACallbackTheLastReportIsTheAnswer) {
    start_registered();
    Application& db = application();
    auto options = db.options("db");
    options.health = nullptr;
    ASSERT_EQ(vw_heartbeat_register(db.handle, &options), VW_OK);
    ASSERT_EQ(vw_heartbeat_report(db.handle, VW_UNHEALTHY, "told"), VW_OK);
    await_reason("application db: told");
    db.hung = true;
    await_reason("application db: did not answer within 100 ms");
    db.hung = false;
    await_reason("application db: told");
}

TEST_F(LibvitalwireTest, RegistersWhenTheDaemonComes) {
    Application& db = application();
    db.register_as("db");
    db.poll_once();
    EXPECT_EQ(vw_is_connected(db.handle), 0);
    ASSERT_EQ(vw_heartbeat_report(db.handle, VW_UNHEALTHY, "early"), VW_OK);
    db.reason = "early";
    start_registered();
    await_reason("application db: early");
    EXPECT_THAT(db.told, ElementsAre("connected", "success"));
}

TEST_F(LibvitalwireTest, SurvivesARestartOfTheDaemonOnTheSameDescriptor) {
    start();
    Application& db = registered("db");
    const int descriptor = vw_fd(db.handle);
    db.told.clear();
    restart_daemon();
    await("it is registered again", [&] { return db.was_told("success"); });
    EXPECT_THAT(db.told, ElementsAre("disconnected", "connected", "success"));
    EXPECT_EQ(vw_fd(db.handle), descriptor);
}

TEST_F(LibvitalwireTest, AReportGivenWhileTheDaemonIsAwayIsToldLater) {
    start();
    Application& db = registered("db");
    restart_daemon([&] {
        db.reason = "kept";
        EXPECT_EQ(vw_heartbeat_report(db.handle, VW_UNHEALTHY, "kept"), VW_OK);
    });
    connect_host();
    register_guest();
    await_reason("application db: kept");
}

TEST_F(LibvitalwireTest, ADeregisteredApplicationCountsNoLongerAndMayRegisterAgain) {
    start_registered();
    Application& db = registered("db");
    db.reason = "x";
    await_reason("application db: x");
    EXPECT_EQ(vw_heartbeat_deregister(db.handle), VW_OK);
    await_reason("");
    db.register_as("db2");
    await_reason("application db2: x");
}

TEST_F(LibvitalwireTest, IsToldWhenItsNameIsInUseAndRegisteredOnceItIsFree) {
    start();
    Application& first = registered("db");
    Application& second = application();
    second.register_as("db");
    await("it is refused", [&] { return second.was_told(vw_strerror(VW_ERR_NAME_IN_USE)); });
    EXPECT_THAT(vw_last_error(second.handle), HasSubstr("called 'db' is registered already"));
    const auto again = second.options("db2");
    EXPECT_EQ(vw_heartbeat_register(second.handle, &again), VW_ERR_REGISTERED) << "it is still wanted";
    end(first);
    await("it is registered", [&] { return second.was_told("success"); });
    EXPECT_THAT(second.told, ElementsAre("connected", vw_strerror(VW_ERR_NAME_IN_USE), "success"));
}

TEST_F(LibvitalwireTest, ARefusedApplicationMayTakeAnotherName) {
    start();
    registered("db");
    Application& second = application();
    second.register_as("db");
    await("it is refused", [&] { return second.was_told(vw_strerror(VW_ERR_NAME_IN_USE)); });
    EXPECT_EQ(vw_heartbeat_deregister(second.handle), VW_OK);
    second.register_as("db2");
    await("it is registered", [&] { return second.was_told("success"); });
}

TEST_F(LibvitalwireTest, ALateRefusalIsNotOfTheNextRegistration) {
    start();
    registered("db");
    Application& second = application();
    await("it is connected", [&] { return second.was_told("connected"); });
    // All before the daemon has read any of it.
    auto taken = second.options("db");
    taken.health = nullptr;
    ASSERT_EQ(vw_heartbeat_register(second.handle, &taken), VW_OK);
    EXPECT_EQ(vw_heartbeat_deregister(second.handle), VW_OK);
    second.register_as("db2");
    await("it is registered", [&] { return second.was_told("success"); });
    EXPECT_THAT(second.told, ElementsAre("connected", "success"));
    EXPECT_EQ(vw_heartbeat_report(second.handle, VW_HEALTHY, ""), VW_OK);
}

TEST_F(LibvitalwireTest, ARefusedRegistrationIsNoBusyLoop) {
    start();
    registered("db");
    Application& second = application();
    auto options = second.options("db");
    static int refusals;
    static vw_heartbeat_options again;
    refusals = 0;
    again = options;
    again.registration = options.registration = [](vw_t* vw, vw_result_t result, const char*, void*) {
        if (result == VW_OK) return;
        ++refusals;
        EXPECT_EQ(vw_heartbeat_deregister(vw), VW_OK);
        EXPECT_EQ(vw_heartbeat_register(vw, &again), VW_OK);
    };
    ASSERT_EQ(vw_heartbeat_register(second.handle, &options), VW_OK);
    const auto until = base::Clock::now() + std::chrono::milliseconds(1000);
    await("a second has passed", [&] { return base::Clock::now() > until; });
    EXPECT_GT(refusals, 1);
    EXPECT_LT(refusals, 6);
}

/// The exit status of a child that calls `call`.
int in_child(const std::function<int()>& call) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(call());
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(LibvitalwireTest, AChildCannotSpeakForItsParentAndItsCloseChangesNothing) {
    start_registered();
    Application& db = registered("db");
    const auto options = db.options("other");
    const auto wrong = [&](vw_result_t result) { return result == VW_ERR_WRONG_PROCESS ? 0 : 1; };
    EXPECT_EQ(in_child([&] { return wrong(vw_dispatch(db.handle, VW_DISPATCH_WAIT)); }), 0);
    EXPECT_EQ(in_child([&] { return wrong(vw_heartbeat_register(db.handle, &options)); }), 0);
    EXPECT_EQ(in_child([&] { return wrong(vw_heartbeat_report(db.handle, VW_UNHEALTHY, "child")); }), 0);
    EXPECT_EQ(in_child([&] { return wrong(vw_heartbeat_deregister(db.handle)); }), 0);
    EXPECT_EQ(in_child([&] { return wrong(vw_group_broadcast(db.handle, "x", 1, nullptr)); }), 0);
    EXPECT_EQ(in_child([&] { return vw_fd(db.handle) + 1 + vw_is_connected(db.handle); }), 0);
    EXPECT_EQ(in_child([&] { return static_cast<int>(vw_close(db.handle)); }), 0);
    db.asked = 0;
    await("it is asked as before", [&] { return db.asked > 2; });
    EXPECT_TRUE(challenge().healthy);
    EXPECT_EQ(db.told, (std::vector<std::string>{"connected", "success"}));
}

TEST_F(LibvitalwireTest, AThreadMayBeCancelledInItsWait) {
    start();
    Application& db = registered("db");
    pthread_t thread{};
    const auto wait_for_ever = [](void* handle) -> void* {
        for (;;)
            vw_dispatch(static_cast<vw_t*>(handle), VW_DISPATCH_WAIT);
    };
    ASSERT_EQ(::pthread_create(&thread, nullptr, wait_for_ever, db.handle), 0);
    ::usleep(50'000);
    ::pthread_cancel(thread);
    void* result = nullptr;
    ASSERT_EQ(::pthread_join(thread, &result), 0);
    EXPECT_EQ(result, PTHREAD_CANCELED);
    EXPECT_EQ(vw_dispatch(db.handle, VW_DISPATCH_ALL), VW_OK);
}

TEST_F(LibvitalwireTest, ClosingCostsNoTimeWhenTheDaemonIsGone) {
    start();
    Application& db = registered("db");
    guest_.reset();
    const auto cpu = std::clock();
    end(db);
    EXPECT_LT(static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC, 0.1);
}

TEST_F(LibvitalwireTest, IsToldWhenThereAreTooMany) {
    start();
    for (const char* name : {"a", "b", "c", "d"})
        registered(name);
    Application& fifth = application();
    fifth.register_as("e");
    await("it is refused", [&] { return fifth.was_told(vw_strerror(VW_ERR_TOO_MANY)); });
}

TEST_F(LibvitalwireTest, TheDescriptorIsQuietWhileThereIsNothingToDo) {
    start();
    Application& db = application();
    auto options = db.options("db");
    options.interval_ms = VW_MAX_INTERVAL_MS;
    ASSERT_EQ(vw_heartbeat_register(db.handle, &options), VW_OK);
    await("it is registered", [&] { return db.was_told("success"); });
    pollfd ready{vw_fd(db.handle), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 0), 0);
}

TEST_F(LibvitalwireTest, DispatchesOneMessageWhenAskedTo) {
    start();
    Application& db = registered("db");
    db.hung = true;
    const int asked = db.asked;
    await("two questions lie unread",
          [&] { return guest_->status().find("did not answer") != std::string::npos && db.asked == asked; });
    EXPECT_EQ(vw_dispatch(db.handle, VW_DISPATCH_ONE | VW_DISPATCH_WAIT), VW_OK);
    EXPECT_EQ(db.asked, asked + 1);
}

TEST_F(LibvitalwireTest, CannotBeClosedOrDispatchedFromItsOwnCallback) {
    start();
    Application& db = application();
    auto options = db.options("db");
    static std::vector<vw_result_t> results;
    results.clear();
    options.health = [](vw_t* vw, char*, size_t, void*) {
        results = {vw_dispatch(vw, VW_DISPATCH_ALL), vw_close(vw)};
        return VW_HEALTHY;
    };
    ASSERT_EQ(vw_heartbeat_register(db.handle, &options), VW_OK);
    await("it was asked", [&] { return !results.empty(); });
    EXPECT_THAT(results, ElementsAre(VW_ERR_BUSY, VW_ERR_BUSY));
}

TEST_F(LibvitalwireTest, MayDeregisterFromItsOwnCallback) {
    start_registered();
    Application& db = application();
    auto options = db.options("db");
    options.health = [](vw_t* vw, char*, size_t, void*) {
        EXPECT_EQ(vw_heartbeat_deregister(vw), VW_OK);
        return VW_UNHEALTHY;
    };
    ASSERT_EQ(vw_heartbeat_register(db.handle, &options), VW_OK);
    await("it has deregistered", [&] { return vw_heartbeat_deregister(db.handle) == VW_ERR_NOT_REGISTERED; });
    EXPECT_TRUE(challenge().healthy);
}

TEST_F(LibvitalwireTest, SaysWhatIsWrongWithARegistration) {
    Application& db = application();
    const auto refused = [&](const vw_heartbeat_options& options) {
        EXPECT_EQ(vw_heartbeat_register(db.handle, &options), VW_ERR_INVALID);
        return std::string(vw_last_error(db.handle));
    };
    auto options = db.options(nullptr);
    EXPECT_THAT(refused(options), HasSubstr("name: expected 1 to 32 letters"));
    options.name = "with space";
    EXPECT_THAT(refused(options), HasSubstr("name: expected"));
    options.name = "123456789012345678901234567890123";
    EXPECT_THAT(refused(options), HasSubstr("name: expected"));
    options.name = "db";
    options.interval_ms = 99;
    EXPECT_THAT(refused(options), HasSubstr("interval_ms: expected 100 to 3600000 milliseconds"));
    options.interval_ms = 200;
    options.timeout_ms = 201;
    EXPECT_THAT(refused(options), HasSubstr("timeout_ms: expected 50 to 200 milliseconds"));
}

TEST_F(LibvitalwireTest, HalfOfTheDetectionTimeIsForTheAnswer) {
    start_registered();
    Application& db = application();
    auto options = db.options("db");
    options.interval_ms = 0;
    options.detection_time_ms = 300;
    ASSERT_EQ(vw_heartbeat_register(db.handle, &options), VW_OK) << vw_last_error(db.handle);
    await("it was asked", [&] { return db.asked > 0; });
    db.hung = true;
    await_reason("application db: did not answer within 150 ms");
}

TEST_F(LibvitalwireTest, ADetectionTimeIsTheSumOfIntervalAndTimeout) {
    Application& db = application();
    auto options = db.options("db");
    options.interval_ms = 200;
    options.timeout_ms = 100;
    options.detection_time_ms = 299;
    EXPECT_EQ(vw_heartbeat_register(db.handle, &options), VW_ERR_INVALID);
    EXPECT_THAT(vw_last_error(db.handle), HasSubstr("detection_time_ms: expected the sum"));
    options.detection_time_ms = 199;
    EXPECT_EQ(vw_heartbeat_register(db.handle, &options), VW_ERR_INVALID);
    EXPECT_THAT(vw_last_error(db.handle), HasSubstr("detection_time_ms: expected 200 to 7200000"));
    options.detection_time_ms = 300;
    EXPECT_EQ(vw_heartbeat_register(db.handle, &options), VW_OK);
}

TEST_F(LibvitalwireTest, OptionsOfTheFirstVersionHaveNoDetectionTime) {
    start_registered();
    Application& db = application();
    auto options = db.options("db");
    options.size = offsetof(vw_heartbeat_options, detection_time_ms);
    options.detection_time_ms = 1;  // not part of it
    ASSERT_EQ(vw_heartbeat_register(db.handle, &options), VW_OK) << vw_last_error(db.handle);
    await("it was asked", [&] { return db.asked > 0; });
}

TEST_F(LibvitalwireTest, RefusesCallsThatDoNotFitTheRegistration) {
    Application& db = application();
    EXPECT_EQ(vw_heartbeat_report(db.handle, VW_HEALTHY, ""), VW_ERR_NOT_REGISTERED);
    EXPECT_EQ(vw_heartbeat_deregister(db.handle), VW_ERR_NOT_REGISTERED);
    db.register_as("db");
    const auto again = db.options("db");
    EXPECT_EQ(vw_heartbeat_register(db.handle, &again), VW_ERR_REGISTERED);
    EXPECT_EQ(vw_dispatch(db.handle, 64), VW_ERR_INVALID);
}

TEST(LibvitalwireArguments, NullIsNoHandle) {
    vw_heartbeat_options options = VW_HEARTBEAT_OPTIONS_INIT;
    EXPECT_EQ(vw_open(nullptr, nullptr), VW_ERR_INVALID);
    EXPECT_EQ(vw_dispatch(nullptr, 0), VW_ERR_INVALID);
    EXPECT_EQ(vw_heartbeat_register(nullptr, &options), VW_ERR_INVALID);
    EXPECT_EQ(vw_heartbeat_report(nullptr, VW_HEALTHY, ""), VW_ERR_INVALID);
    EXPECT_EQ(vw_heartbeat_deregister(nullptr), VW_ERR_INVALID);
    EXPECT_EQ(vw_fd(nullptr), -1);
    EXPECT_EQ(vw_is_connected(nullptr), 0);
    EXPECT_STREQ(vw_last_error(nullptr), "");
    EXPECT_EQ(vw_close(nullptr), VW_OK);
}

TEST(LibvitalwireArguments, AnOptionsStructOfALaterVersionIsTakenAsLongAsItAsksForNothingNew) {
    struct {
        vw_options known = VW_OPTIONS_INIT;
        std::uint64_t later = 0;
    } options;
    options.known.size = sizeof options;
    vw_t* handle = nullptr;
    EXPECT_EQ(vw_open(&options.known, &handle), VW_OK);
    EXPECT_EQ(vw_close(handle), VW_OK);
    options.later = 1;
    EXPECT_EQ(vw_open(&options.known, &handle), VW_ERR_INVALID);
    EXPECT_EQ(handle, nullptr);
    options.known.size = SIZE_MAX / 3;  // never set
    EXPECT_EQ(vw_open(&options.known, &handle), VW_ERR_INVALID);
    options.known.size = sizeof(vw_options) - 1;
    EXPECT_EQ(vw_open(&options.known, &handle), VW_ERR_INVALID);
}

TEST(LibvitalwireArguments, RefusesAPathThatNoSocketCanHave) {
    vw_options options = VW_OPTIONS_INIT;
    const std::string path(108, 'p');
    vw_t* handle = nullptr;
    options.socket_path = path.c_str();
    EXPECT_EQ(vw_open(&options, &handle), VW_ERR_INVALID);
    options.socket_path = "";
    EXPECT_EQ(vw_open(&options, &handle), VW_ERR_INVALID);
}

TEST(LibvitalwireArguments, EveryResultHasItsOwnText) {
    std::vector<std::string> texts;
    for (int i = VW_OK; i <= VW_ERR_WRONG_PROCESS; ++i) {
        const std::string text = vw_strerror(static_cast<vw_result_t>(i));
        EXPECT_THAT(text, testing::Not(testing::AnyOf("", "unknown result")));
        EXPECT_THAT(texts, testing::Not(testing::Contains(text)));
        texts.push_back(text);
    }
    EXPECT_STREQ(vw_strerror(static_cast<vw_result_t>(31)), "unknown result");
}

}  // namespace
}  // namespace vitalwire::guest::test
