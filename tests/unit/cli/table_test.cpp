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
    EXPECT_EQ(table.lines({})[1], "\\x1b[2J\\nx\\u{9b}");
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

TEST(Table, ShowsWideColumnsOnlyWhereTheyAreWanted) {
    Table table({"A", {"ID", true}});
    table.add({"x", "long"});
    EXPECT_THAT(table.lines({}), ElementsAre("A", "x"));
    Style wide;
    wide.wide = true;
    EXPECT_THAT(table.lines(wide), ElementsAre("A  ID", "x  long"));
}

TEST(Table, SortsNumbersByTheirValueAndTimesByTheMoment) {
    const base::WallTime now = base::from_iso8601("2026-11-22T06:05:08.000000Z");
    Table table({"N", "LAST SEEN"});
    table.add({Cell::number(10, "10 ms"), Cell::time("2026-11-22T06:05:00.000000Z", now, {})});
    table.add({Cell::number(9, "9 ms"), Cell::time("2026-11-22T06:04:00.000000Z", now, {})});
    Style style;
    style.headings = false;
    style.sort = "n";
    EXPECT_THAT(table.lines(style), ElementsAre("9 ms   1 min ago", "10 ms  8 s ago"));
    style.sort = "last-seen";
    style.reverse = true;
    EXPECT_THAT(table.lines(style), ElementsAre("10 ms  8 s ago", "9 ms   1 min ago"));
    EXPECT_THAT(table.column_names(), ElementsAre("n", "last-seen"));
}

TEST(Table, ShowsAbsoluteTimesWhereTheyAreWanted) {
    Style style;
    style.absolute_times = true;
    EXPECT_EQ(Cell::time("2026-11-22T06:05:00.123456Z", {}, style).text, "2026-11-22 06:05:00Z");
    EXPECT_EQ(Cell::time("", {}, style).text, "");
}

TEST(Csv, HasEveryColumnInAFormForPrograms) {
    Table table({"NAME", "ROUND TRIP", {"ID", true}});
    table.add({"a,\n", Cell::number(1500, "1.5 ms"), "x"});
    table.add({"", Cell::number(0, ""), "=cmd"});
    EXPECT_THAT(table.csv({}), ElementsAre("name,round-trip,id", "\"a,\\n\",1500,x", ",0,'=cmd"));
    Style bare;
    bare.headings = false;
    EXPECT_THAT(table.csv(bare), testing::SizeIs(2));
}

}  // namespace
}  // namespace vitalwire::cli
