#include "tests/unit/controller/alarms/alarm_manager_fixture.hpp"

namespace vitalwire::controller {
namespace {

using model::Fault;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Sink "a" is sent everything; "b" what the policy of the test decides.
class AlarmManagerPolicyTest : public AlarmManagerTest {
protected:
    AlarmManagerPolicyTest() {
        policies["a"] = {Policy{}};
        later.hold_off = milliseconds(300);
        policies["b"] = {later};
    }
    void given(const Policy& policy) { policies["b"] = {policy}; }
    void begin() {
        start({"a", "b"});
        agent_up();
    }
    /// A fault that opens now.
    static Fault fresh(const std::string& id = "f1") {
        Fault fault = open_fault("g1", id);
        fault.opened_at = std::chrono::system_clock::now();
        fault.updated_at = fault.opened_at;
        return fault;
    }
    static Fault over(Fault fault) {
        fault = cleared(std::move(fault));
        fault.cleared_at = std::chrono::system_clock::now();
        return fault;
    }

    Policy later;
};

TEST_F(AlarmManagerPolicyTest, TheSecondStepOfAnEscalationComesAfterItsHoldOff) {
    begin();
    const Fault fault = fresh();
    report(fault);
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
    EXPECT_THAT(take("b"), IsEmpty());
    EXPECT_THAT(confirmed, IsEmpty()) << "one sink has yet to receive it";
    ASSERT_TRUE(loop.until([&] { return !receipts["b"].lines.empty(); }));
    EXPECT_GE(std::chrono::system_clock::now() - wall, milliseconds(290)) << "since it was received";
    EXPECT_THAT(take("b"), ElementsAre("f1 opened 1"));
    ASSERT_TRUE(loop.until([&] { return !confirmed.empty(); }));
    report(over(fault));
    EXPECT_THAT(take("b"), ElementsAre("f1 cleared 2"));
    EXPECT_THAT(confirmed, ElementsAre("f1 1", "f1 2"));
}

TEST_F(AlarmManagerPolicyTest, AFaultThatClearsWithinTheHoldOffIsAcknowledgedWithoutSendingIt) {
    later.hold_off = seconds(60);
    given(later);
    begin();
    const Fault fault = fresh();
    report(fault);
    report(over(fault));
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1", "f1 cleared 2"));
    EXPECT_THAT(take("b"), IsEmpty());
    EXPECT_THAT(confirmed, ElementsAre("f1 2"));
    EXPECT_TRUE(alarms->table().all().empty());
}

TEST_F(AlarmManagerPolicyTest, AFaultThatNoPolicySendsAnywhereIsConfirmed) {
    later.kinds = {"unhealthy"};
    policies["a"] = {later};
    given(later);
    begin();
    report(fresh());
    EXPECT_THAT(take("a"), IsEmpty());
    EXPECT_THAT(confirmed, ElementsAre("f1 1"));
}

TEST_F(AlarmManagerPolicyTest, AHeldFaultIsDeliveredAfterARestartToo) {
    later.hold_off = seconds(1);
    given(later);
    begin();
    const Fault fault = fresh();
    report(fault);
    ASSERT_TRUE(loop.until([&] { return store->pending() == 0; }));
    restart({"a", "b"});
    agent_up();
    snapshot({fault});
    ASSERT_TRUE(loop.until([&] { return !receipts["b"].lines.empty(); }));
    EXPECT_THAT(take("b"), ElementsAre("f1 opened 1"));
    EXPECT_THAT(take("a"), IsEmpty()) << "it was sent before";
}

TEST_F(AlarmManagerPolicyTest, AHeldFaultOfAnotherPrimaryIsNotDelivered) {
    begin();
    const Fault fault = fresh();
    report(fault);
    set_primary(false);
    ASSERT_FALSE(loop.until([&] { return !receipts["b"].lines.empty(); }, milliseconds(600)));
    report(over(fault));
    EXPECT_THAT(take("b"), IsEmpty());
}

TEST_F(AlarmManagerPolicyTest, WaitsUntilTheInventoryIsKnown) {
    Policy gold;
    gold.projects = {"gold"};
    given(gold);
    inventory_known = false;
    begin();
    report(fresh());
    EXPECT_THAT(take("b"), IsEmpty());
    EXPECT_THAT(confirmed, IsEmpty());
    inventory_known = true;
    project = "gold";
    alarms->reconsider_all();
    loop.poll();
    EXPECT_THAT(take("b"), ElementsAre("f1 opened 1"));
    EXPECT_THAT(confirmed, ElementsAre("f1 1"));
}

TEST_F(AlarmManagerPolicyTest, AGuestThatTheInventoryNamesLateIsDeliveredThough) {
    Policy gold;
    gold.projects = {"gold"};
    given(gold);
    begin();
    Fault fault = fresh();
    report(fault);
    EXPECT_THAT(confirmed, ElementsAre("f1 1"));
    fault.delivered = 1;
    snapshot({fault});
    project = "gold";
    InventoryGuest guest;
    guest.id = fault.guest;
    alarms->reconsider({GuestChange{std::nullopt, guest}});
    loop.poll();
    EXPECT_THAT(take("b"), ElementsAre("f1 opened 1"));
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1")) << "not once more";
}

TEST_F(AlarmManagerPolicyTest, ASinkThatIsRemovedIsNotWaitedFor) {
    later.hold_off = seconds(60);
    given(later);
    begin();
    report(fresh());
    EXPECT_THAT(confirmed, IsEmpty());
    alarms->remove_sink("b");
    alarms->sinks_changed();
    loop.poll();
    EXPECT_THAT(confirmed, ElementsAre("f1 1"));
    EXPECT_EQ(alarms->find_sink("b"), nullptr);
}

}  // namespace
}  // namespace vitalwire::controller
