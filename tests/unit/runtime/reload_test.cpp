#include "runtime/reload.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ReloaderTest : public testing::Test {
protected:
    ReloadReport reload(std::optional<ConfigValues> values) {
        next_ = std::move(values);
        return reloader_();
    }
    static ConfigValues values(const std::string& level, const std::string& state) {
        return {{"[agent]", "log_level", level, "f:1"}, {"[agent]", "state", state, "f:2"}};
    }

    std::optional<ConfigValues> next_;
    Reloader reloader_{values("info", "/a"), {"[agent] log_level", "[heartbeat]"}, [this](ConfigErrors& errors) {
                           if (!next_) errors = {{"f", 1, "no"}, {"f", 2, "nor this"}};
                           return next_;
                       }};
};

TEST_F(ReloaderTest, NamesNothingWhenNothingHasChanged) {
    const ReloadReport report = reload(values("info", "/a"));
    EXPECT_THAT(report.applied, IsEmpty());
    EXPECT_THAT(report.needs_restart, IsEmpty());
}

TEST_F(ReloaderTest, TellsWhatIsInForceFromWhatNeedsARestart) {
    ConfigValues changed = values("debug", "/b");
    changed.push_back({"[heartbeat]", "detection_time", "600 ms", "f:3"});
    const ReloadReport report = reload(changed);
    EXPECT_THAT(report.applied,
                ElementsAre("[agent] log_level: info -> debug", "[heartbeat] detection_time: not set -> 600 ms"));
    EXPECT_THAT(report.needs_restart, ElementsAre("[agent] state: /a -> /b"));
}

TEST_F(ReloaderTest, WhatNeedsARestartIsNamedUntilThen) {
    reload(values("debug", "/b"));
    const ReloadReport again = reload(values("debug", "/b"));
    EXPECT_THAT(again.applied, IsEmpty());
    EXPECT_THAT(again.needs_restart, ElementsAre("[agent] state: /a -> /b"));
    EXPECT_THAT(reload(values("debug", "/a")).needs_restart, IsEmpty());
}

TEST_F(ReloaderTest, WithMistakesNothingChanges) {
    EXPECT_THAT(reload(std::nullopt).mistakes, ElementsAre("f:1: no", "f:2: nor this"));
    EXPECT_THAT(reload(values("info", "/a")).applied, IsEmpty());
}

}  // namespace
}  // namespace vitalwire::runtime
