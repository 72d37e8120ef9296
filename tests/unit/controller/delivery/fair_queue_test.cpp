#include "controller/delivery/fair_queue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> drain(FairQueue<std::string>& queue) {
    std::vector<std::string> items;
    while (!queue.empty())
        items.push_back(queue.pop());
    return items;
}

TEST(FairQueue, OwnersTakeTurnsAndKeepTheirOrder) {
    FairQueue<std::string> queue;
    for (const char* item : {"a1", "a2", "a3", "b1", "c1", "b2"})
        queue.push(std::string(item, 1), false, item);
    EXPECT_THAT(drain(queue), ElementsAre("a1", "b1", "c1", "a2", "b2", "a3"));
}

TEST(FairQueue, WhatIsUrgentGoesFirst) {
    FairQueue<std::string> queue;
    queue.push("a", false, "note of a");
    queue.push("a", true, "urgent of a");
    queue.push("b", true, "urgent of b");
    EXPECT_THAT(drain(queue), ElementsAre("urgent of a", "urgent of b", "note of a"));
}

TEST(FairQueue, AFloodOfWhatIsUrgentLeavesAShareToTheRest) {
    FairQueue<std::string> queue;
    for (int i = 0; i < 100; ++i)
        queue.push("a", true, "urgent of a");
    queue.push("b", false, "note of b");
    std::size_t before = 0;
    while (queue.pop() != "note of b")
        ++before;
    EXPECT_EQ(before, 3U);
}

TEST(FairQueue, AnOwnerThatComesBackWaitsForItsTurn) {
    FairQueue<std::string> queue;
    queue.push("a", false, "a1");
    queue.push("b", false, "b1");
    EXPECT_EQ(queue.pop(), "a1");
    queue.push("a", false, "a2");
    EXPECT_THAT(drain(queue), ElementsAre("b1", "a2"));
}

}  // namespace
}  // namespace vitalwire::controller
