#pragma once

#include <map>
#include <string>
#include <utility>

#include "runtime/store.hpp"

namespace vitalwire::runtime {

/// A table of a store as it is now. A store hands out once what it held at the start; who uses the table may come and
/// go while it runs.
class StoredTable {
public:
    StoredTable(Store& store, std::string name) : store_(store), name_(std::move(name)), rows_(store_.load(name_)) {}

    const std::map<std::string, std::string>& rows() const { return rows_; }
    void put(const std::string& key, const std::string& value) {
        rows_[key] = value;
        store_.put(name_, key, value);
    }
    void erase(const std::string& key) {
        if (rows_.erase(key) > 0) store_.erase(name_, key);
    }

private:
    Store& store_;
    std::string name_;
    std::map<std::string, std::string> rows_;
};

}  // namespace vitalwire::runtime
