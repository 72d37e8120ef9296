#include "base/line_buffer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace vitalwire::base {
namespace {

std::string pop(LineBuffer& lines) {
    std::array<char, LineBuffer::kMaxLine> text{};
    return {text.data(), lines.pop(text)};
}

TEST(LineBuffer, GivesLinesInTheirOrder) {
    LineBuffer lines(LineBuffer::kMaxLine);
    lines.push("<6>", "one");
    lines.push("<4>", "two");
    EXPECT_EQ(pop(lines), "<6>one\n<4>two\n");
    EXPECT_TRUE(lines.empty());
    EXPECT_EQ(pop(lines), "");
    EXPECT_EQ(lines.dropped(), 0U);
}

TEST(LineBuffer, DropsTheOldestWhenItIsFullAndCountsThem) {
    LineBuffer lines(LineBuffer::kMaxLine);
    const std::string text(1023, 'x');
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 6; ++i)
            lines.push("", std::to_string(i) + text.substr(1));
        std::string kept = pop(lines);
        ASSERT_EQ(kept.size(), 4096U);
        for (int i = 0; i < 4; ++i)
            EXPECT_EQ(kept.at(static_cast<std::size_t>(i) * 1024), '2' + i);
        EXPECT_EQ(lines.dropped(), 2U * static_cast<unsigned>(round + 1));
        lines.push("", "shifts where the ring wraps");
        pop(lines);
    }
}

TEST(LineBuffer, GivesWholeLinesOnly) {
    LineBuffer lines(3 * LineBuffer::kMaxLine);
    lines.push("", std::string(3000, 'a'));
    lines.push("", std::string(3000, 'b'));
    EXPECT_EQ(pop(lines), std::string(3000, 'a') + '\n');
    EXPECT_EQ(pop(lines), std::string(3000, 'b') + '\n');
}

TEST(LineBuffer, CutsALineThatIsTooLong) {
    LineBuffer lines(2 * LineBuffer::kMaxLine);
    lines.push("<3>", std::string(10000, 'a'));
    lines.push("<3>", "next");
    EXPECT_EQ(pop(lines), "<3>" + std::string(LineBuffer::kMaxLine - 4, 'a') + '\n');
    EXPECT_EQ(pop(lines), "<3>next\n");
}

TEST(LineBuffer, KeepsALineFeedFromForgingALine) {
    LineBuffer lines(LineBuffer::kMaxLine);
    lines.push("<6>", "a\n<3>b");
    EXPECT_EQ(pop(lines), "<6>a <3>b\n");
}

}  // namespace
}  // namespace vitalwire::base
