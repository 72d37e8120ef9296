#include "group/router.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "unit/group/fake_directory.hpp"

namespace vitalwire::group {
namespace {

using base::Errc;
using base::GroupId;
using base::GuestId;
using base::HostId;
using testing::ElementsAre;

Hop hop(const std::string& host, std::vector<std::string> guests) {
    Hop out{HostId(host), {}};
    for (auto& guest : guests)
        out.guests.emplace_back(std::move(guest));
    return out;
}

class ARouter : public testing::Test {
protected:
    ARouter() {
        cloud_.put("a1", "g", "h1");
        cloud_.put("a2", "g", "h1");
        cloud_.put("a3", "g", "h2");
        cloud_.put("b1", "other", "h1");
        cloud_.put("loner", "", "h1");
    }

    FakeDirectory cloud_;
    Router router_{cloud_};
};

TEST_F(ARouter, SendsOneMessageAHostToAllMembersButTheSender) {
    EXPECT_THAT(*router_.broadcast(GuestId("a1"), HostId("h1")), ElementsAre(hop("h1", {"a2"}), hop("h2", {"a3"})));
}

TEST_F(ARouter, AGroupOfAHundredOnTenHostsCostsTenMessages) {
    for (int i = 0; i < 100; ++i)
        cloud_.put("m" + std::to_string(i), "big", "host" + std::to_string(i % 10));
    const auto hops = router_.broadcast(GuestId("m0"), HostId("host0"));
    EXPECT_EQ(hops->size(), 10U);
    std::size_t guests = 0;
    for (const Hop& one : *hops)
        guests += one.guests.size();
    EXPECT_EQ(guests, 99U);
}

TEST_F(ARouter, LeavesOutMembersThatAreNowhereOrDoNotTakePart) {
    cloud_.put("a2", "g", "");
    cloud_.put("a3", "g", "h2", false);
    EXPECT_TRUE(router_.broadcast(GuestId("a1"), HostId("h1"))->empty());
}

TEST_F(ARouter, RefusesAGuestInNoGroup) {
    EXPECT_EQ(router_.broadcast(GuestId("loner"), HostId("h1")).error().code, Errc::not_in_group);
    EXPECT_EQ(router_.broadcast(GuestId("unknown"), HostId("h1")).error().code, Errc::not_in_group);
    EXPECT_EQ(router_.status(GuestId("loner"), HostId("h1")).error().code, Errc::not_in_group);
}

TEST_F(ARouter, AnAgentSpeaksForItsOwnGuestsOnly) {
    EXPECT_EQ(router_.broadcast(GuestId("a3"), HostId("h1")).error().code, Errc::permission);
    EXPECT_EQ(router_.status(GuestId("a3"), HostId("h1")).error().code, Errc::permission);
}

TEST_F(ARouter, AChangeCountsFromTheNextMessageOn) {
    cloud_.put("a3", "g", "h3");
    cloud_.erase("a2");
    EXPECT_THAT(*router_.broadcast(GuestId("a1"), HostId("h1")), ElementsAre(hop("h3", {"a3"})));
}

TEST_F(ARouter, StatusHasEveryMemberTheAskerIncluded) {
    EXPECT_EQ(router_.status(GuestId("a1"), HostId("h1"))->size(), 3U);
}

TEST_F(ARouter, ANotificationGoesToEveryPeerButTheOneItIsAbout) {
    EXPECT_THAT(router_.peers(GroupId("g"), GuestId("a3")), ElementsAre(hop("h1", {"a1", "a2"})));
}

TEST_F(ARouter, AnOperatorReachesTheWholeGroup) {
    EXPECT_THAT(*router_.broadcast_by_operator(GroupId("g")), ElementsAre(hop("h1", {"a1", "a2"}), hop("h2", {"a3"})));
    EXPECT_EQ(router_.broadcast_by_operator(GroupId("none")).error().code, Errc::not_found);
}

}  // namespace
}  // namespace vitalwire::group
