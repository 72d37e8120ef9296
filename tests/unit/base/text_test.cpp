#include "base/text.hpp"

#include <gtest/gtest.h>

namespace vitalwire::base {
namespace {

TEST(Utf8, AcceptsTextOfEveryLength) {
    EXPECT_TRUE(is_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
}

TEST(Utf8, RefusesOverlongSurrogateTruncatedAndOutOfRange) {
    for (const char* bad : {"\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xE2\x82", "\xF4\x90\x80\x80",
                            "\xF0\x80\x80\x80", "\xFF", "\x80"}) {
        EXPECT_FALSE(is_utf8(bad)) << escape(bad);
    }
}

TEST(CutUtf8, NeverEndsInsideACharacter) {
    EXPECT_EQ(cut_utf8("ab\xE2\x82\xAC", 4), "ab");
    EXPECT_EQ(cut_utf8("ab\xE2\x82\xAC", 5), "ab\xE2\x82\xAC");
}

TEST(Escape, KeepsALogLineOneLine) {
    EXPECT_EQ(escape("a\nb\t\"c\"\\\x1b[2J"), "a\\nb\\t\\\"c\\\"\\\\\\x1b[2J");
}

TEST(Escape, ShowsBytesThatAreNoText) {
    EXPECT_EQ(escape("\xFFok\xC2\x9B"), "\\xffok\\u{9b}");
}

TEST(Escape, CutsWhatIsTooLong) {
    // A right-to-left override, a zero width space, a no-break space, a byte order mark, a tag.
    EXPECT_EQ(escape("a\u202Eb\u200Bc\u00A0d\uFEFFe\U000E0041"), "a\\u{202e}b\\u{200b}c\\u{a0}d\\u{feff}e\\u{e0041}");
    EXPECT_EQ(escape("\u6F22\u5B57 \u00E9 \U0001F600"), "\u6F22\u5B57 \u00E9 \U0001F600");
    EXPECT_EQ(escape(std::string(1000, 'x'), 10), std::string(10, 'x') + "...");
}

TEST(PlainName, AllowsOnlyWhatIsSafeInAFileName) {
    EXPECT_TRUE(is_plain_name("org.vitalwire.0_a-B", 64));
    EXPECT_FALSE(is_plain_name("", 64));
    EXPECT_FALSE(is_plain_name("a/b", 64));
    EXPECT_FALSE(is_plain_name("abc", 2));
}

TEST(Uuid, IsWhatOpenStackAndLibvirtWrite) {
    EXPECT_TRUE(is_uuid("0f8fad5b-d9cb-469f-a165-70867728950e"));
    EXPECT_FALSE(is_uuid(""));
    EXPECT_FALSE(is_uuid("vm-1"));
    EXPECT_FALSE(is_uuid("0F8FAD5B-D9CB-469F-A165-70867728950E"));
    EXPECT_FALSE(is_uuid("0f8fad5b-d9cb-469f-a165-70867728950"));
    EXPECT_FALSE(is_uuid("0f8fad5b-d9cb-469f-a165-70867728950e0"));
    EXPECT_FALSE(is_uuid("0f8fad5bxd9cb-469f-a165-70867728950e"));
}

}  // namespace
}  // namespace vitalwire::base
