#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>

namespace vitalwire::controller {

/// A queue in which owners take turns, and what is urgent goes before what is not, but for each fourth: one owner's
/// flood, urgent as it may be, holds up only what is its own. Each owner's items keep their order.
template <class Item>
class FairQueue {
public:
    void push(const std::string& owner, bool urgent, Item item) {
        Class& of = classes_.at(urgent ? 0 : 1);
        std::deque<Item>& items = of.items[owner];
        if (items.empty()) of.turns.push_back(owner);
        items.push_back(std::move(item));
    }

    bool empty() const { return classes_[0].turns.empty() && classes_[1].turns.empty(); }

    /// Only when it is not empty.
    Item pop() {
        Class& of = next_class();
        std::string owner = std::move(of.turns.front());
        of.turns.pop_front();
        const auto at = of.items.find(owner);
        Item item = std::move(at->second.front());
        at->second.pop_front();
        if (at->second.empty()) {
            of.items.erase(at);
        } else {
            of.turns.push_back(std::move(owner));
        }
        return item;
    }

private:
    struct Class {
        std::deque<std::string> turns;
        std::unordered_map<std::string, std::deque<Item>> items;
    };

    Class& next_class() {
        if (classes_[0].turns.empty()) return classes_[1];
        if (classes_[1].turns.empty() || ++urgent_in_a_row_ < kTurnOfOthers) return classes_[0];
        urgent_in_a_row_ = 0;
        return classes_[1];
    }

    static constexpr int kTurnOfOthers = 4;
    std::array<Class, 2> classes_;
    int urgent_in_a_row_ = 0;  ///< while something else waited
};

}  // namespace vitalwire::controller
