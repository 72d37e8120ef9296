#include "runtime/logging.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/log.hpp"

namespace vitalwire::runtime {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

TEST(Logging, WritesTimeAndLevelOutsideTheJournal) {
    testing::internal::CaptureStderr();
    ASSERT_TRUE(start_logging("info"));
    log::warning("a {} thing", {{"guest", "g1"}});
    log::debug("unseen");
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                MatchesRegex("[0-9]+-[0-9]+-[0-9]+ [0-9:.]+ warning a \\{\\} thing guest=g1\n"));
}

TEST(Logging, WritesThePriorityThatTheJournalReads) {
    testing::internal::CaptureStderr();
    struct stat status {};
    ASSERT_EQ(fstat(STDERR_FILENO, &status), 0);
    const std::string stream = std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino);
    setenv("JOURNAL_STREAM", stream.c_str(), 1);
    ASSERT_TRUE(start_logging("debug"));
    unsetenv("JOURNAL_STREAM");
    log::error("down");
    log::debug("detail");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "<3>down\n<7>detail\n");
}

TEST(Logging, RefusesALevelItDoesNotKnow) {
    const auto result = start_logging("verbose");
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().message, HasSubstr("expected debug, info, warning or error, found 'verbose'"));
}

}  // namespace
}  // namespace vitalwire::runtime
