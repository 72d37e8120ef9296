#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

namespace vitalwire::group {

/// Broadcasts reach an agent by more than one way when a controller dies or a broker delivers again. Each carries its
/// sender, the sender's agent (a name that is fresh at each start of it) and that agent's number, which grows; only
/// what is newer than the last one of the same sender and agent passes, so nothing is delivered twice or out of order.
/// Remembers the most recent senders.
class Duplicates {
public:
    static constexpr std::size_t kSenders = 16'384;

    explicit Duplicates(std::size_t senders = kSenders) : max_senders_(senders) {}

    bool fresh(const std::string& sender, const std::string& agent, std::uint64_t number) {
        std::string key = sender + '\n' + agent;
        const auto known = by_key_.find(key);
        if (known == by_key_.end()) {
            remember(std::move(key), number);
            return true;
        }
        recent_.splice(recent_.begin(), recent_, known->second);
        if (number <= known->second->number) return false;
        known->second->number = number;
        return true;
    }

private:
    struct Last {
        std::string key;
        std::uint64_t number;
    };

    void remember(std::string key, std::uint64_t number) {
        if (by_key_.size() >= max_senders_) {
            by_key_.erase(recent_.back().key);
            recent_.pop_back();
        }
        recent_.push_front({std::move(key), number});
        by_key_.emplace(recent_.front().key, recent_.begin());
    }

    std::size_t max_senders_;
    std::list<Last> recent_;
    std::unordered_map<std::string, std::list<Last>::iterator> by_key_;
};

}  // namespace vitalwire::group
