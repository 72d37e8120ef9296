// AlarmManager: what one controller has raised and another primary ends.
#include "tests/unit/controller/alarms/alarm_manager_fixture.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(AlarmManagerTest, ClearsARaiseThatArrivesWhenItsAgentIsBackWithAnotherPrimary) {
    start();
    receipts["a"].hold = true;
    agent_up();
    report(f1);
    report(cleared(f1));
    agent_down();
    agent_up(false);
    receipts["a"].hold = false;
    take("a");
    for (auto& done : std::exchange(receipts["a"].held, {}))
        done(Outcome::confirmed());
    loop.poll();
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2")) << "the other one has delivered both before";
}

TEST_F(AlarmManagerTest, LeavesAfterARestartToThePrimaryWhatItsAgentStillReportsAndClearsItLater) {
    start();
    receipts["a"].answer = Outcome::retry("HTTP 503");
    agent_up();
    report(f1);
    report(cleared(f1));
    receipts["a"].answer = Outcome::confirmed();
    restart();
    agent_up(false);
    snapshot({cleared(f1)});
    EXPECT_THAT(take("a"), IsEmpty());
    alarms->tick(base::Clock::now() + std::chrono::minutes(2));
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2")) << "our raise may have come after the primary's clear";
    loop.poll();
    EXPECT_EQ(alarms->table().find(f1.id), nullptr);
}

}  // namespace
}  // namespace vitalwire::controller
