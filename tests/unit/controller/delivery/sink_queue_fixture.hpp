#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "controller/delivery/sink_queue.hpp"
#include "tests/unit/controller/support/alarms.hpp"

namespace vitalwire::controller {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A receiver in virtual time: each attempt is answered at once as the script has it.
class SinkQueueTest : public ::testing::Test {
protected:
    enum class Answer { confirm, fail, unsent, refuse };

    void answer(const SinkQueue::Attempt& attempt, Answer how) {
        if (how == Answer::confirm) queue.ended(attempt.ticket, Outcome::confirmed(), now);
        if (how == Answer::unsent) queue.ended(attempt.ticket, Outcome::unreachable("cannot connect"), now);
        if (how == Answer::fail) queue.ended(attempt.ticket, Outcome::retry("HTTP 503"), now);
        if (how == Answer::refuse) queue.ended(attempt.ticket, Outcome::refused("HTTP 400"), now);
    }

    /// Everything that may be sent now; messages about guest `bad` get `otherwise`.
    std::vector<std::string> pump(Answer how = Answer::confirm, const std::string& bad = {},
                                  Answer otherwise = Answer::fail) {
        std::vector<std::string> lines;
        while (const auto attempt = queue.next(now)) {
            lines.push_back(line(attempt->event));
            answer(*attempt, attempt->event.alarm.guest.str() == bad ? otherwise : how);
        }
        return lines;
    }

    /// Advances to the moment `next` may have something, as a timer would; negative when there is none.
    milliseconds advance_to_due() {
        const auto due = queue.next_due();
        if (due == base::kNever) return milliseconds(-1);
        const auto waited = std::max(due - now, base::Duration::zero());
        now += waited;
        return std::chrono::duration_cast<milliseconds>(waited);
    }

    base::TimePoint now{seconds(1000)};
    DeliveryOptions options;
    static AlarmPtr shared(Alarm alarm) { return std::make_shared<const Alarm>(std::move(alarm)); }
    FilterContext context() const { return {true, seconds(1), now, {}}; }
    void offer(Alarm alarm) { queue.offer(shared(std::move(alarm)), context()); }

    /// Where messages about each guest go.
    std::map<std::string, std::string> routes;
    SinkQueue queue{options, std::nullopt, [this](const Alarm& alarm) { return routes[alarm.guest.str()]; }, 1};
};

}  // namespace vitalwire::controller
