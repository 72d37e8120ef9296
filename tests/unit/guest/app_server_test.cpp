#include "guest/app_server.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <csignal>
#include <vector>

#include "app_server_fixture.hpp"
#include "raw_application.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::guest::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(AppServerTest, AsksARegisteredApplicationEveryInterval) {
    auto application = registered("db", milliseconds(100), milliseconds(100));
    EXPECT_EQ(next<app::Query>(*application).id, 1);
    application->send(app::Report{{true, ""}, 1});
    EXPECT_EQ(next<app::Query>(*application).id, 2);
}

TEST_F(AppServerTest, NamesAnUnhealthyApplication) {
    auto application = registered("db", milliseconds(100), milliseconds(100));
    application->send(app::Report{{false, "no disk"}, next<app::Query>(*application).id});
    await_reason("application db: no disk");
}

TEST_F(AppServerTest, NamesAnApplicationThatDoesNotAnswerAndForgivesIt) {
    auto application = registered("db", milliseconds(200), milliseconds(100));
    await_reason("application db: did not answer within 100 ms");
    await("it answers again", [&] {
        if (const auto event = application->next())
            application->send(app::Report{{true, ""}, std::get<app::Query>(*event).id});
        return board_.overall().healthy;
    });
}

TEST_F(AppServerTest, NamesAnApplicationThatEndsWithoutDeregistering) {
    auto application = registered("db");
    application->end();
    await_reason("application db: ended without deregistering");
}

TEST_F(AppServerTest, TheLastWordsOfAnApplicationThatEndsStay) {
    auto application = registered("db");
    application->send(app::Report{{false, "exit status 3"}, {}});
    application->end();
    await_reason("application db: ended without deregistering: exit status 3");
    auto again = registered("db");
    await_reason("");
}

TEST_F(AppServerTest, RootReportsAsMuchAsItLikes) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    server_.reconfigure({"", "", 8, 2});
    auto script = connect();
    for (int i = 0; i < 10; ++i) {
        script->send(app::Set{"job-" + std::to_string(i), {false, "failed"}, {}, {}});
        next<app::Done>(*script);
    }
}

TEST_F(AppServerTest, ForgetsAnEndedApplicationThatRegistersAgain) {
    registered("db")->end();
    await_reason("application db: ended without deregistering");
    auto again = registered("db");
    await_reason("");
}

TEST_F(AppServerTest, ADatagramOfNoBytesIsRefusedAndEndsNothing) {
    auto application = registered("db");
    application->write("");
    application->write("");
    for (int i = 0; i < 2; ++i)
        await("it is refused", [&] { return application->read().find("\"malformed\"") != std::string::npos; });
    application->send(app::Report{{false, "no disk"}, {}});
    await_reason("application db: no disk");
    application->write("");
    application->send(app::Deregister{});
    application->end();
    await("it is gone", [&] { return server_.registered() == 0; });
    EXPECT_TRUE(board_.overall().healthy) << "what it sent before its end counts";
}

TEST_F(AppServerTest, AnotherUsersEndedApplicationKeepsNobodyFromForgettingAReport) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to be two users";
    Kept theirs{"application", "backup", 65533};
    theirs.ended = true;
    theirs.health = {false, ""};
    server_.restore(theirs);
    Kept mine{"report", "backup", 65534};
    mine.health = {false, "no space"};
    server_.restore(mine);
    std::filesystem::permissions(dir_ / "apps", std::filesystem::perms::all);
    std::filesystem::permissions(dir_ / ".", std::filesystem::perms(0755));
    ASSERT_EQ(::seteuid(65534), 0);
    auto script = connect();
    ASSERT_EQ(::seteuid(0), 0);
    script->send(app::Forget{"backup", {}});
    next<app::Done>(*script);
    EXPECT_EQ(board_.overall().reason, "application backup: ended without deregistering");
    script->send(app::Forget{"backup", {}});
    EXPECT_EQ(refused(*script).code, base::Errc::in_use);
}

TEST_F(AppServerTest, AnApplicationThatDeregisteredMayEnd) {
    auto application = registered("db");
    application->send(app::Report{{false, "stopping"}, {}});
    application->send(app::Deregister{});
    application->end();
    await("it is gone", [&] { return server_.registered() == 0; });
    EXPECT_TRUE(board_.overall().healthy);
}

TEST_F(AppServerTest, AnApplicationMayEndWithAQuestionUnread) {
    auto application = registered("db", milliseconds(100), milliseconds(50));
    await_reason("application db: did not answer within 50 ms");
    application->send(app::Deregister{});
    application->end();
    await("it is gone", [&] { return server_.registered() == 0; });
    EXPECT_TRUE(board_.overall().healthy);
}

TEST_F(AppServerTest, RefusesANameThatIsInUse) {
    auto first = registered("db");
    auto second = connect();
    second->register_as("db");
    EXPECT_EQ(refused(*second).code, base::Errc::in_use);
    second->register_as("db2");
    next<app::Registered>(*second);
}

TEST_F(AppServerTest, ASuccessorMayHaveTheNameThoughTheEndWasNotHandledYet) {
    auto first = registered("db");
    auto second = connect();
    await("it is accepted", [&] {
        turn();
        return true;
    });
    // Both are there to be read at once, whichever comes first.
    second->register_as("db");
    first->end();
    next<app::Registered>(*second);
    await_reason("");
}

TEST_F(AppServerTest, AnotherUserCannotWipeOutTheTraceOfAnEndedApplication) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to be two users";
    Kept theirs{"application", "db", 0};
    theirs.ended = true;
    theirs.health = {false, ""};
    server_.restore(theirs);
    std::filesystem::permissions(dir_ / "apps", std::filesystem::perms::all);
    std::filesystem::permissions(dir_ / ".", std::filesystem::perms(0755));
    ASSERT_EQ(::seteuid(65534), 0);
    auto other = connect();
    ASSERT_EQ(::seteuid(0), 0);
    ASSERT_TRUE(other->connected());
    other->register_as("db");
    EXPECT_THAT(refused(*other).message, HasSubstr("belonged to another user"));
    EXPECT_FALSE(board_.overall().healthy);
}

TEST_F(AppServerTest, AnApplicationMayComeBackWithFewerPrivileges) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to be two users";
    registered("db")->end();
    await_reason("application db: ended without deregistering");
    std::filesystem::permissions(dir_ / "apps", std::filesystem::perms::all);
    std::filesystem::permissions(dir_ / ".", std::filesystem::perms(0755));
    ASSERT_EQ(::seteuid(65534), 0);
    auto same = connect();
    ASSERT_EQ(::seteuid(0), 0);
    same->register_as("db");
    next<app::Registered>(*same);
    await_reason("");
}

TEST_F(AppServerTest, RefusesASecondRegistrationOfAConnection) {
    auto application = registered("db");
    application->register_as("db2");
    EXPECT_EQ(refused(*application).code, base::Errc::in_use);
}

TEST_F(AppServerTest, TurnsAwayMoreApplicationsThanAllowed) {
    std::vector<std::unique_ptr<RawApplication>> applications;
    for (int i = 0; i < 4; ++i)
        applications.push_back(registered("app-" + std::to_string(i)));
    auto fifth = connect();
    fifth->register_as("fifth");
    EXPECT_EQ(refused(*fifth).code, base::Errc::too_many);
    EXPECT_EQ(board_.overall().reason,
              "warning: application fifth wanted to be watched and is not: there are 4 applications already, "
              "[applications] max");
    applications.front()->send(app::Deregister{});
    applications.front()->end();
    await("one has gone", [&] { return server_.registered() == 3; });
    fifth->register_as("fifth");
    next<app::Registered>(*fifth);
    EXPECT_EQ(board_.overall().reason, "");
}

TEST_F(AppServerTest, ASubscriberForWhomThereIsNoPlaceIsTurnedAway) {
    std::vector<std::unique_ptr<RawApplication>> applications;
    for (int i = 0; i < 4; ++i)
        applications.push_back(registered("app-" + std::to_string(i)));
    auto fifth = connect();
    fifth->send(app::Subscribe{true, true});
    EXPECT_EQ(refused(*fifth).code, base::Errc::too_many);
    EXPECT_TRUE(fifth->ended());
    EXPECT_THAT(board_.overall().reason, HasSubstr("cannot connect: there are 4 applications already"));
}

TEST_F(AppServerTest, WhoLooksOrReportsNeedsNoPlace) {
    std::vector<std::unique_ptr<RawApplication>> applications;
    for (int i = 0; i < 4; ++i)
        applications.push_back(registered("app-" + std::to_string(i)));
    auto operator_ = connect();
    operator_->send(app::StatusRequest{});
    EXPECT_EQ(next<app::Status>(*operator_).total, 4);
    auto script = connect();
    script->send(app::Set{"backup", {false, "no space"}, {}, {}});
    next<app::Done>(*script);
    EXPECT_EQ(board_.overall().reason, "report backup: no space");
}

TEST_F(AppServerTest, EndedApplicationsKeepNobodyOut) {
    for (int i = 0; i < 32; ++i) {
        const auto worker = registered("worker-" + std::to_string(i));
        worker->end();
        await("it has ended", [&] { return server_.registered() == 0; });
    }
    auto next_one = registered("worker-32");
    EXPECT_FALSE(board_.overall().healthy) << "they are still missed";
    EXPECT_THAT(board_.overall().reason, HasSubstr("and "));
}

TEST_F(AppServerTest, IdleConnectionsKeepNobodyOut) {
    std::vector<std::unique_ptr<RawApplication>> idle;
    for (int i = 0; i < 40; ++i) {
        idle.push_back(connect());
        turn();
    }
    auto application = registered("db");
    EXPECT_TRUE(idle.front()->ended());
    EXPECT_TRUE(board_.overall().healthy);
    EXPECT_EQ(board_.overall().reason, "");
}

TEST_F(AppServerTest, AUserOtherThanRootHasAQuota) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to be two users";
    server_.reconfigure({"", "", 8, 2});
    std::filesystem::permissions(dir_ / "apps", std::filesystem::perms::all);
    std::filesystem::permissions(dir_ / ".", std::filesystem::perms(0755));
    std::vector<std::unique_ptr<RawApplication>> applications;
    ASSERT_EQ(::seteuid(65534), 0);
    for (int i = 0; i < 2; ++i)
        applications.push_back(connect());
    ASSERT_EQ(::seteuid(0), 0);
    for (int i = 0; i < 2; ++i) {
        applications[static_cast<std::size_t>(i)]->register_as("app-" + std::to_string(i));
        next<app::Registered>(*applications[static_cast<std::size_t>(i)]);
    }
    ASSERT_EQ(::seteuid(65534), 0);
    applications.push_back(connect());
    ASSERT_EQ(::seteuid(0), 0);
    applications.back()->register_as("app-2");
    EXPECT_THAT(refused(*applications.back()).message, HasSubstr("user 65534 has 2 applications already"));
    EXPECT_THAT(board_.overall().reason, HasSubstr("warning: application app-2 wanted to be watched and is not"));
    auto mine = registered("root");
}

TEST_F(AppServerTest, AnApplicationThatIsNotWatchedIsAWarningUntilItIs) {
    auto first = registered("db");
    auto second = connect();
    second->register_as("db");
    refused(*second);
    EXPECT_TRUE(board_.overall().healthy) << "no ill health";
    EXPECT_EQ(board_.overall().reason,
              "warning: application db wanted to be watched and is not: an application called 'db' is registered "
              "already");
    first->send(app::Deregister{});
    await("it is free", [&] { return server_.registered() == 0; });
    second->register_as("db");
    next<app::Registered>(*second);
    EXPECT_EQ(board_.overall().reason, "");
}

TEST_F(AppServerTest, EveryAnswerNamesItsRequest) {
    auto application = connect();
    application->send(app::Register{"db", seconds(60), seconds(60), {}, 7});
    EXPECT_EQ(next<app::Registered>(*application).id, 7);
    application->send(app::Register{"db2", seconds(60), seconds(60), {}, 8});
    EXPECT_EQ(next<app::Refused>(*application).id, 8);
    application->write(R"({"version":1,"type":"dance","id":9})");
    EXPECT_EQ(next<app::Refused>(*application).id, 9);
    application->send(app::Deregister{});
    application->send(app::Report{{true, ""}, {}, 7});
    EXPECT_EQ(next<app::Refused>(*application).id, 7);
    application->write(R"({"version":1,"type":"report","healthy":true,"id":-1})");
    EXPECT_EQ(next<app::Refused>(*application).id, std::nullopt);
}

/// What a process that forks leaves behind: its child has the connection.
TEST_F(AppServerTest, TheEndOfTheProcessThatRegisteredCountsThoughItsChildHoldsTheConnection) {
    int told[2];
    ASSERT_EQ(::pipe(told), 0);
    const pid_t parent = ::fork();
    if (parent == 0) {
        RawApplication application(dir_ / "apps");
        application.register_as("db");
        const pid_t child = ::fork();
        if (child == 0) {
            ::pause();
            ::_exit(0);
        }
        [[maybe_unused]] const auto written = ::write(told[1], &child, sizeof child);
        ::pause();
        ::_exit(0);
    }
    pid_t child = 0;
    ASSERT_EQ(::read(told[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
    ::close(told[0]);
    ::close(told[1]);
    await("it is registered", [&] { return server_.registered() == 1; });
    ::kill(parent, SIGKILL);
    ::waitpid(parent, nullptr, 0);
    await_reason("application db: ended without deregistering");
    auto next_one = registered("db");
    ::kill(child, SIGKILL);
}

TEST_F(AppServerTest, NamesWhatIsWrongWithARequestAndStaysConnected) {
    auto application = connect();
    const auto told = [&](const std::string& datagram) {
        application->write(datagram);
        return refused(*application).message;
    };
    EXPECT_THAT(told("not JSON"), HasSubstr("no valid JSON"));
    EXPECT_THAT(told("[]"), HasSubstr("expected a JSON object"));
    EXPECT_THAT(told(R"({"version":2,"type":"register"})"), HasSubstr("version 2 is not supported, expected 1"));
    EXPECT_THAT(told(R"({"version":1,"type":"dance"})"), HasSubstr("unknown type 'dance'"));
    EXPECT_THAT(told(R"({"version":1,"type":"register","name":"a b"})"), HasSubstr("only letters, digits"));
    EXPECT_THAT(told(R"({"version":1,"type":"register","name":"a","interval_ms":99})"), HasSubstr("from 100 to"));
    EXPECT_THAT(told(R"({"version":1,"type":"register","name":"a","interval_ms":200,"timeout_ms":201})"),
                HasSubstr("'timeout_ms': expected an integer from 50 to 200"));
    EXPECT_THAT(told(R"({"version":1,"type":"report","healthy":true})"), HasSubstr("register before reporting"));
    EXPECT_THAT(told(std::string(app::kMaxDatagram + 1, 'x')), HasSubstr("8192 bytes"));
    application->register_as("db");
    next<app::Registered>(*application);
}

TEST_F(AppServerTest, AFloodingApplicationDoesNotKeepAnotherFromBeingHeard) {
    auto flooder = registered("flood");
    auto quiet = registered("quiet");
    const std::string report = app::encode(app::Report{{true, ""}, {}});
    bool sent = false;
    int turns = 0;
    await("the other is heard", [&] {
        while (flooder->write(report)) {
        }
        if (!std::exchange(sent, true)) quiet->send(app::Report{{false, "heard"}, {}});
        ++turns;
        return board_.overall().reason == "application quiet: heard";
    });
    EXPECT_LT(turns, 10);
}

TEST_F(AppServerTest, EndsAnApplicationThatNeverReadsItsAnswers) {
    auto application = connect();
    await("it is cut off", [&] { return !application->write("garbage") && (errno == EPIPE || errno == ECONNRESET); });
}

TEST_F(AppServerTest, TheSocketIsForItsUserAndGroupOnly) {
    const auto mode = std::filesystem::status(dir_ / "apps").permissions();
    EXPECT_EQ(mode, std::filesystem::perms(0660));
}

TEST_F(AppServerTest, MakesTheFolderOfItsSocket) {
    AppServer other(clock_, board_, group_, {dir_ / "run/apps", "", 1}, votes_);
    other.start();
    EXPECT_TRUE(RawApplication(dir_ / "run/apps").connected());
}

TEST_F(AppServerTest, ASocketThatIsRemovedIsMadeAgain) {
    auto before = registered("db");
    std::filesystem::remove(dir_ / "apps");
    std::unique_ptr<RawApplication> after;
    await("another one connects", [&] { return (after = connect())->connected(); });
    after->register_as("web");
    next<app::Registered>(*after);
    EXPECT_EQ(server_.registered(), 2U) << "those that were connected stay so";
}

TEST_F(AppServerTest, DoesNotTakeTheSocketOfAnotherDaemon) {
    AppServer other(clock_, board_, group_, {dir_ / "apps", "", 1}, votes_);
    log::set_backend([](log::Level, std::string_view) {});
    other.start();
    other.stop();
    EXPECT_TRUE(RawApplication(dir_ / "apps").connected());
}

/// A host is there, and an application that sends `datagram` as a message of the server group.
class AppServerGroupTest : public AppServerTest {
protected:
    AppServerGroupTest() { group_.host_connected(); }

    static std::string encode(const wire::GroupPdu& pdu) { return *wire::encode_group(pdu, wire::Dialect::native, 2); }
    /// The next datagram as a guest reads it.
    wire::GroupPdu next_group(RawApplication& application) {
        std::string datagram;
        await("a datagram comes", [&] { return !(datagram = application.read()).empty(); });
        EXPECT_TRUE(datagram.starts_with('\n') && datagram.ends_with('\n')) << datagram;
        auto inbound = wire::read_line(std::string_view(datagram).substr(1, datagram.size() - 2),
                                       wire::ChannelKind::native, wire::Receiver::guest);
        return std::get<wire::GroupMessage>(inbound).pdu;
    }
    std::unique_ptr<RawApplication> subscribed() {
        auto application = connect();
        application->send(app::Subscribe{true, true});
        // An answer shows that the subscription before it was read.
        application->write(encode(wire::Broadcast{std::string("x"), app::kMaxSeq + 1}));
        EXPECT_EQ(std::get<wire::Nack>(next_group(*application)).code, base::Errc::bad_field);
        return application;
    }
};

TEST_F(AppServerGroupTest, PassesBroadcastsToWhoeverAskedForThem) {
    auto one = subscribed();
    auto two = subscribed();
    auto other = registered("db");
    group_.receive(wire::Delivery{"vm-2", "hello"});
    EXPECT_EQ(std::get<wire::Delivery>(next_group(*one)).payload, "hello");
    EXPECT_EQ(std::get<wire::Delivery>(next_group(*two)).source, "vm-2");
    EXPECT_FALSE(other->next());
}

TEST_F(AppServerGroupTest, RefusesWhatIsNoGuestsMessage) {
    auto application = subscribed();
    application->write("\nrubbish\n");
    EXPECT_EQ(refused(*application).code, base::Errc::bad_field);
    application->write(encode(wire::Delivery{"vm-9", "forged"}));  // a host's message is one without its `source`
    await("it is passed on as a broadcast of this guest", [&] { return channel_.sent.size() == 1; });
    EXPECT_EQ(channel_.sent[0].find("vm-9"), std::string::npos);
    application->write(
        "\n{\"version\":2,\"source_addr\":\"a\",\"dest_addr\":\"vitalwire.heartbeat\",\"data\":{"
        "\"version\":1,\"msg_type\":\"exit\",\"session_id\":\"s\"}}\n");
    refused(*application);
    EXPECT_EQ(channel_.sent.size(), 1U) << "nobody but the daemon speaks for the heartbeat";
}

TEST_F(AppServerGroupTest, ASlowApplicationLosesTheOldestAndIsToldHowMany) {
    auto slow = subscribed();
    auto quick = subscribed();
    constexpr int kSent = 400;
    const std::string filler(1000, '.');
    for (int i = 0; i < kSent; ++i) {
        group_.receive(wire::Delivery{"vm-2", std::to_string(i) + filler});
        const auto got = std::get<wire::Delivery>(next_group(*quick));
        EXPECT_EQ(got.payload, std::to_string(i) + filler);
        EXPECT_EQ(got.dropped, 0U);
    }
    std::uint64_t received = 0, dropped = 0;
    int last = -1;
    while (last < kSent - 1) {
        const auto got = std::get<wire::Delivery>(next_group(*slow));
        EXPECT_GT(std::stoi(got.payload), last) << "in order";
        dropped += got.dropped;
        EXPECT_EQ(std::stoi(got.payload), last + 1 + static_cast<int>(got.dropped)) << "told with the next one";
        last = std::stoi(got.payload);
        ++received;
    }
    EXPECT_GT(dropped, 0U);
    EXPECT_EQ(received + dropped, static_cast<std::uint64_t>(kSent));
}

TEST_F(AppServerGroupTest, AQuestionWaitsBehindAFewMessagesAtMost) {
    auto application = subscribed();
    application->register_as("db", std::chrono::milliseconds(100), std::chrono::milliseconds(100));
    next<app::Registered>(*application);
    for (int i = 0; i < 100; ++i)
        group_.receive(wire::Delivery{"vm-2", "message"});
    await_reason("application db: did not answer within 100 ms");
    int messages = 0;
    while (application->read().starts_with('\n'))
        ++messages;
    EXPECT_GT(messages, 0);
    EXPECT_LT(messages, 10) << "the first that is no message is the question";
    await("the others follow", [&] {
        for (std::string datagram; !(datagram = application->read()).empty();)
            messages += datagram.starts_with('\n') ? 1 : 0;
        return messages == 100;
    });
}

TEST_F(AppServerGroupTest, AnApplicationThatReadsNoMessagesStillHearsOfItsRegistration) {
    auto application = subscribed();
    for (int i = 0; i < 400; ++i)
        group_.receive(wire::Delivery{"vm-2", std::string(1000, '.')});
    application->register_as("slow");
    await("it is registered", [&] { return server_.registered() == 1; });
    await("it is told", [&] {
        const auto event = application->next();
        return event && std::holds_alternative<app::Registered>(*event);
    });
}

}  // namespace
}  // namespace vitalwire::guest::test
