#include "controller/alarms/orphaned_reports.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace vitalwire::controller {
namespace {

using base::HostId;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// In virtual time, with 10 s of patience.
class OrphanedReportsTest : public testing::Test {
protected:
    std::size_t leave(const std::string& host, const std::string& fault) {
        model::Fault left;
        left.id = base::FaultId(fault);
        return reports_.take(
            HostId(host), {left}, [this, fault] { done_.push_back(fault); }, now_);
    }
    void pass(seconds time) {
        for (const base::TimePoint end = now_ + time; now_ < end;) {
            now_ += seconds(1);
            if (now_ >= reports_.next_due()) reports_.tick({now_, {}});
        }
    }

    base::TimePoint now_{seconds(1000)};
    std::set<HostId> connected_;
    bool reachable_ = true;
    std::vector<std::string> adopted_;
    std::size_t adopted_faults_ = 0;
    std::vector<std::function<void()>> undurable_;
    std::vector<std::string> done_;
    std::set<std::string> on_disk_;
    OrphanedReports reports_{
        seconds(10),
        {[this](const HostId& host) { return connected_.contains(host); }, [this] { return reachable_; },
         [this](const HostId& host, const OrphanedReports::Faults& faults, base::Moment) {
             adopted_.push_back(host.str() + ' ' + faults.front().id.str());
             adopted_faults_ += faults.size();
         },
         [this](std::function<void()> done) { undurable_.push_back(std::move(done)); },
         [this](const HostId&, const model::Fault& fault) { on_disk_.insert(fault.id.str()); },
         [this](const HostId&, const base::FaultId& fault) { on_disk_.erase(fault.str()); }}};
};

TEST_F(OrphanedReportsTest, LeaveItToAConnectedAgentAndAreDoneWhenThatIsDurable) {
    connected_.insert(HostId("a"));
    leave("a", "1");
    EXPECT_EQ(reports_.waiting(), 0U);
    EXPECT_EQ(reports_.next_due(), base::kNever);
    EXPECT_THAT(done_, IsEmpty());
    undurable_.front()();
    EXPECT_THAT(done_, ElementsAre("1"));
    EXPECT_THAT(adopted_, IsEmpty());
}

TEST_F(OrphanedReportsTest, WaitForTheAgent) {
    leave("a", "1");
    leave("b", "2");
    leave("a", "3");
    EXPECT_THAT(undurable_, IsEmpty());
    reports_.agent_up(HostId("a"));
    EXPECT_EQ(reports_.waiting(), 1U);
    EXPECT_EQ(undurable_.size(), 2U);
    EXPECT_THAT(adopted_, IsEmpty());
}

TEST_F(OrphanedReportsTest, AreAdoptedInOrderWhenTheAgentStaysAway) {
    leave("a", "1");
    leave("b", "2");
    leave("a", "3");
    pass(seconds(9));
    EXPECT_THAT(adopted_, IsEmpty());
    pass(seconds(1));
    EXPECT_THAT(adopted_, ElementsAre("a 1", "b 2", "a 3"));
    EXPECT_THAT(done_, IsEmpty()) << "not on disk yet";
    for (const auto& durable : undurable_)
        durable();
    EXPECT_THAT(done_, ElementsAre("1", "2", "3"));
}

TEST_F(OrphanedReportsTest, OfOneHostTakeABoundedPartOfWhatTheBrokerSends) {
    std::size_t refused = 0;
    for (int i = 0; i < 3000; ++i)
        refused += leave("a", std::to_string(i));
    EXPECT_EQ(reports_.waiting(), 20U);
    EXPECT_THAT(undurable_, IsEmpty()) << "not on disk yet";
    pass(seconds(1));
    EXPECT_EQ(undurable_.size(), 2980U) << "the broker sends what comes after them";
    EXPECT_EQ(on_disk_.size(), 999U) << "with the one that the broker keeps";
    leave("b", "of-another-host");
    pass(seconds(10));
    EXPECT_THAT(adopted_, testing::Contains("b of-another-host"));
    EXPECT_EQ(adopted_faults_, 3001U - refused);
    EXPECT_GT(refused, 0U);
}

TEST_F(OrphanedReportsTest, ThatAreTooManyCountByTheirNewestRevision) {
    for (int i = 0; i < 500; ++i)
        EXPECT_EQ(leave("a", "1"), 0U);
    pass(seconds(10));
    EXPECT_EQ(adopted_faults_, 20U);
}

TEST_F(OrphanedReportsTest, ThatAreTooManyAreKeptOverARestartUntilTheyAreAdopted) {
    for (int i = 0; i < 30; ++i)
        leave("a", std::to_string(i));
    pass(seconds(1));
    EXPECT_EQ(on_disk_.size(), 10U);
    pass(seconds(10));
    EXPECT_EQ(on_disk_.size(), 0U);
    model::Fault left;
    left.id = base::FaultId("29");
    adopted_.clear();
    reports_.restore(HostId("a"), {left}, now_);
    pass(seconds(9));
    EXPECT_THAT(adopted_, IsEmpty());
    pass(seconds(1));
    EXPECT_THAT(adopted_, ElementsAre("a 29"));
}

TEST_F(OrphanedReportsTest, GiveAnAgentItsTimeFromWhenItCanConnect) {
    reachable_ = false;
    leave("a", "1");
    pass(seconds(60));
    EXPECT_THAT(adopted_, IsEmpty());
    reachable_ = true;
    pass(seconds(9));
    EXPECT_THAT(adopted_, IsEmpty());
    pass(seconds(1));
    EXPECT_THAT(adopted_, ElementsAre("a 1"));
}

TEST_F(OrphanedReportsTest, AreLeftToAnotherControllerWhenThisOneEnds) {
    leave("a", "1");
    reports_.stop();
    EXPECT_EQ(reports_.waiting(), 0U);
    EXPECT_THAT(undurable_, IsEmpty());
}

}  // namespace
}  // namespace vitalwire::controller
