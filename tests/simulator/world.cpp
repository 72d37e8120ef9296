#include "world.hpp"

#include <algorithm>
#include <cstdio>

namespace vitalwire::simulator {

void World::run_for(Duration time) {
    const TimePoint end = now() + time;
    while (true) {
        const TimePoint event = events_.empty() ? base::kNever : events_.top().time;
        const TimePoint next = std::min(event, virtual_time::next_timer());
        if (next > end) break;
        virtual_time::advance_to(std::max(next, now()));
        if (event <= next) {
            const auto call = std::move(const_cast<Event&>(events_.top()).call);
            events_.pop();
            ++events_run_;
            call();
        }
        virtual_time::run_due(io_);
    }
    virtual_time::advance_to(end);
}

void World::print(const std::string& what) const {
    std::printf("%s  %s\n", stamp().c_str(), what.c_str());
}

void World::violated(const std::string& what) const {
    throw Violation(stamp() + "  " + what);
}

std::string World::stamp() const {
    char text[32];
    std::snprintf(text, sizeof text, "%10.4f", std::chrono::duration<double>(elapsed()).count());
    return text;
}

}  // namespace vitalwire::simulator
