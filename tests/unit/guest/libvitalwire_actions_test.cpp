#include <gmock/gmock.h>
#include <poll.h>
#include <vitalwire/vitalwire.h>

#include <string>
#include <vector>

#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

using base::Millis;
using model::LifecycleEvent;
using model::VoteResult;
using testing::ElementsAre;
using testing::IsEmpty;

/// An application that is asked, and answers when the test says so.
class AskedApplication {
public:
    explicit AskedApplication(const std::string& socket) {
        vw_options options = VW_OPTIONS_INIT;
        options.socket_path = socket.c_str();
        EXPECT_EQ(vw_open(&options, &handle), VW_OK);
        const auto note = [](vw_t* vw, const vw_action* action, void* self) {
            auto& here = *static_cast<AskedApplication*>(self);
            // How a test finds out that it is asked at all.
            if (action->timeout_ms == 0) {
                here.is_asked = true;
                vw_action_answer(vw, action->id, VW_ANSWER_READY, nullptr);
                return;
            }
            here.id = action->id;
            here.asked.push_back(std::string(action->event) + (action->may_reject ? " vote " : " notice ") +
                                 std::to_string(action->timeout_ms));
        };
        EXPECT_EQ(vw_action_subscribe(handle, note, this), VW_OK);
    }
    ~AskedApplication() {
        if (handle != nullptr) vw_close(handle);
    }
    AskedApplication(const AskedApplication&) = delete;
    AskedApplication& operator=(const AskedApplication&) = delete;

    void poll_once() {
        pollfd ready{vw_fd(handle), POLLIN, 0};
        if (handle == nullptr || ::poll(&ready, 1, 0) != 1) return;
        EXPECT_EQ(vw_dispatch(handle, VW_DISPATCH_ALL), VW_OK);
    }
    vw_result_t answer(vw_answer_t answer, const char* reason = nullptr) {
        return vw_action_answer(handle, id, answer, reason);
    }
    void leave() { EXPECT_EQ(vw_close(std::exchange(handle, nullptr)), VW_OK); }

    vw_t* handle = nullptr;
    bool is_asked = false;
    std::uint32_t id = 0;
    std::vector<std::string> asked;
};

class LibvitalwireActionsTest : public GuestTest {
protected:
    /// Connected and asked before from now on: a question shows it.
    AskedApplication& application() {
        applications_.push_back(std::make_unique<AskedApplication>(dir_ / "apps"));
        AskedApplication& added = *applications_.back();
        await("it is asked", [&] {
            ask(LifecycleEvent::unpause, false, Millis(0));
            return added.is_asked;
        });
        return added;
    }
    void ask(LifecycleEvent event, bool vote = true, Millis timeout = Millis(60'000)) {
        host_->send(wire::ActionNotify{session_, ++invocations_, event, vote, timeout});
    }
    wire::ActionResponse response() { return await_pdu<wire::ActionResponse>(); }
    void turn() override {
        GuestTest::turn();
        for (const auto& each : applications_)
            each->poll_once();
    }

    std::vector<std::unique_ptr<AskedApplication>> applications_;
    std::int64_t invocations_ = 0;
};

TEST_F(LibvitalwireActionsTest, AnApplicationRejectsAnActionWithAReason) {
    start_registered();
    auto& app = application();
    ask(LifecycleEvent::stop);
    await("it is asked", [&] { return !app.asked.empty(); });
    EXPECT_THAT(app.asked, ElementsAre("stop vote 60000"));
    EXPECT_EQ(app.answer(VW_ANSWER_REJECT, "last member"), VW_OK);
    const auto answer = response();
    EXPECT_EQ(answer.invocation_id, invocations_);
    EXPECT_EQ(answer.event, LifecycleEvent::stop);
    EXPECT_EQ(answer.result, VoteResult::reject);
    EXPECT_THAT(answer.reason, testing::EndsWith(": last member"));
}

TEST_F(LibvitalwireActionsTest, TheActionWaitsUntilEveryApplicationIsReady) {
    start_registered();
    auto& first = application();
    auto& second = application();
    ask(LifecycleEvent::live_migrate_begin, false);
    await("both are asked", [&] { return !first.asked.empty() && !second.asked.empty(); });
    EXPECT_EQ(first.answer(VW_ANSWER_READY), VW_OK);
    challenge();  // what was sent before it is handled
    EXPECT_FALSE(host_->next<wire::ActionResponse>().has_value());
    EXPECT_EQ(second.answer(VW_ANSWER_READY), VW_OK);
    EXPECT_EQ(response().result, VoteResult::complete);
}

TEST_F(LibvitalwireActionsTest, AnApplicationThatIsSilentConsentsAndIsNamed) {
    start_registered();
    application();
    ask(LifecycleEvent::stop, true, Millis(100));
    const auto answer = response();
    EXPECT_EQ(answer.result, VoteResult::timeout);
    EXPECT_THAT(answer.reason, testing::HasSubstr("did not answer in time"));
}

TEST_F(LibvitalwireActionsTest, AnApplicationThatEndsIsNotWaitedFor) {
    start_registered();
    auto& app = application();
    ask(LifecycleEvent::stop);
    await("it is asked", [&] { return !app.asked.empty(); });
    app.leave();
    EXPECT_EQ(response().result, VoteResult::accept);
}

TEST_F(LibvitalwireActionsTest, OneThatUnsubscribesIsNotAsked) {
    start_registered();
    auto& app = application();
    ASSERT_EQ(vw_action_subscribe(app.handle, nullptr, nullptr), VW_OK);
    ask(LifecycleEvent::stop);
    EXPECT_EQ(response().result, VoteResult::accept);
    EXPECT_THAT(app.asked, IsEmpty());
}

TEST_F(LibvitalwireActionsTest, WrongArgumentsAreNamed) {
    start_registered();
    auto& app = application();
    EXPECT_EQ(vw_action_subscribe(nullptr, nullptr, nullptr), VW_ERR_INVALID);
    EXPECT_EQ(vw_action_answer(app.handle, UINT32_MAX, VW_ANSWER_READY, nullptr), VW_ERR_INVALID);
}

TEST_F(LibvitalwireActionsTest, WithoutVitalwiredAnAnswerFails) {
    start_registered();
    auto& app = application();
    guest_.reset();
    await("the connection ends", [&] { return vw_is_connected(app.handle) == 0; });
    EXPECT_EQ(app.answer(VW_ANSWER_READY), VW_ERR_DISCONNECTED);
}

}  // namespace
}  // namespace vitalwire::guest::test
