#include "tests/unit/host/core/agent_core_fixture.hpp"

namespace vitalwire::host {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// A list of policies that does not name the guest, or a source that does not find it, ends none of its faults.
class AgentCoreAbsenceTest : public AgentCoreTest {
protected:
    void policies(bool named, bool heartbeat = true) {
        model::GuestPolicy policy;
        policy.guest = kGuest;
        policy.heartbeat = heartbeat;
        bus::Policies message;
        message.complete = true;
        if (named) message.policies.push_back(policy);
        core_->controller_sent(0, message, at());
        after(Millis(0));
    }
    std::string last_problem() const {
        const auto problems = sent<bus::AgentProblems>().back().problems;
        return problems.empty() ? "" : problems.front().what + ": " + problems.front().detail;
    }
    bool known_policy() const { return core_->monitor().policies().contains(kGuest); }
    void be_lost() {
        listed();
        connect_controller();
        found();
        registered();
        after(seconds(3));
        ASSERT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    }
};

TEST_F(AgentCoreAbsenceTest, AGuestThatNoListNamesAnyMoreIsNotSwitchedOffWhileItsFaultIsOpen) {
    monitor_settings_.only_enabled = true;
    restart();
    connect_controller();
    policies(true);
    found();
    registered();
    after(seconds(3));
    ASSERT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    policies(false);
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    restart();
    EXPECT_TRUE(known_policy()) << "also after a restart";
    connect_controller();
    found();
    listed();
    policies(false);
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    after(seconds(1));
    answer();
    after(seconds(1));
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_FALSE(known_policy()) << "now the list counts";
}

TEST_F(AgentCoreAbsenceTest, APolicyThatCannotBeReadAfterARestartIsNoOff) {
    monitor_settings_.only_enabled = true;
    restart();
    connect_controller();
    policies(true);
    found();
    registered();
    after(seconds(3));
    ASSERT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    disk_["policies"].clear();
    restart();
    found();
    listed();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    after(seconds(10));
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    connect_controller();
    policies(false);
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    answer();
    after(seconds(1));
    EXPECT_THAT(open_faults(), IsEmpty());
    policies(false);
    after(seconds(10));
    EXPECT_THAT(open_faults(), IsEmpty()) << "it is not asked any more";
}

TEST_F(AgentCoreAbsenceTest, AnExplicitOffEndsIt) {
    monitor_settings_.only_enabled = true;
    restart();
    connect_controller();
    policies(true);
    found();
    registered();
    after(seconds(3));
    policies(true, false);
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreAbsenceTest, AGuestIsNotGoneBecauseThePlaceWhereItWasFoundIs) {
    be_lost();
    for (int starts = 0; starts < 2; ++starts) {
        restart();
        connect_controller();
        listed({"elsewhere"});
        after(seconds(10));
        EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
        EXPECT_EQ(last_problem(), "guests that were known are not found: 1, such as g1");
        EXPECT_TRUE(sent<bus::Faults>().back().unconfirmed);
    }
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    after(seconds(3));
    EXPECT_EQ(last_problem(), "");
    EXPECT_FALSE(sent<bus::Faults>().back().unconfirmed);
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    answer();
    EXPECT_THAT(open_faults(), IsEmpty()) << "its session goes on";
    after(seconds(3));
    restart();
    listed({"elsewhere"});
    EXPECT_THAT(open_faults(), IsEmpty()) << "now that is where it was known";
}

TEST_F(AgentCoreAbsenceTest, AGuestWhoseSocketHadLostItsNameIsNotGoneAfterARestart) {
    be_lost();
    listed({"here and without a name"});
    for (int starts = 0; starts < 2; ++starts) {
        restart();
        connect_controller();
        listed();
        after(seconds(10));
        EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
        EXPECT_EQ(last_problem(), "guests that were known are not found: 1, such as g1");
    }
}

TEST_F(AgentCoreAbsenceTest, AGuestThatAnEmptyListDoesNotNameIsNotGone) {
    be_lost();
    restart();
    listed({"here", false});
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    core_->machine_gone(kGuest, heartbeat::StopReason::removed, at());
    EXPECT_THAT(open_faults(), IsEmpty()) << "its hypervisor has said so";
}

TEST_F(AgentCoreAbsenceTest, AMissingGuestIsForgottenWithItsLastFault) {
    be_lost();
    restart();
    connect_controller();
    listed({"elsewhere"});
    model::Fault closed = lost("f1");
    closed.revision = 7;
    closed.cleared_at = at().wall;
    closed.clear_reason = "deleted";
    core_->controller_sent(0, bus::HandBack{{}, {closed}, true, {}}, at());
    after(seconds(2));
    EXPECT_EQ(last_problem(), "");
    EXPECT_THAT(disk_["guests"], IsEmpty());
}

TEST_F(AgentCoreAbsenceTest, AMissingGuestWithoutAFaultIsForgottenAfterAnHour) {
    listed();
    connect_controller();
    found();
    registered();
    restart();
    connect_controller();
    listed({"elsewhere"});
    after(std::chrono::minutes(59));
    EXPECT_EQ(last_problem(), "guests that were known are not found: 1, such as g1");
    EXPECT_THAT(disk_["guests"], testing::SizeIs(1));
    after(std::chrono::minutes(2));
    EXPECT_EQ(last_problem(), "");
    EXPECT_THAT(disk_["guests"], IsEmpty());
    EXPECT_EQ(disk_["places"]["hypervisor"], "elsewhere");
}

TEST_F(AgentCoreAbsenceTest, AfterARestartOfTheHostItIsKnownToBeDown) {
    be_lost();
    restart("boot-2");
    listed({"elsewhere", false});
    EXPECT_THAT(open_faults(), testing::Contains(testing::HasSubstr("vm_crashed host_restarted")));
}

TEST_F(AgentCoreAbsenceTest, AGuestThatChangedWhileAllWereReadIsNotGone) {
    be_lost();
    restart();
    core_->add_source("another");
    listed({"here", true, {kGuest}});
    core_->source_listed("another", {"there"}, at());
    EXPECT_THAT(open_faults(), ElementsAre(testing::HasSubstr("f1 heartbeat_lost")));
    core_->machine(kGuest, heartbeat::Started{}, at());
    after(std::chrono::minutes(1));
    EXPECT_THAT(open_faults(), ElementsAre(testing::HasSubstr("f1 heartbeat_lost")));
    core_->machine_gone(kGuest, heartbeat::StopReason::domain_stopped, at());
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreAbsenceTest, AfterARestartOfTheHostACrashStaysAndAGuestThatRebootedIsKnownToBeDown) {
    for (const bool crashed : {false, true}) {
        disk_.clear();
        restart();
        found();
        listed();
        registered();
        if (crashed) core_->machine(kGuest, heartbeat::Crashed{heartbeat::CrashReason::failed}, at());
        if (!crashed) core_->machine(kGuest, heartbeat::Rebooted{}, at());
        restart(crashed ? "boot-3" : "boot-2");
        core_->machine(kGuest, heartbeat::FoundOff{}, at());
        listed();
        EXPECT_THAT(open_faults(),
                    ElementsAre(testing::HasSubstr(crashed ? "vm_crashed failed" : "vm_crashed host_restarted")));
        core_->machine(kGuest, heartbeat::FoundOff{}, at());
        EXPECT_THAT(open_faults(), testing::SizeIs(1)) << "nor does the next look end it";
    }
}

TEST_F(AgentCoreAbsenceTest, AnEmptyPlaceThatWasThereSaysThatItIsGone) {
    be_lost();
    restart();
    listed();
    EXPECT_THAT(open_faults(), IsEmpty());
}

}  // namespace
}  // namespace vitalwire::host
