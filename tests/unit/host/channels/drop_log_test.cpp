#include "host/channels/drop_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/log.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::host {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::vector<std::string> g_lines;

class DropLogTest : public testing::Test {
protected:
    DropLogTest() {
        g_lines.clear();
        log::set_backend([](log::Level, std::string_view line) { g_lines.emplace_back(line); });
    }
    void drop(const std::string& reason = "not_read") {
        log_.dropped(base::GuestId("g1"), wire::ChannelKind::native, reason == "not_read" ? "not_read" : "malformed", 2,
                     "why", now_);
    }
    void pass(base::Duration time) {
        now_ += time;
        log_.tick(now_);
    }

    base::TimePoint now_{std::chrono::hours(1)};
    DropLog log_;
};

TEST_F(DropLogTest, HasALineWhenItBeginsAndOneWithTheNumberWhenItIsOver) {
    for (int i = 0; i < 600; ++i) {
        drop();
        pass(seconds(1));
    }
    EXPECT_THAT(g_lines, ElementsAre(AllOf(HasSubstr("message dropped"), HasSubstr("not_read"))));
    pass(seconds(60));
    EXPECT_THAT(g_lines, SizeIs(2));
    EXPECT_THAT(g_lines.back(), AllOf(HasSubstr("no more messages dropped"), HasSubstr("count=1200")));
    EXPECT_EQ(log_.next_due(), base::kNever);
}

TEST_F(DropLogTest, TellsReasonsApart) {
    drop();
    drop("malformed");
    pass(seconds(30));
    drop("malformed");
    pass(seconds(31));
    EXPECT_THAT(g_lines, ElementsAre(HasSubstr("not_read"), HasSubstr("malformed"),
                                     AllOf(HasSubstr("no more"), HasSubstr("not_read"))));
}

TEST_F(DropLogTest, BeginsAgain) {
    drop();
    pass(seconds(61));
    drop();
    EXPECT_THAT(g_lines, SizeIs(3));
}

}  // namespace
}  // namespace vitalwire::host
