#include "tests/unit/host/core/agent_core_fixture.hpp"

namespace vitalwire::host {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// A restart while the source of guests cannot be asked.
class AgentCoreRecallTest : public AgentCoreTest {
protected:
    AgentCoreRecallTest() {
        found();
        listed();
        core_->keep_channel({kGuest, ChannelKind::native, "/channel", "1:2 3"});
        registered();
    }
    void restart_blind(const std::string& boot = "boot-1") {
        restart(boot);
        connect_controller();
        core_->source_problem("hypervisor", "libvirtd is stopped");
        after(seconds(2));
    }
    void connect_recalled() {
        core_->channel_recalled(kGuest, ChannelKind::native, at());
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    }
    std::vector<std::string> problems() const {
        std::vector<std::string> out;
        for (const auto& problem : core_->problems().list())
            out.push_back(problem.what + ": " + problem.detail);
        return out;
    }
    void recall(const std::vector<KeptChannel>& channels) override { recalled_ = channels; }
    void end_recall(const std::set<GuestId>& keep) override { kept_ = keep; }

    std::vector<KeptChannel> recalled_;
    std::set<GuestId> kept_;
};

TEST_F(AgentCoreRecallTest, AGuestThatIsKnownAndNotWatchedIsShown) {
    restart_blind();
    EXPECT_EQ(core_->monitor().totals().unwatched, 1U);
    std::vector<std::string> shown;
    core_->monitor().for_each_unwatched([&](const model::GuestReport& guest) {
        shown.push_back(guest.guest.str() + ' ' + guest.state + ' ' + guest.hold);
    });
    EXPECT_THAT(shown, ElementsAre("g1 unwatched not_listed"));
    EXPECT_THAT(
        problems(),
        testing::Contains("guests that were known are not watched: 1, such as g1: hypervisor has not listed them"));
    bool told = false;
    const auto problems_sent = sent<bus::AgentProblems>();
    for (const auto& problem : problems_sent.back().problems)
        told = told || (problem.what == "guests that were known are not watched" && problem.guest == kGuest);
    EXPECT_TRUE(told) << "the controllers know which";
    after(seconds(60));
    EXPECT_THAT(open_faults(), IsEmpty()) << "nothing is concluded from that";
    core_->source_problem("hypervisor", "");
    found();
    listed();
    EXPECT_EQ(core_->monitor().totals().unwatched, 0U);
    EXPECT_THAT(problems(), IsEmpty());
}

TEST_F(AgentCoreRecallTest, AChannelIsRecalledOnlyWhenItsSourceCannotBeAsked) {
    restart();
    after(seconds(1));
    EXPECT_THAT(recalled_, IsEmpty());
    core_->source_problem("hypervisor", "libvirtd is stopped");
    EXPECT_THAT(recalled_, ElementsAre(KeptChannel{kGuest, ChannelKind::native, "/channel", "1:2 3", Millis(300)}));
}

TEST_F(AgentCoreRecallTest, ARecalledGuestIsJudgedFromItsFirstAnswerOn) {
    restart_blind();
    connect_recalled();
    EXPECT_EQ(core_->monitor().totals().unwatched, 0U);
    after(seconds(1));
    answer();
    EXPECT_EQ(core_->monitor().report(kGuest)->hold, "");
    after(seconds(2));
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
}

TEST_F(AgentCoreRecallTest, ARecalledGuestThatDoesNotAnswerMayBePaused) {
    restart_blind();
    connect_recalled();
    after(seconds(60));
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_EQ(core_->monitor().report(kGuest)->hold, "not_listed");
    found();
    listed();
    after(seconds(3));
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent")) << "now it is known to run";
}

TEST_F(AgentCoreRecallTest, ARecalledGuestThatWasPausedIsNotJudgedBeforeItsSourceHasListed) {
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::paused}, at());
    restart_blind();
    connect_recalled();
    after(seconds(600));
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_EQ(core_->monitor().report(kGuest)->hold, "paused");
    found();
    core_->machine(kGuest, heartbeat::Released{}, at());
    listed();
    after(seconds(3));
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
}

TEST_F(AgentCoreRecallTest, NothingIsRecalledFromBeforeAStartOfTheHost) {
    restart_blind("boot-2");
    EXPECT_THAT(recalled_, IsEmpty());
    EXPECT_THAT(disk_["channels"], IsEmpty());
}

TEST_F(AgentCoreRecallTest, AChannelThatWasTakenAwayIsNotRecalled) {
    core_->channel_removed(kGuest, ChannelKind::native, at());
    restart_blind();
    EXPECT_THAT(recalled_, IsEmpty());
}

TEST_F(AgentCoreRecallTest, AGuestThatIsGoneIsNotRecalled) {
    core_->machine_gone(kGuest, heartbeat::StopReason::migrated, at());
    restart_blind();
    EXPECT_THAT(recalled_, IsEmpty());
    EXPECT_EQ(core_->monitor().totals().unwatched, 0U);
}

TEST_F(AgentCoreRecallTest, AGuestThatTheListDoesNotNameIsNotRecalledAfterIt) {
    restart();
    listed();
    restart_blind();
    EXPECT_THAT(recalled_, IsEmpty());
}

TEST_F(AgentCoreRecallTest, ARecalledGuestThatNoSourceListsIsWatchedAndNamedWhileItIsConnected) {
    restart_blind();
    connect_recalled();
    after(seconds(1));
    answer();
    core_->source_problem("hypervisor", "");
    listed();
    EXPECT_THAT(kept_, ElementsAre(kGuest));
    EXPECT_THAT(problems(), ElementsAre("machines cannot be read: 1 guest, g1: no source of guests lists it, "
                                        "and its channel is connected"));
    found();
    EXPECT_THAT(problems(), IsEmpty()) << "now it does";
}

TEST_F(AgentCoreRecallTest, ARecalledGuestThatEndedBeforeItsSourceListedIsAskedAbout) {
    restart_blind();
    connect_recalled();
    after(seconds(1));
    answer();
    core_->channel_down(GuestKey(kGuest), ChannelKind::native, at());
    asked_.clear();
    listed();
    EXPECT_THAT(asked_, ElementsAre("g1"));
}

}  // namespace
}  // namespace vitalwire::host
