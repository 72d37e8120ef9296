#include "host/core/fault_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::host {
namespace {

using model::Fault;
using model::FaultKind;
using testing::ElementsAre;
using testing::IsEmpty;

Fault fault(const std::string& id, const char* guest, int opened_second) {
    Fault out;
    out.id = base::FaultId(id);
    out.guest = base::GuestId(guest);
    out.opened_at = base::WallTime{} + std::chrono::seconds(opened_second);
    return out;
}

Fault cleared(Fault out) {
    out.cleared_at = out.opened_at + std::chrono::seconds(1);
    out.revision = 2;
    return out;
}

std::vector<std::string> ids(const FaultTable& book) {
    std::vector<std::string> out;
    book.for_each([&](const Fault& f) { out.push_back(f.id.str()); });
    return out;
}

TEST(FaultTable, FindsTheOpenFaultOfAKind) {
    FaultTable book;
    book.open(fault("f1", "a", 1));
    ASSERT_NE(book.find_open(base::GuestId("a"), FaultKind::heartbeat_lost), nullptr);
    EXPECT_EQ(book.find_open(base::GuestId("a"), FaultKind::unhealthy), nullptr);
    EXPECT_EQ(book.find_open(base::GuestId("b"), FaultKind::heartbeat_lost), nullptr);
}

TEST(FaultTable, RestoresInTheOrderOfOpening) {
    FaultTable book;
    book.restore(cleared(fault("f2", "a", 2)));
    book.restore(cleared(fault("f3", "a", 3)));
    book.restore(cleared(fault("f1", "a", 1)));
    EXPECT_THAT(ids(book), ElementsAre("f1", "f2", "f3"));
}

TEST(FaultTable, IsOverWithAClearedFaultOnlyWhenItsLastRevisionArrived) {
    FaultTable book;
    book.restore(cleared(fault("f1", "a", 1)));
    EXPECT_FALSE(book.delivered(base::FaultId("f1"), 1));
    EXPECT_TRUE(book.delivered(base::FaultId("f1"), 2));
    EXPECT_THAT(ids(book), IsEmpty());
}

TEST(FaultTable, IgnoresConfirmationsOfFaultsItDoesNotKnowAndOfRevisionsThatAreNone) {
    FaultTable book;
    EXPECT_FALSE(book.delivered(base::FaultId("f9"), 1));
    book.open(fault("f1", "a", 1));
    EXPECT_FALSE(book.delivered(base::FaultId("f1"), 99));
    EXPECT_EQ(book.find(base::FaultId("f1"))->delivered, 1U);
}

TEST(FaultTable, KeepsWhatWasConfirmedWhenAnOlderConfirmationComesLater) {
    FaultTable book;
    Fault updated = fault("f1", "a", 1);
    updated.revision = 2;
    book.open(updated);
    book.delivered(base::FaultId("f1"), 2);
    book.delivered(base::FaultId("f1"), 1);
    EXPECT_EQ(book.find(base::FaultId("f1"))->delivered, 2U);
}

TEST(FaultTable, DropsTheOldestClearedFaultsOverTheBoundAndNoOpenOne) {
    FaultTable book;
    book.open(fault("open", "a", 0));
    for (int i = 1; i <= static_cast<int>(FaultTable::kMaxCleared) + 2; ++i)
        book.restore(cleared(fault("f" + std::to_string(i), "a", i)));
    EXPECT_THAT(book.trim(base::GuestId("a")), ElementsAre(base::FaultId("f1"), base::FaultId("f2")));
    EXPECT_EQ(book.size(), FaultTable::kMaxCleared + 1);
    EXPECT_NE(book.find(base::FaultId("open")), nullptr);
    EXPECT_EQ(book.find(base::FaultId("f1")), nullptr);
}

TEST(FaultTable, KeepsWhoHasTheRevisionThatIsDelivered) {
    FaultTable book;
    Fault third = fault("f1", "a", 1);
    third.revision = 3;
    book.open(third);
    const auto to = [&] { return book.find(base::FaultId("f1"))->delivered_to.value_or(std::vector<std::string>()); };
    book.delivered(base::FaultId("f1"), 2, {{"x"}});
    EXPECT_THAT(to(), ElementsAre("x"));
    book.delivered(base::FaultId("f1"), 1, {{"late"}});
    EXPECT_THAT(to(), ElementsAre("x"));
    book.delivered(base::FaultId("f1"), 3);
    EXPECT_FALSE(book.find(base::FaultId("f1"))->delivered_to) << "a controller of an earlier release";
}

}  // namespace
}  // namespace vitalwire::host
