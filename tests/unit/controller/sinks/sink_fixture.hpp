#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "controller/sinks/sink_types.hpp"
#include "runtime/http/http_client.hpp"
#include "tests/unit/controller/support/alarms.hpp"
#include "tests/unit/controller/support/loop.hpp"

namespace vitalwire::controller {

/// One sink, configured as in a file, and how it ends what it is sent.
class SinkTest : public ::testing::Test {
protected:
    virtual SinkFactory configure(runtime::ConfigReader& section) = 0;
    virtual SinkContext context() { return {loop.io, http}; }

    /// The sink of `[sink s]` with these lines; null and `errors` when they have mistakes.
    std::unique_ptr<Sink> make(const std::string& lines = "") {
        const auto file = runtime::ConfigFile::parse("[sink s]\n" + lines, "c", errors);
        runtime::ConfigReader section(file, file.sections.at(0), errors);
        const SinkFactory factory = configure(section);
        section.finish();
        return errors.empty() ? factory(context()) : nullptr;
    }

    std::vector<std::string> mistakes(const std::string& lines) {
        make(lines);
        std::vector<std::string> out;
        for (const auto& error : errors)
            out.push_back(runtime::to_string(error));
        return out;
    }

    Outcome deliver(Sink& sink, const AlarmEvent& event) {
        std::vector<Outcome> outcomes;
        sink.deliver(event, [&](const Outcome& outcome) { outcomes.push_back(outcome); });
        EXPECT_TRUE(loop.until([&] { return !outcomes.empty(); }));
        EXPECT_EQ(outcomes.size(), 1U);
        return outcomes.empty() ? Outcome{} : outcomes[0];
    }

    static AlarmEvent raise_of(Alarm alarm) {
        AlarmEvent event;
        event.alarm = std::move(alarm);
        return event;
    }
    static AlarmEvent clear_of(const AlarmEvent& raised) {
        AlarmEvent event = raised;
        event.change = AlarmChange::cleared;
        event.alarm = cleared(event.alarm);
        return event;
    }

    Loop loop;
    runtime::HttpClient http{loop.io};
    runtime::ConfigErrors errors;
};

}  // namespace vitalwire::controller
