#include "host/core/guest_map.hpp"

#include <gtest/gtest.h>

#include <string>

namespace vitalwire::host {
namespace {

using base::GuestId;

TEST(GuestMap, FindsAGuestByItsKeyAgainAndAgain) {
    GuestMap<std::string> map;
    const GuestKey key(GuestId("g1"));
    EXPECT_EQ(map.find(key), nullptr);
    std::string& made = map.emplace(GuestId("g1"), "one");
    EXPECT_EQ(map.find(key), &made);
    for (int i = 0; i < 1000; ++i)
        map.emplace(GuestId("other" + std::to_string(i)), "other");
    EXPECT_EQ(map.find(key), &made);
    EXPECT_EQ(map.find(GuestId("g1")), &made);
}

TEST(GuestMap, FindsNoGuestThatWasErased) {
    GuestMap<std::string> map;
    const GuestKey key(GuestId("g1"));
    map.emplace(GuestId("g1"), "one");
    EXPECT_NE(map.find(key), nullptr);
    map.erase(GuestId("g1"));
    EXPECT_EQ(map.find(key), nullptr);
    std::string& again = map.emplace(GuestId("g1"), "two");
    EXPECT_EQ(map.find(key), &again);
    map.clear();
    EXPECT_EQ(map.find(key), nullptr);
}

TEST(GuestMap, FindsAGuestAfterAnotherWasErased) {
    GuestMap<std::string> map;
    const GuestKey key(GuestId("g1"));
    std::string& kept = map.emplace(GuestId("g1"), "one");
    map.emplace(GuestId("g2"), "two");
    EXPECT_EQ(map.find(key), &kept);
    map.erase(GuestId("g2"));
    EXPECT_EQ(map.find(key), &kept);
}

TEST(GuestMap, AKeyThatWasFoundInOneMapIsLookedUpInAnother) {
    GuestMap<std::string> one;
    GuestMap<std::string> other;
    const GuestKey key(GuestId("g1"));
    one.emplace(GuestId("g1"), "one");
    EXPECT_NE(one.find(key), nullptr);
    EXPECT_EQ(other.find(key), nullptr);
    EXPECT_EQ(*one.find(key), "one");
}

}  // namespace
}  // namespace vitalwire::host
