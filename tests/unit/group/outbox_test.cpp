#include "group/outbox.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace vitalwire::group {
namespace {

using nlohmann::json;
using wire::Dialect;

Outgoing message(const std::string& payload) {
    return Outgoing(wire::Delivery{"g1", payload});
}

std::string payload_of(const std::string& line) {
    return json::parse(line).at("data").at("data");
}
std::uint64_t dropped_in(const std::string& line) {
    return json::parse(line).at("data").value("dropped", 0U);
}

TEST(Outbox, S13_GivesBackWhatItTookInOrder) {
    Outbox outbox(Dialect::native, 64 * 1024);
    outbox.push(message("one"));
    outbox.push(message("two"));
    EXPECT_EQ(payload_of(outbox.pop()), "one");
    EXPECT_EQ(payload_of(outbox.pop()), "two");
    EXPECT_TRUE(outbox.empty());
    EXPECT_EQ(outbox.bytes(), 0U);
}

TEST(Outbox, S14_S15_DropsTheOldestAndTellsHowMany) {
    const std::size_t size = message("0").line(Dialect::native, 2)->size() + Outbox::kMessageCost;
    Outbox outbox(Dialect::native, 3 * size);
    for (const char* payload : {"0", "1", "2", "3", "4"})
        outbox.push(message(payload));
    EXPECT_LE(outbox.bytes(), 3 * size);
    const std::string first = outbox.pop();
    EXPECT_EQ(payload_of(first), "2");
    EXPECT_EQ(dropped_in(first), 2U);
    EXPECT_EQ(dropped_in(outbox.pop()), 0U) << "told once";
    EXPECT_EQ(outbox.dropped(), 2U);
}

TEST(Outbox, TakesOneMessageHoweverSmallTheLimit) {
    Outbox outbox(Dialect::native, 10);
    outbox.push(message("larger than ten bytes"));
    EXPECT_EQ(payload_of(outbox.pop()), "larger than ten bytes");
}

TEST(Outbox, ANackDoesNotSwallowTheCountOfDrops) {
    Outbox outbox(Dialect::native, 64 * 1024);
    outbox.add_lost(2);
    outbox.push(Outgoing(wire::Nack{base::Errc::unavailable, "why", "broadcast"}));
    outbox.push(message("next"));
    EXPECT_EQ(dropped_in(outbox.pop()), 0U) << "it has no place for it";
    EXPECT_EQ(dropped_in(outbox.pop()), 2U);
}

TEST(Outbox, ManySmallMessagesCostNoMoreThanItsBound) {
    Outbox outbox(Dialect::native, 64 * 1024);
    for (int i = 0; i < 1000; ++i)
        outbox.push(message("x"));
    std::size_t messages = 0;
    for (; !outbox.empty(); ++messages)
        outbox.pop();
    EXPECT_LE(messages * (message("x").line(Dialect::native, 2)->size() + Outbox::kMessageCost), 64U * 1024);
    EXPECT_EQ(messages + outbox.dropped(), 1000U);
}

TEST(Outbox, S17_WhatWaitedIsLostWithTheChannel) {
    Outbox outbox(Dialect::native, 64 * 1024);
    outbox.push(message("one"));
    outbox.clear();
    EXPECT_TRUE(outbox.empty());
    EXPECT_EQ(outbox.dropped(), 1U);
    outbox.push(message("two"));
    EXPECT_EQ(dropped_in(outbox.pop()), 0U) << "the guest's new life knows nothing of the old one's messages";
    EXPECT_EQ(outbox.bytes(), 0U) << "what is gone takes no room";
}

TEST(Outbox, CountsWhatACgcsGuestCannotBeTold) {
    Outbox outbox(Dialect::cgcs, 64 * 1024);
    EXPECT_FALSE(outbox.push(message("\xFF")));
    EXPECT_TRUE(outbox.push(message("text")));
    EXPECT_EQ(outbox.undeliverable(), 1U);
    EXPECT_EQ(payload_of(outbox.pop()), "text");
}

TEST(Outgoing, IsEncodedOnceForEachKindOfGuest) {
    const Outgoing shared = message("x");
    EXPECT_EQ(shared.line(Dialect::native, 2), shared.line(Dialect::native, 2));
    EXPECT_NE(*shared.line(Dialect::native, 2), *shared.line(Dialect::cgcs, 2));
    EXPECT_NE(*shared.line(Dialect::cgcs, 1), *shared.line(Dialect::cgcs, 2));
}

}  // namespace
}  // namespace vitalwire::group
