#include "controller/alarms/alarm_manager.hpp"
#include "tests/unit/controller/alarms/alarm_manager_fixture.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A sink that is taken out of the configuration, and put back, while the controller does not run.
class ReceiverChangesTest : public AlarmManagerTest {
protected:
    void SetUp() override {
        start({"a", "b"});
        agent_up();
        report(f1);
        ASSERT_THAT(take("b"), ElementsAre("f1 opened 1"));
        ASSERT_TRUE(loop.until([&] { return store->pending() == 0; }));
    }
    void restart_with(std::vector<std::string> sinks) {
        ASSERT_TRUE(loop.until([&] { return store->pending() == 0; }));
        restart(std::move(sinks));
        agent_up();
        loop.poll();
    }
};

TEST_F(ReceiverChangesTest, AReceiverThatComesBackIsToldOfTheEndThatItMissed) {
    restart_with({"a"});
    report(cleared(f1));
    restart_with({"a", "b"});
    EXPECT_THAT(take("b"), ElementsAre("f1 cleared 2"));
    EXPECT_THAT(take("a"), IsEmpty()) << "it was told when it happened";
}

TEST_F(ReceiverChangesTest, AReceiverThatWasTakenOutWithItsEndUnderWayIsToldWhenItComesBack) {
    receipts["b"].hold = true;
    report(cleared(f1));
    restart_with({"a"});
    snapshot({});
    receipts["b"].hold = false;
    restart_with({"a", "b"});
    EXPECT_THAT(take("b"), ElementsAre("f1 cleared 2"));
}

TEST_F(ReceiverChangesTest, AnotherReceiverUnderTheNameIsNotToldOfWhatItNeverSaw) {
    restart_with({"a"});
    report(cleared(f1));
    receivers["b"] = "another";
    restart_with({"a", "b"});
    EXPECT_THAT(take("b"), IsEmpty());
}

TEST_F(ReceiverChangesTest, AFaultThatLastsIsRaisedAgainAtOneThatComesBack) {
    restart_with({"a"});
    restart_with({"a", "b"});
    report(f1);
    EXPECT_THAT(take("b"), ElementsAre("f1 opened 1"));
}

}  // namespace
}  // namespace vitalwire::controller
