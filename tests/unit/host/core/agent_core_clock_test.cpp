#include "tests/unit/host/core/agent_core_fixture.hpp"

namespace vitalwire::host {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// A clock that goes as the steady one does, unless it is set.
class AgentCoreClockTest : public AgentCoreTest {
protected:
    base::Moment here() const { return {now_, wall(now_) + set_by_}; }
    static base::WallTime wall(base::TimePoint steady) {
        return base::WallTime{} + std::chrono::hours(1000) +
               std::chrono::duration_cast<base::WallTime::duration>(steady.time_since_epoch());
    }
    void welcomed(seconds ahead) {
        core_->link_up(0, here());
        core_->controller_sent(0, bus::Welcome{1, "ctl-1", here().wall + ahead}, here());
    }
    void pass(base::Duration time) {
        const base::TimePoint until = now_ + time;
        while (core_->next_due() <= until) {
            now_ = std::max(now_, core_->next_due());
            core_->probe(now_);
            core_->tick(here());
        }
        now_ = until;
    }
    std::vector<std::string> problems() const {
        std::vector<std::string> out;
        for (const auto& problem : core_->problems().list()) {
            if (problem.what == "the clock differs from that of a controller") out.push_back(problem.detail);
        }
        return out;
    }

    base::WallTime::duration set_by_{};
};

TEST_F(AgentCoreClockTest, OneThatDiffersFromTheControllersIsAProblemWhichTheControllerIsSent) {
    welcomed(seconds(37));
    EXPECT_THAT(problems(), ElementsAre("it is 37 s behind ctl-1"));
    pass(seconds(2));
    const auto reported = sent<bus::AgentProblems>();
    ASSERT_FALSE(reported.empty());
    EXPECT_EQ(reported.back().problems.at(0).detail, "it is 37 s behind ctl-1");
    core_->controller_sent(0, bus::Welcome{1, "ctl-1", here().wall}, here());
    EXPECT_THAT(problems(), IsEmpty()) << "the controller's was wrong";
}

TEST_F(AgentCoreClockTest, AStepIsSeenThoughTheControllerSaysNothing) {
    welcomed(seconds(1));
    pass(seconds(60));
    EXPECT_THAT(problems(), IsEmpty()) << "so near they count as equal";
    set_by_ = seconds(90);
    pass(seconds(20));
    EXPECT_THAT(problems(), ElementsAre("it is 89 s ahead of ctl-1"));
    set_by_ = {};
    pass(seconds(20));
    EXPECT_THAT(problems(), IsEmpty());
}

TEST_F(AgentCoreClockTest, WithoutTheControllerNothingIsKnownOfIt) {
    welcomed(seconds(37));
    core_->link_down(0, "closed", here());
    pass(seconds(20));
    EXPECT_THAT(problems(), IsEmpty());
}

}  // namespace
}  // namespace vitalwire::host
