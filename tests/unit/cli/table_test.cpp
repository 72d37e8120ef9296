#include "cli/table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Table, AlignsItsColumns) {
    Table table({"NAME", "N"});
    table.add({"a", "1"});
    table.add({"longer", "22"});
    EXPECT_THAT(table.lines({}), ElementsAre("NAME    N", "a       1", "longer  22"));
}

TEST(Table, CountsCharactersOfOtherAlphabetsAsOneColumn) {
    Table table({"A", "B"});
    table.add({"\xC3\xA9\xC3\xA9", "x"});
    table.add({"abc", "y"});
    EXPECT_THAT(table.lines({}), ElementsAre("A    B", "\xC3\xA9\xC3\xA9   x", "abc  y"));
}

TEST(Table, LeavesOutAColumnWithoutContentAndMarksAnEmptyCell) {
    Table table({"A", "NEVER", "B"});
    table.add({"1", "", ""});
    table.add({"2", "", "x"});
    EXPECT_THAT(table.lines({}), ElementsAre("A  B", "1  -", "2  x"));
}

TEST(Table, EscapesWhatComesFromOutside) {
    Table table({"A"});
    table.add({std::string("\x1b[2J\nx\xC2\x9B")});
    EXPECT_EQ(table.lines({})[1], "\\x1b[2J\\nx\\xc2\\x9b");
}

TEST(Table, CutsAGiantCell) {
    Table table({"A"});
    table.add({std::string(10'000, 'x')});
    EXPECT_LT(table.lines({})[1].size(), 200U);
}

TEST(Table, FitsATerminal) {
    Table table({"A", "B"});
    table.add({"abc", "0123456789"});
    EXPECT_THAT(table.lines({false, 8}), ElementsAre("A    B", "abc  012"));
    EXPECT_THAT(table.lines({false, 2}), ElementsAre("A", "ab"));
}

TEST(Table, ColoursOnlyWhereColourIsWanted) {
    Table table({"A", "B"});
    table.add({{"lost", Tone::bad}, "x"});
    EXPECT_EQ(table.lines({true, 0})[1], "\033[31mlost\033[0m  x");
    EXPECT_THAT(table.lines({false, 0})[1], Not(HasSubstr("\033")));
}

}  // namespace
}  // namespace vitalwire::cli
