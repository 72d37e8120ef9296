#include "tests/unit/host/core/agent_core_fixture.hpp"

namespace vitalwire::host {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;

/// Notices of what the cloud has done, for guests that cannot be reached at the moment.
class AgentCoreNoticesTest : public AgentCoreTest {
protected:
    void away_and_notified_of_resize() {
        registered_and_asked();
        core_->channel_down(GuestKey(kGuest), ChannelKind::native, at());
        ask(model::LifecycleEvent::resize_end);
        ASSERT_THAT(decided_, ElementsAre("waiting"));
    }
    void restart_and_connect(const std::string& boot = "boot-1") {
        restart(boot);
        found();
        listed();
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    }
};

TEST_F(AgentCoreNoticesTest, ItIsSentWhenItsChannelIsBack) {
    away_and_notified_of_resize();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    EXPECT_THAT(notified_, ElementsAre("resize_end notice")) << "its session goes on, it does not register again";
}

TEST_F(AgentCoreNoticesTest, ItOutlivesTheAgent) {
    away_and_notified_of_resize();
    after(minutes(9));
    restart_and_connect();
    EXPECT_THAT(notified_, ElementsAre("resize_end notice"));
    notified_.clear();
    restart_and_connect();
    EXPECT_THAT(notified_, IsEmpty()) << "once";
}

TEST_F(AgentCoreNoticesTest, OneThatIsTooLateIsCountedAndNotSent) {
    away_and_notified_of_resize();
    after(minutes(6));
    restart();
    now_ += minutes(5);
    restart_and_connect();
    EXPECT_THAT(notified_, IsEmpty());
    EXPECT_EQ(core_->actions().counters().expired, 1U);
    EXPECT_THAT(disk_["notices"], IsEmpty());
}

TEST_F(AgentCoreNoticesTest, WithTheHostItsGuestsWereRestarted) {
    away_and_notified_of_resize();
    restart_and_connect("boot-2");
    EXPECT_THAT(notified_, IsEmpty());
    EXPECT_EQ(core_->actions().counters().expired, 1U);
}

}  // namespace
}  // namespace vitalwire::host
