#include "wire/line_framer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vitalwire::wire {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> feed(LineFramer& framer, std::string_view bytes) {
    std::vector<std::string> lines;
    framer.feed(bytes, [&](std::string_view line) { lines.emplace_back(line); });
    return lines;
}

TEST(LineFramer, DeliversSeveralLinesOfOneRead) {
    LineFramer framer(64);
    EXPECT_THAT(feed(framer, "\n{a}\n{b}\n"), ElementsAre("{a}", "{b}"));
}

TEST(LineFramer, JoinsALineSplitOverReads) {
    LineFramer framer(64);
    EXPECT_THAT(feed(framer, "\n{a"), IsEmpty());
    EXPECT_THAT(feed(framer, "b"), IsEmpty());
    EXPECT_THAT(feed(framer, "c}\n"), ElementsAre("{abc}"));
}

TEST(LineFramer, IgnoresEmptyLinesAndCarriageReturns) {
    LineFramer framer(64);
    EXPECT_THAT(feed(framer, "\n\n\r\n{a}\r\n\n"), ElementsAre("{a}"));
}

TEST(LineFramer, AcceptsALineOfExactlyTheLimit) {
    LineFramer framer(4);
    EXPECT_THAT(feed(framer, "1234\n"), ElementsAre("1234"));
    EXPECT_EQ(framer.overlong_lines(), 0U);
}

TEST(LineFramer, SkipsAnOverlongLineToItsNewlineAndCountsItOnce) {
    LineFramer framer(4);
    EXPECT_THAT(feed(framer, "12345"), IsEmpty());
    EXPECT_THAT(feed(framer, std::string(100000, 'x')), IsEmpty());
    EXPECT_THAT(feed(framer, "tail\nok\n"), ElementsAre("ok"));
    EXPECT_EQ(framer.overlong_lines(), 1U);
}

TEST(LineFramer, SkipsALineThatBecomesOverlongPieceByPiece) {
    LineFramer framer(4);
    for (int piece = 0; piece < 1000; ++piece)
        EXPECT_THAT(feed(framer, "1"), IsEmpty());
    EXPECT_EQ(framer.overlong_lines(), 1U);
    EXPECT_THAT(feed(framer, "tail\nok\n"), ElementsAre("ok"));
    EXPECT_EQ(framer.overlong_lines(), 1U);
}

TEST(LineFramer, SkipsAnOverlongLineOfASingleRead) {
    LineFramer framer(4);
    EXPECT_THAT(feed(framer, "12345\nok\n"), ElementsAre("ok"));
    EXPECT_EQ(framer.overlong_lines(), 1U);
}

TEST(LineFramer, ForgetsAPartialLineWithItsConnection) {
    LineFramer framer(64);
    feed(framer, "{\"half\":");
    framer.reset();
    EXPECT_THAT(feed(framer, "{b}\n"), ElementsAre("{b}"));
}

}  // namespace
}  // namespace vitalwire::wire
