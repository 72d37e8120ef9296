#include "base/log.hpp"

#include <gtest/gtest.h>

#include "base/ids.hpp"

namespace vitalwire {
namespace {

std::string g_line;

class Log : public testing::Test {
protected:
    void SetUp() override {
        g_line.clear();
        log::set_backend([](log::Level, std::string_view line) { g_line = line; });
    }
};

TEST_F(Log, WritesFieldsAfterTheMessage) {
    log::info("guest registered", {{"guest", base::GuestId("g1")}, {"interval_ms", 500}});
    EXPECT_EQ(g_line, "guest registered guest=g1 interval_ms=500");
}

TEST_F(Log, QuotesAndEscapesWhatComesFromOutside) {
    log::warning("refused", {{"name", "x\n<3>forged \"line\""}});
    EXPECT_EQ(g_line, "refused name=\"x\\n<3>forged \\\"line\\\"\"");
}

TEST_F(Log, DropsWhatIsBelowTheLevel) {
    log::debug("detail");
    EXPECT_EQ(g_line, "");
}

}  // namespace
}  // namespace vitalwire
