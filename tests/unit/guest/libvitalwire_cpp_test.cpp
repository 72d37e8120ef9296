#include <gmock/gmock.h>
#include <poll.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>
#include <vitalwire/vitalwire.hpp>

#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

using testing::HasSubstr;

class LibvitalwireCppTest : public GuestTest {
protected:
    void open() {
        application_.emplace(dir_ / "apps", [this](bool connected) { connected_ = connected; });
    }
    void register_with(std::function<vitalwire::Health()> health) {
        vitalwire::Heartbeat heartbeat;
        heartbeat.name = "db";
        heartbeat.interval = std::chrono::milliseconds(100);
        heartbeat.health = std::move(health);
        heartbeat.registration = [this](vw_result_t result, const std::string&) { registered_ = result; };
        application_->register_heartbeat(std::move(heartbeat));
    }
    void turn() override {
        GuestTest::turn();
        pollfd ready{application_ ? application_->fd() : -1, POLLIN, 0};
        if (::poll(&ready, 1, 0) == 1) application_->dispatch();
    }

    std::optional<vitalwire::Application> application_;
    bool connected_ = false;
    std::optional<vw_result_t> registered_;
};

TEST_F(LibvitalwireCppTest, AsksTheFunctionAndTellsTheHost) {
    start_registered();
    open();
    vitalwire::Health health = vitalwire::Health::bad("no licence");
    register_with([&] { return health; });
    await_reason("application db: no licence");
    health = vitalwire::Health::good();
    await_reason("");
    EXPECT_TRUE(connected_);
    EXPECT_EQ(registered_, VW_OK);
}

TEST_F(LibvitalwireCppTest, AnExceptionOfTheHealthFunctionIsUnhealthy) {
    start_registered();
    open();
    register_with([]() -> vitalwire::Health { throw std::runtime_error("cannot tell"); });
    await_reason("application db: cannot tell");
}

TEST_F(LibvitalwireCppTest, CanBeMovedWithItsRegistration) {
    start_registered();
    open();
    register_with([] { return vitalwire::Health::bad("moved"); });
    vitalwire::Application other = std::move(*application_);
    application_.emplace(std::move(other));
    await_reason("application db: moved");
}

TEST_F(LibvitalwireCppTest, DeregistersWhenItGoesOutOfScope) {
    start_registered();
    open();
    register_with([] { return vitalwire::Health::bad("x"); });
    await_reason("application db: x");
    application_.reset();
    await_reason("");
}

TEST_F(LibvitalwireCppTest, TheHealthFunctionMayDeregister) {
    start_registered();
    open();
    bool asked = false;
    register_with([&] {
        application_->deregister_heartbeat();
        asked = true;
        return vitalwire::Health::bad("never told");
    });
    await("it was asked", [&] { return asked; });
    EXPECT_TRUE(challenge().healthy);
}

TEST_F(LibvitalwireCppTest, ThrowsWhatTheLibrarySays) {
    open();
    try {
        application_->register_heartbeat({.name = "with space"});
        FAIL() << "it was accepted";
    } catch (const vitalwire::Error& error) {
        EXPECT_EQ(error.result(), VW_ERR_INVALID);
        EXPECT_THAT(error.what(), HasSubstr("name: expected 1 to 32 letters"));
    }
    EXPECT_THROW(application_->report(vitalwire::Health::good()), vitalwire::Error);
    EXPECT_THROW(vitalwire::Application(std::string(200, 'p')), vitalwire::Error);
}

TEST_F(LibvitalwireCppTest, TheGroupGoesThroughFunctionsAndSurvivesAMove) {
    start_registered();
    open();
    std::string heard, state;
    std::uint64_t missed = 0;
    vitalwire::Group group;
    group.broadcast = [&](const vw_group_message& message) {
        heard.assign(static_cast<const char*>(message.data), message.size);
        application_->unsubscribe_group();
    };
    group.dropped = [&](std::uint64_t count) { missed = count; };
    application_->subscribe_group(std::move(group));
    vitalwire::Application other = std::move(*application_);
    application_.emplace(std::move(other));
    await("it is connected", [&] { return connected_; });

    const std::string payload("a\0b", 3);
    EXPECT_GE(application_->broadcast(payload), 1U);
    EXPECT_EQ(await_group<wire::Broadcast>().payload, payload);
    application_->query([&](vw_result_t result, const std::string&, const auto& members) {
        if (result == VW_OK) state = members.at(0)->state;
    });
    const auto seq = await_group<wire::StatusQuery>().seq;
    wire::MemberState member;
    member.instance_id = "vm-1";
    member.state = "paused";
    host_->send_group(wire::StatusResponse{seq, member});
    host_->send_group(wire::StatusDone{seq, 1});
    host_->send_group(wire::Delivery{"vm-2", payload, false, 4});
    await("the message comes", [&] { return !heard.empty(); });
    EXPECT_EQ(heard, payload);
    EXPECT_EQ(state, "paused");
    EXPECT_EQ(missed, 4U);
}

TEST_F(LibvitalwireCppTest, AGroupsErrorsAreThrown) {
    open();
    EXPECT_THROW(application_->broadcast(std::string(3051, 'x')), vitalwire::Error);
    try {
        application_->query([](vw_result_t, const std::string&, const auto&) { ADD_FAILURE(); });
        ADD_FAILURE() << "there is no vitalwired";
    } catch (const vitalwire::Error& problem) {
        EXPECT_EQ(problem.result(), VW_ERR_DISCONNECTED);
    }
}

TEST_F(LibvitalwireCppTest, ActionsAreAskedAboutAndAnsweredAfterAMove) {
    start_registered();
    open();
    std::vector<std::string> asked;
    std::uint32_t last = 0;
    application_->subscribe_actions([&](const vw_action& action) {
        asked.push_back(std::string(action.event) + (action.may_reject != 0 ? " vote" : " notice"));
        last = action.id;
        if (action.timeout_ms == 0) application_->answer_action(action.id);
    });
    vitalwire::Application other = std::move(*application_);
    application_.emplace(std::move(other));
    // Asked from now on: a notice shows it.
    await("it is subscribed", [&] {
        host_->send(wire::ActionNotify{session_, 1, model::LifecycleEvent::unpause, false, base::Millis(0)});
        return !asked.empty();
    });
    host_->send(wire::ActionNotify{session_, 2, model::LifecycleEvent::stop, true, base::Millis(60'000)});
    await("the vote comes", [&] { return asked.back() == "stop vote"; });
    application_->answer_action(last, VW_ANSWER_REJECT, "last member");
    const auto answer = await_pdu<wire::ActionResponse>();
    EXPECT_EQ(answer.result, model::VoteResult::reject);
    EXPECT_THAT(answer.reason, testing::EndsWith(": last member"));
}

TEST_F(LibvitalwireCppTest, OneThatUnsubscribesFromActionsIsNotAsked) {
    start_registered();
    open();
    std::vector<std::string> asked;
    application_->subscribe_actions([&](const vw_action& action) {
        asked.emplace_back(action.event);
        application_->answer_action(action.id);
    });
    await("it is subscribed", [&] {
        host_->send(wire::ActionNotify{session_, 1, model::LifecycleEvent::unpause, false, base::Millis(0)});
        return !asked.empty();
    });
    application_->unsubscribe_actions();
    host_->send(wire::ActionNotify{session_, 2, model::LifecycleEvent::stop, true, base::Millis(60'000)});
    EXPECT_EQ(await_pdu<wire::ActionResponse>().result, model::VoteResult::accept);
    EXPECT_THAT(asked, testing::Each("unpause"));
}

}  // namespace
}  // namespace vitalwire::guest::test
