#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/log.hpp"

namespace vitalwire::runtime {

/// Rows of a state on disk that could not be read: they are kept in a table of their own, never deleted. `Rows` has
/// load, put and erase as a Store has.
template <class Rows>
class UnreadableRows {
public:
    static constexpr const char* kTable = "unreadable";

    /// Counts those of earlier starts.
    explicit UnreadableRows(Rows& rows) : rows_(rows) {
        for (const auto& [key, text] : rows_.load(kTable))
            kept_.insert(key);
    }

    void move(const std::string& table, const std::string& key, const std::string& text, const std::string& why) {
        std::string name = table + '/' + key;
        for (int copy = 2; !kept_.insert(name).second; ++copy)
            name = table + '/' + key + '#' + std::to_string(copy);
        log::error("a row of the state cannot be read and is kept aside",
                   {{"table", table}, {"key", key}, {"why", why}, {"kept_as", name}});
        rows_.put(kTable, name, text);
        rows_.erase(table, key);
        ++moved_;
    }

    std::uint64_t rows() const { return kept_.size(); }
    std::uint64_t moved() const { return moved_; }  ///< since it was made

private:
    Rows& rows_;
    std::set<std::string> kept_;
    std::uint64_t moved_ = 0;
};

}  // namespace vitalwire::runtime
