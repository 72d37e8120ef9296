// What an application has sent counts as it was sent, however late it is read: its answers and its last words.
#include <sys/wait.h>

#include <thread>

#include "app_server_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(AppServerTest, AnAnswerToAnEarlierQuestionDoesNotCount) {
    auto application = registered("db", milliseconds(200), milliseconds(100));
    const auto first = next<app::Query>(*application).id;
    await_reason("application db: did not answer within 100 ms");
    EXPECT_EQ(next<app::Query>(*application).id, first + 1);
    application->send(app::Report{{true, ""}, first});
    application->send(app::Deregister{});
    // Read in order: had the late answer counted, the guest had been healthy in between.
    bool was_healthy = false;
    await("it is deregistered", [&] {
        was_healthy = was_healthy || (board_.overall().healthy && server_.registered() > 0);
        return server_.registered() == 0;
    });
    EXPECT_FALSE(was_healthy);
}

TEST_F(AppServerTest, AnAnswerAfterItsTimeDoesNotCountThoughNoOtherQuestionWasAsked) {
    auto application = registered("db", seconds(1), milliseconds(100));
    const auto question = next<app::Query>(*application).id;
    await_reason("application db: did not answer within 100 ms");
    application->send(app::Report{{true, ""}, question});
    application->send(app::StatusRequest{});
    next<app::Status>(*application);
    EXPECT_FALSE(board_.overall().healthy);
}

TEST_F(AppServerTest, AnAnswerBehindManyReportsIsReadBeforeItIsJudged) {
    auto application = registered("db", milliseconds(200), milliseconds(50));
    const auto asked = next<app::Query>(*application).id;
    for (int i = 0; i < 100; ++i)
        application->send(app::Report{{true, ""}, {}});
    application->send(app::Report{{true, ""}, asked});
    // The daemon was busy until the time was over.
    std::this_thread::sleep_for(milliseconds(60));
    bool was_healthy = true;
    await("it is asked again", [&] {
        was_healthy = was_healthy && board_.overall().healthy;
        return application->next().has_value();
    });
    EXPECT_TRUE(was_healthy);
}

TEST_F(AppServerTest, WhatAnApplicationSentBeforeItsEndCountsThoughItReadsNoAnswer) {
    auto application = connect();
    application->register_as("db");
    application->send(app::Set{"job", {false, "failed"}, {}, {}});
    application->send(app::Deregister{});
    application->end();
    await_reason("report job: failed");
    await("it is deregistered", [&] { return server_.registered() == 0; });
    EXPECT_EQ(board_.overall().reason, "report job: failed");
}

TEST_F(AppServerTest, ADeregistrationBehindManyReportsIsReadBeforeItsProcessIsMissed) {
    int go[2];
    ASSERT_EQ(::pipe(go), 0);
    const pid_t process = ::fork();
    if (process == 0) {
        RawApplication application(dir_ / "apps");
        application.register_as("db");
        char byte = 0;
        [[maybe_unused]] const auto taken = ::read(go[0], &byte, 1);
        for (int i = 0; i < 100; ++i)
            application.send(app::Report{{true, ""}, {}});
        application.send(app::Deregister{});
        ::_exit(0);
    }
    await("it is registered", [&] { return server_.registered() == 1; });
    ASSERT_EQ(::write(go[1], "x", 1), 1);
    ::waitpid(process, nullptr, 0);
    await("it is deregistered", [&] { return server_.registered() == 0; });
    EXPECT_TRUE(board_.overall().healthy) << board_.overall().reason;
    ::close(go[0]);
    ::close(go[1]);
}

}  // namespace
}  // namespace vitalwire::guest::test
