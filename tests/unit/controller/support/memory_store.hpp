#pragma once

#include <map>
#include <string>
#include <utility>

#include "runtime/store.hpp"

namespace vitalwire::controller {

/// A disk that is as fast as memory; what is on it outlives the store.
class MemoryStore final : public runtime::Store {
public:
    using Disk = std::map<std::string, std::map<std::string, std::string>>;

    explicit MemoryStore(Disk& disk) : disk_(disk) {}

    std::map<std::string, std::string> load(const std::string& table) override { return disk_[table]; }
    void put(const std::string& table, const std::string& key, std::string value) override {
        disk_[table][key] = std::move(value);
    }
    void erase(const std::string& table, const std::string& key) override { disk_[table].erase(key); }
    void when_durable(std::function<void()> done) override { done(); }
    void close() override {}
    bool healthy() const override { return true; }
    std::string problem() const override { return {}; }
    std::uint64_t pending() const override { return 0; }
    const std::string& set_aside() const override { return set_aside_; }

private:
    Disk& disk_;
    std::string set_aside_;
};

}  // namespace vitalwire::controller
