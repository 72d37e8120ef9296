#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace vitalwire::group {

/// The connection through which an agent received a broadcast.
struct Route {
    std::size_t link = 0;
    base::TimePoint now{};
    /// It was silent from then on, and this may have been under way since; never: it was not.
    base::TimePoint held_up_since = base::kNever;
};

/// Broadcasts reach an agent through more than one connection when a controller dies or a broker delivers again. Each
/// carries its sender, the sender's agent (a name that is fresh at each start of it) and that agent's number, which
/// grows; only what is newer than the last one of the same sender and agent passes, so nothing is delivered twice or
/// out of order. The numbers of two agents say nothing of each other: when a sender has moved, what a connection held
/// up does not pass after what came through another one. Remembers the most recent senders.
class Duplicates {
public:
    static constexpr std::size_t kSenders = 16'384;
    /// Of one sender: it moves, and they start again.
    static constexpr std::size_t kAgents = 8;

    enum class Answer : std::uint8_t { fresh, duplicate, late };

    explicit Duplicates(std::size_t senders = kSenders) : max_senders_(senders) {}

    Answer judge(const std::string& sender, const std::string& agent, std::uint64_t number, const Route& route) {
        Sender& from = find(sender);
        auto at = std::find_if(from.agents.begin(), from.agents.end(), [&](const auto& a) { return a.name == agent; });
        if (at != from.agents.end() && number <= at->number) return Answer::duplicate;
        const bool newest_of_another = !from.agents.empty() && at != from.agents.begin();
        if (newest_of_another && from.link != route.link && from.passed_at >= route.held_up_since) return Answer::late;
        if (at == from.agents.end()) {
            if (from.agents.size() >= kAgents) from.agents.pop_back();
            at = from.agents.insert(from.agents.end(), {agent, number});
        }
        at->number = number;
        std::rotate(from.agents.begin(), at, at + 1);
        from.link = route.link;
        from.passed_at = route.now;
        return Answer::fresh;
    }

private:
    struct Agent {
        std::string name;
        std::uint64_t number;
    };
    struct Sender {
        std::string name;
        std::vector<Agent> agents{};  ///< that of what passed last first
        std::size_t link = 0;         ///< of what passed last
        base::TimePoint passed_at{};
    };

    Sender& find(const std::string& sender) {
        const auto known = by_name_.find(sender);
        if (known != by_name_.end()) {
            recent_.splice(recent_.begin(), recent_, known->second);
            return recent_.front();
        }
        if (by_name_.size() >= max_senders_) {
            by_name_.erase(recent_.back().name);
            recent_.pop_back();
        }
        recent_.push_front({sender});
        by_name_.emplace(sender, recent_.begin());
        return recent_.front();
    }

    std::size_t max_senders_;
    std::list<Sender> recent_;
    std::unordered_map<std::string, std::list<Sender>::iterator> by_name_;
};

}  // namespace vitalwire::group
