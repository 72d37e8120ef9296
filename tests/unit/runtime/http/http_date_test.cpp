#include "runtime/http/http_date.hpp"

#include <gtest/gtest.h>

namespace vitalwire::runtime {
namespace {

TEST(HttpDate, IsReadAsItIsWritten) {
    const std::string text = "Sun, 29 Nov 2026 09:25:56 GMT";
    const auto time = parse_http_date(text);
    ASSERT_TRUE(time);
    EXPECT_EQ(base::to_iso8601(*time), "2026-11-29T09:25:56.000000Z");
    EXPECT_EQ(to_http_date(*time), text);
}

TEST(HttpDate, WhatIsNoDateIsAbsent) {
    for (const char* text : {"", "yesterday", "Sun, 29 Nov", "2026-11-29T09:25:56Z"})
        EXPECT_FALSE(parse_http_date(text)) << text;
}

}  // namespace
}  // namespace vitalwire::runtime
