// A maintenance that an operator has begun at a controller, as the guests of an agent see it.
#include "agent_core_fixture.hpp"

namespace vitalwire::host {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;

class AgentCoreMaintenanceTest : public AgentCoreTest {
protected:
    using Items = std::vector<bus::GuestMaintenance::Item>;

    AgentCoreMaintenanceTest() {
        registered_and_asked();
        connect_controller();
    }
    void primary_sends(const Items& items, const std::vector<base::GuestId>& over = {}) {
        core_->controller_sent(0, bus::GuestMaintenance{true, true, items, over}, at());
    }
    Items notifying() const { return {{kGuest, true, {}}}; }
    std::vector<std::string> notified() { return std::exchange(notified_, {}); }
};

TEST_F(AgentCoreMaintenanceTest, H42_H43_AGuestIsNotifiedOnceOfItsBeginAndItsEnd) {
    primary_sends(notifying());
    primary_sends(notifying());
    EXPECT_THAT(notified(), ElementsAre("maintenance_begin notice"));
    primary_sends({});
    primary_sends({});
    EXPECT_THAT(notified(), ElementsAre("maintenance_end notice"));
}

TEST_F(AgentCoreMaintenanceTest, AListInPiecesCountsWhenItIsComplete) {
    core_->controller_sent(0, bus::GuestMaintenance{true, false, notifying(), {}}, at());
    EXPECT_THAT(notified(), IsEmpty());
    core_->controller_sent(0, bus::GuestMaintenance{false, true, {{base::GuestId("g2"), true, {}}}, {}}, at());
    EXPECT_THAT(notified(), ElementsAre("maintenance_begin notice"));
}

TEST_F(AgentCoreMaintenanceTest, H42_OneThatRegistersWhileItLastsIsNotified) {
    core_->channel_down(GuestKey(kGuest), ChannelKind::native, at());
    primary_sends(notifying());
    EXPECT_THAT(notified(), IsEmpty());
    registered_and_asked();
    EXPECT_THAT(notified(), ElementsAre("maintenance_begin notice"));
    registered_and_asked();
    EXPECT_THAT(notified(), ElementsAre("maintenance_begin notice")) << "its software may be another now";
}

TEST_F(AgentCoreMaintenanceTest, H43_AnEndThatCannotBeSentIsSentWithTheNextRegistration) {
    primary_sends(notifying());
    core_->channel_down(GuestKey(kGuest), ChannelKind::native, at());
    notified_.clear();
    primary_sends({});
    registered_and_asked();
    registered_and_asked();
    EXPECT_THAT(notified(), ElementsAre("maintenance_end notice"));
}

TEST_F(AgentCoreMaintenanceTest, ARestartOfTheAgentLosesNoEndAndRepeatsNoBegin) {
    primary_sends(notifying());
    notified_.clear();
    restart();
    connect_controller();
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    after(Millis(400));
    answer();
    primary_sends(notifying());
    EXPECT_THAT(notified(), IsEmpty());
    primary_sends({});
    EXPECT_THAT(notified(), ElementsAre("maintenance_end notice"));
}

TEST_F(AgentCoreMaintenanceTest, OneThatCameFromAHostInMaintenanceIsNotifiedOfTheEnd) {
    primary_sends({}, {kGuest});
    EXPECT_THAT(notified(), ElementsAre("maintenance_end notice"));
}

TEST_F(AgentCoreMaintenanceTest, OneThatWantsNoNoticeGetsNone) {
    core_->heartbeat_received(GuestKey(kGuest), Dialect::native, wire::Init{}, at());
    after(Millis(0));
    primary_sends(notifying());
    primary_sends({});
    EXPECT_THAT(notified(), IsEmpty());
}

TEST_F(AgentCoreMaintenanceTest, AForcedActionIsNotVotedOnUntilThatEnds) {
    primary_sends({{kGuest, false, at().wall + minutes(10)}});
    ask(model::LifecycleEvent::stop);
    EXPECT_THAT(notified(), ElementsAre("stop notice"));
    EXPECT_EQ(core_->actions().counters().forced, 1U);
    primary_sends({{kGuest, false, at().wall}});
    ask(model::LifecycleEvent::reboot);
    EXPECT_THAT(notified(), ElementsAre("reboot vote")) << "it expires without a word of the controller";
}

TEST_F(AgentCoreMaintenanceTest, ItsEndIsByTheClockOfTheControllerAndNotByTheOneHere) {
    const auto controller = [this] { return at().wall + hours(24); };
    core_->controller_sent(0, bus::Welcome{1, "ctl-1", controller()}, at());
    primary_sends({{kGuest, false, controller() + Millis(150)}});
    after(Millis(100));
    ask(model::LifecycleEvent::stop);
    EXPECT_THAT(notified(), ElementsAre("stop notice"));
    after(Millis(100));
    ask(model::LifecycleEvent::stop);
    EXPECT_THAT(notified(), ElementsAre("stop vote")) << "though the clock here stands still";
}

}  // namespace
}  // namespace vitalwire::host
