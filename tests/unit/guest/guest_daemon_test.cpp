#include "guest/guest_daemon.hpp"

#include <gmock/gmock.h>

#include "guest_fixture.hpp"
#include "raw_application.hpp"

namespace vitalwire::guest::test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class GuestDaemonTest : public GuestTest {};

TEST_F(GuestDaemonTest, RegistersWithAHostThatConnects) {
    settings_.heartbeat.interval = milliseconds(300);
    settings_.heartbeat.response_deadline = milliseconds(200);
    settings_.heartbeat.corrective_action = model::CorrectiveAction::reboot;
    start();
    connect_host();
    const auto init = register_guest();
    EXPECT_EQ(init.name, "web-1");
    EXPECT_EQ(init.interval, milliseconds(300));
    EXPECT_EQ(init.response_deadline, milliseconds(200));
    EXPECT_EQ(init.corrective_action, model::CorrectiveAction::reboot);
    await("it knows", [&] { return guest_->status() == "registered, healthy"; });
}

TEST_F(GuestDaemonTest, AnswersAChallengeWithItsValue) {
    start_registered();
    const auto answer = challenge();
    EXPECT_EQ(answer.session, session_);
    EXPECT_EQ(answer.value, challenges_);
    EXPECT_TRUE(answer.healthy);
}

TEST_F(GuestDaemonTest, RegistersAgainWithAHostThatComesBack) {
    start_registered();
    host_->disconnect();
    await("the guest notices", [&] { return guest_->status().starts_with("waiting for a host"); });
    connect_host();
    register_guest();
    EXPECT_EQ(challenge().session, session_);
}

TEST_F(GuestDaemonTest, AnswersOnlyTheLastOfTwoChallengesReadTogether) {
    start_registered();
    challenge();
    host_->write(FakeHost::encode(wire::Challenge{session_, 111}) + FakeHost::encode(wire::Challenge{session_, 222}));
    EXPECT_EQ(await_pdu<wire::ChallengeResponse>().value, 222);
}

TEST_F(GuestDaemonTest, DropsGarbageAndFindsTheNextMessage) {
    start_registered();
    host_->write("half a mess");
    host_->write("\n{\"version\":2,\"dest_addr\":null}\n" + std::string(10'000, '[') + "\n");
    host_->write(std::string("\0\xff\xfe\n", 4));
    EXPECT_EQ(challenge().value, challenges_);
}

TEST_F(GuestDaemonTest, IgnoresMessagesForAddressesItDoesNotHave) {
    start_registered();
    host_->write(
        R"({"version":2,"source_addr":"x","dest_addr":"vitalwire.scale","data":{"version":1,"msg_type":"init"}})"
        "\n");
    EXPECT_EQ(challenge().value, challenges_);
}

TEST_F(GuestDaemonTest, SaysExitToTheHostWhenItStops) {
    start_registered();
    challenge();
    guest_->stop();
    EXPECT_EQ(await_pdu<wire::Exit>().session, session_);
    EXPECT_FALSE(std::filesystem::exists(dir_ / "channel"));
    EXPECT_FALSE(std::filesystem::exists(dir_ / "apps"));
}

TEST_F(GuestDaemonTest, ServesOneHostAtATime) {
    start_registered();
    FakeHost second(dir_ / "channel");
    EXPECT_TRUE(challenge().healthy);
    EXPECT_FALSE(second.next<wire::Init>());
    host_->disconnect();
    await("the second host is served", [&] { return second.next<wire::Init>().has_value(); });
}

TEST_F(GuestDaemonTest, WaitsWhileAnotherProcessHoldsTheSocket) {
    GuestDaemon other(io_, settings_);
    other.start();
    settings_.applications.socket.clear();
    start();
    EXPECT_THAT(guest_->status(), HasSubstr("another process listens there"));
    other.stop();
    await("it has the socket", [&] { return guest_->status().starts_with("waiting for a host"); });
}

TEST_F(GuestDaemonTest, TakesOverASocketThatNobodyListensOn) {
    const int left_behind = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (dir_ / "channel").c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(left_behind, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(left_behind);
    start_registered();
    EXPECT_TRUE(challenge().healthy);
}

TEST_F(GuestDaemonTest, RegistersAgainWithAReloadedInterval) {
    start_registered();
    challenge();
    settings_.heartbeat.interval = milliseconds(500);
    guest_->reload(settings_);
    EXPECT_EQ(register_guest().interval, milliseconds(500));
}

TEST_F(GuestDaemonTest, KeepsItsSessionWhenAReloadChangesOnlyChecks) {
    start_registered();
    settings_.checks = {{"disk", "echo full; exit 1", milliseconds(200), milliseconds(2000), milliseconds(0)}};
    guest_->reload(settings_);
    await_reason("check disk: full");
    settings_.checks.clear();
    guest_->reload(settings_);
    await_reason("");
    EXPECT_EQ(sessions_, 1);
}

TEST_F(GuestDaemonTest, AReloadEndsNoFaultOfAnApplication) {
    start_registered();
    RawApplication application(dir_ / "apps");
    application.register_as("db");
    await("it is registered", [&] { return application.next().has_value(); });
    application.end();
    await_reason("application db: ended without deregistering");
    guest_->reload(settings_);
    await_reason("application db: ended without deregistering");
}

TEST_F(GuestDaemonTest, AVoteCountsThoughItsApplicationHasRegisteredSinceItWasAsked) {
    start_registered();
    RawApplication application(dir_ / "apps");
    application.send(app::WantActions{true});
    application.send(app::StatusRequest{});
    await("vitalwired has read it", [&] { return application.next().has_value(); });
    host_->send(wire::ActionNotify{session_, 7, model::LifecycleEvent::stop, true, milliseconds(60'000)});
    std::optional<app::Event> question;
    await("it is asked", [&] { return (question = application.next()).has_value(); });
    application.register_as("db");
    application.send(app::Vote{std::get<app::Action>(*question).id, model::VoteResult::reject, "last member"});
    const auto answer = await_pdu<wire::ActionResponse>();
    EXPECT_EQ(answer.result, model::VoteResult::reject);
    EXPECT_EQ(answer.reason, "application db: last member");
}

TEST_F(GuestDaemonTest, TellsItsStatusToWhoListens) {
    std::string told;
    guest_ = std::make_unique<GuestDaemon>(io_, settings_);
    guest_->on_status([&](const std::string& status) { told = status; });
    guest_->start();
    EXPECT_EQ(told, "waiting for a host on socket " + (dir_ / "channel") + ", healthy");
    connect_host();
    register_guest();
    await("it says so", [&] { return told == "registered, healthy"; });
}

}  // namespace
}  // namespace vitalwire::guest::test
