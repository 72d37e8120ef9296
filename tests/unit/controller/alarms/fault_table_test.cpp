#include "controller/alarms/fault_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/alarms/fault_history.hpp"
#include "tests/unit/controller/support/faults.hpp"

namespace vitalwire::controller {
namespace {

using model::Fault;
using model::FaultKind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const base::HostId kComputeHost("compute-1");
const base::HostId kOther("compute-2");

class FaultTableTest : public ::testing::Test {
protected:
    /// "f1 opened, f2 cleared ...", or the reason of a refusal.
    static std::vector<std::string> lines(const std::vector<FaultTable::Entry>& entries) {
        static const char* const names[] = {"none", "opened", "updated", "cleared"};
        std::vector<std::string> out;
        for (const auto& entry : entries)
            out.push_back(entry.tracked.fault.id.str() + " " + names[static_cast<int>(entry.change)]);
        return out;
    }
    std::vector<std::string> report(const Fault& fault, const base::HostId& host = kComputeHost) {
        const auto entries = table.report(host, fault, now);
        return entries ? lines(*entries) : std::vector<std::string>{"refused: " + entries.error().message};
    }
    std::size_t open() const { return table.open_of_kind(FaultKind::heartbeat_lost); }

    base::WallTime now{std::chrono::seconds(1'700'000'100)};
    FaultTable table;
};

TEST_F(FaultTableTest, FollowsAFaultFromItsOpeningToItsClearing) {
    const Fault fault = open_fault("g1", "f1");
    EXPECT_THAT(report(fault), ElementsAre("f1 opened"));
    EXPECT_THAT(report(updated(fault, "late")), ElementsAre("f1 updated"));
    EXPECT_EQ(open(), 1U);
    EXPECT_THAT(report(cleared(updated(fault, "late"))), ElementsAre("f1 cleared"));
    EXPECT_EQ(open(), 0U);
    EXPECT_EQ(table.open_of_host(kComputeHost), 0U);
}

TEST_F(FaultTableTest, SeesNoChangeInARepetition) {
    report(open_fault("g1", "f1"));
    EXPECT_THAT(report(open_fault("g1", "f1")), ElementsAre("f1 none"));
    report(cleared(open_fault("g1", "f1")));
    EXPECT_THAT(report(cleared(open_fault("g1", "f1"))), ElementsAre("f1 none"));
}

TEST_F(FaultTableTest, KeepsTheClearWhenAnEarlierRevisionIsReported) {
    // An agent that died between clearing a fault and writing that down, or has an old copy of its state.
    const Fault fault = open_fault("g1", "f1");
    report(fault);
    report(cleared(fault));
    EXPECT_THAT(report(fault), IsEmpty());
    EXPECT_EQ(open(), 0U);
}

TEST_F(FaultTableTest, KeepsTheNewerRevisionOfAnOpenFault) {
    const Fault fault = open_fault("g1", "f1");
    report(updated(fault, "late"));
    EXPECT_THAT(report(fault), IsEmpty());
    EXPECT_EQ(table.find(fault.id)->fault.detail, "late");
}

TEST_F(FaultTableTest, ClearsWhatASnapshotDoesNotMention) {
    report(open_fault("g1", "f1"));
    report(open_fault("g2", "f2"));
    table.begin_snapshot(kComputeHost);
    report(open_fault("g1", "f1"));
    const auto gone = table.end_snapshot(kComputeHost, true, now);
    EXPECT_THAT(lines(gone), ElementsAre("f2 cleared"));
    EXPECT_EQ(gone[0].tracked.fault.clear_reason, kForgotten);
    EXPECT_EQ(gone[0].tracked.fault.cleared_at, now);
    EXPECT_EQ(gone[0].tracked.fault.revision, 2U);
}

TEST_F(FaultTableTest, HandsOutWhatIsOverAndNoLongerMentioned) {
    report(open_fault("g1", "f1"));
    report(cleared(open_fault("g1", "f1")));
    table.begin_snapshot(kComputeHost);
    EXPECT_THAT(lines(table.end_snapshot(kComputeHost, true, now)), ElementsAre("f1 none"));
    EXPECT_NE(table.find(base::FaultId("f1")), nullptr);
}

TEST_F(FaultTableTest, ASnapshotOfOneHostLeavesOthersAlone) {
    report(open_fault("g1", "f1"));
    report(open_fault("g2", "f2"), kOther);
    table.begin_snapshot(kComputeHost);
    EXPECT_THAT(lines(table.end_snapshot(kComputeHost, true, now)), ElementsAre("f1 cleared"));
    EXPECT_TRUE(table.find(base::FaultId("f2"))->fault.open());
}

TEST_F(FaultTableTest, KeepsFaultsWhenTheAgentIsLostBeforeItsSnapshotIsComplete) {
    report(open_fault("g1", "f1"));
    table.begin_snapshot(kComputeHost);
    table.abandon_snapshot(kComputeHost);
    EXPECT_THAT(table.end_snapshot(kComputeHost, true, now), IsEmpty());
    EXPECT_EQ(open(), 1U);
}

TEST_F(FaultTableTest, ClearsBeforehandAFaultThatAnotherOfItsKindReplaces) {
    report(open_fault("g1", "f1"));
    EXPECT_THAT(report(open_fault("g1", "f2")), ElementsAre("f1 cleared", "f2 opened"));
    EXPECT_THAT(report(open_fault("g1", "u1", FaultKind::unhealthy)), ElementsAre("u1 opened"));
    EXPECT_EQ(table.open_of_host(kComputeHost), 2U);
}

TEST_F(FaultTableTest, RefusesAFaultOfAnotherHost) {
    report(open_fault("g1", "f1"));
    EXPECT_THAT(report(cleared(open_fault("g1", "f1")), kOther),
                ElementsAre("refused: fault f1 belongs to the agent of compute-1"));
    EXPECT_EQ(open(), 1U);
}

TEST_F(FaultTableTest, RefusesAFaultThatIsAboutSomethingElseThanBefore) {
    report(open_fault("g1", "f1"));
    EXPECT_THAT(report(open_fault("g2", "f1")), ElementsAre("refused: fault f1 changed its guest or kind"));
}

TEST_F(FaultTableTest, RefusesMoreFaultsThanAHostCanHave) {
    for (std::size_t i = 0; i < kMaxFaultsPerHost; ++i)
        ASSERT_TRUE(table.report(kComputeHost, open_fault("g" + std::to_string(i), "f" + std::to_string(i)), now));
    EXPECT_FALSE(table.report(kComputeHost, open_fault("one", "more"), now));
    EXPECT_TRUE(table.report(kOther, open_fault("one", "more"), now));
}

TEST_F(FaultTableTest, RemembersARestoredFault) {
    table.restore({open_fault("g1", "f1"), kComputeHost});
    EXPECT_EQ(open(), 1U);
    EXPECT_THAT(report(open_fault("g1", "f1")), ElementsAre("f1 none"));
    table.begin_snapshot(kComputeHost);
    EXPECT_THAT(lines(table.end_snapshot(kComputeHost, true, now)), ElementsAre("f1 cleared"));
}

TEST_F(FaultTableTest, AnErasedFaultLeavesNothingBehind) {
    report(open_fault("g1", "f1"));
    table.erase(base::FaultId("f1"));
    EXPECT_EQ(open(), 0U);
    EXPECT_THAT(table.of_host(kComputeHost), IsEmpty());
    EXPECT_THAT(report(open_fault("g1", "f2")), ElementsAre("f2 opened"));
}

TEST_F(FaultTableTest, AbsenceFromTheSnapshotOfAFreshAgentClearsNothing) {
    report(open_fault("g1", "f1"));
    table.begin_snapshot(kComputeHost);
    EXPECT_THAT(lines(table.end_snapshot(kComputeHost, false, now)), ElementsAre("f1 none"));
    const TrackedFault* fault = table.find(base::FaultId("f1"));
    EXPECT_TRUE(fault->fault.open());
    ASSERT_TRUE(fault->unconfirmed);
    EXPECT_EQ(fault->unconfirmed->since, now);
    EXPECT_EQ(fault->unconfirmed->why, "its agent came back without its state");
    // Nor does the next one: the agent never had it in this state.
    table.begin_snapshot(kComputeHost);
    EXPECT_THAT(lines(table.end_snapshot(kComputeHost, true, now + std::chrono::seconds(9))), ElementsAre("f1 none"));
    EXPECT_EQ(fault->unconfirmed->since, now);
    report(open_fault("g1", "f1"));
    EXPECT_FALSE(fault->unconfirmed) << "its agent reports it";
}

TEST_F(FaultTableTest, AFaultGoesOverToAnotherHostAsItIs) {
    report(open_fault("g1", "f1"));
    table.transfer(base::FaultId("f1"), kOther);
    EXPECT_EQ(open(), 1U);
    EXPECT_EQ(table.open_of_host(kComputeHost), 0U);
    EXPECT_EQ(table.open_of_host(kOther), 1U);
    EXPECT_THAT(report(cleared(open_fault("g1", "f1")), kOther), ElementsAre("f1 cleared"));
}

class FaultHistoryTest : public ::testing::Test {
protected:
    static FaultHistory::Entry entry(const std::string& id, const base::HostId& host = kComputeHost) {
        return {{cleared(open_fault("g1", id)), host}, true};
    }
    std::vector<std::string> kept() const {
        std::vector<std::string> ids;
        for (const auto& [number, past] : history.all())
            ids.push_back(past.tracked.fault.id.str());
        return ids;
    }

    FaultHistory history{2};
};

TEST_F(FaultHistoryTest, KeepsTheNewest) {
    history.add(entry("f1"));
    history.add(entry("f2"));
    const auto added = history.add(entry("f3"));
    EXPECT_THAT(kept(), ElementsAre("f2", "f3"));
    EXPECT_THAT(added.dropped, ElementsAre(1U));
    EXPECT_EQ(history.find(base::FaultId("f1")), nullptr);
}

TEST_F(FaultHistoryTest, AHostThatHasManyDrivesOutItsOwn) {
    history.add(entry("old", kOther));
    for (int i = 0; i < 100; ++i)
        history.add(entry("f" + std::to_string(i)));
    EXPECT_THAT(kept(), ElementsAre("old", "f99"));
    history.add(entry("new", kOther));
    EXPECT_THAT(kept(), ElementsAre("f99", "new"));
}

TEST_F(FaultHistoryTest, HoldsAFaultOnce) {
    history.add(entry("f1"));
    EXPECT_THAT(history.add(entry("f1")).dropped, ElementsAre(1U));
    EXPECT_THAT(kept(), ElementsAre("f1"));
}

TEST_F(FaultHistoryTest, CountsOnAfterARestart) {
    history.restore(41, entry("f1"));
    EXPECT_EQ(history.add(entry("f2")).number, 42U);
}

TEST_F(FaultHistoryTest, GivesAFaultBack) {
    const auto added = history.add(entry("f1"));
    EXPECT_EQ(history.erase(base::FaultId("f1")), added.number);
    EXPECT_EQ(history.erase(base::FaultId("f1")), std::nullopt);
}

}  // namespace
}  // namespace vitalwire::controller
