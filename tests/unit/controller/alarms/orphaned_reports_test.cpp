#include "controller/alarms/orphaned_reports.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace vitalwire::controller {
namespace {

using base::HostId;
using testing::ElementsAre;
using testing::IsEmpty;

class DepositsTest : public testing::Test {
protected:
    void leave(const std::string& host, const std::string& fault) {
        model::Fault left;
        left.id = base::FaultId(fault);
        orphaned_.take(HostId(host), {left}, [this, fault] { done_.push_back(fault); });
    }
    void run_until(const std::function<bool()>& condition) {
        const auto deadline = base::Clock::now() + std::chrono::seconds(20);
        while (!condition() && base::Clock::now() < deadline) {
            io_.restart();
            io_.run_one_for(std::chrono::milliseconds(10));
        }
    }

    bool reachable() {
        if (unreachable_looks_ == 0) return true;
        --unreachable_looks_;
        reachable_since_ = base::Clock::now();
        return false;
    }

    boost::asio::io_context io_;
    std::set<HostId> connected_;
    int unreachable_looks_ = 0;  ///< as many times as it asks, no agent can connect
    base::TimePoint reachable_since_ = base::Clock::now();
    std::vector<std::string> taken_on_;
    std::vector<std::function<void()>> undurable_;
    std::vector<std::string> done_;
    OrphanedReports orphaned_{
        io_,
        base::Millis(50),
        {[this](const HostId& host) { return connected_.contains(host); }, [this] { return reachable(); },
         [this](const HostId& host, const OrphanedReports::Faults& faults) {
             taken_on_.push_back(host.str() + ' ' + faults.front().id.str());
         },
         [this](std::function<void()> done) { undurable_.push_back(std::move(done)); }}};
};

TEST_F(DepositsTest, LeaveItToAConnectedAgentToTellAndAreDoneWhenThatIsDurable) {
    connected_.insert(HostId("a"));
    leave("a", "1");
    EXPECT_EQ(orphaned_.waiting(), 0U);
    EXPECT_THAT(done_, IsEmpty());
    undurable_.front()();
    EXPECT_THAT(done_, ElementsAre("1"));
    EXPECT_THAT(taken_on_, IsEmpty());
}

TEST_F(DepositsTest, WaitForTheAgent) {
    leave("a", "1");
    leave("b", "2");
    leave("a", "3");
    EXPECT_THAT(undurable_, IsEmpty());
    orphaned_.agent_up(HostId("a"));
    EXPECT_EQ(orphaned_.waiting(), 1U);
    EXPECT_EQ(undurable_.size(), 2U);
    EXPECT_THAT(taken_on_, IsEmpty());
}

TEST_F(DepositsTest, AreTakenOnInOrderWhenTheAgentStaysAway) {
    leave("a", "1");
    leave("b", "2");
    leave("a", "3");
    run_until([this] { return orphaned_.waiting() == 0; });
    EXPECT_THAT(taken_on_, ElementsAre("a 1", "b 2", "a 3"));
    EXPECT_THAT(done_, IsEmpty()) << "not on disk yet";
    for (const auto& durable : undurable_)
        durable();
    EXPECT_THAT(done_, ElementsAre("1", "2", "3"));
}

TEST_F(DepositsTest, GiveAnAgentItsTimeFromWhenItCanConnect) {
    unreachable_looks_ = 20;  // a tenth of the patience each
    leave("a", "1");
    run_until([this] { return orphaned_.waiting() == 0; });
    EXPECT_THAT(taken_on_, ElementsAre("a 1"));
    EXPECT_EQ(unreachable_looks_, 0);
    EXPECT_GE(base::Clock::now() - reachable_since_, base::Millis(50));
}

TEST_F(DepositsTest, AreLeftToAnotherControllerWhenThisOneEnds) {
    leave("a", "1");
    orphaned_.stop();
    EXPECT_EQ(orphaned_.waiting(), 0U);
    EXPECT_THAT(undurable_, IsEmpty());
}

}  // namespace
}  // namespace vitalwire::controller
