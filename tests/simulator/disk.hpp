#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/store.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

/// What is on a host's disk: it outlives the process that writes there.
using Disk = std::map<std::string, std::map<std::string, std::string>>;

/// A store whose writes reach the disk a little later, all in order. A process that is killed loses those under way.
class SimulatedStore final : public runtime::Store {
public:
    SimulatedStore(World& world, Disk& disk) : world_(world), disk_(disk) {}

    std::map<std::string, std::string> load(const std::string& table) override { return disk_[table]; }
    void put(const std::string& table, const std::string& key, std::string value) override {
        write([table, key, value = std::move(value)](Disk& disk) { disk[table][key] = value; });
    }
    void erase(const std::string& table, const std::string& key) override {
        write([table, key](Disk& disk) { disk[table].erase(key); });
    }
    void when_durable(std::function<void()> done) override {
        write([done = std::move(done)](Disk&) { done(); });
    }
    void close() override { commit(); }

    bool healthy() const override { return true; }
    std::string problem() const override { return {}; }
    std::uint64_t pending() const override { return pending_.size(); }
    const std::string& set_aside() const override { return set_aside_; }

private:
    using Write = std::function<void(Disk&)>;

    void write(Write what) {
        pending_.push_back(std::move(what));
        if (pending_.size() > 1) return;
        world_.after(world_.between(Millis(1), Millis(40)), [this, alive = std::weak_ptr(alive_)] {
            if (!alive.expired()) commit();
        });
    }

    void commit() {
        for (const Write& what : std::exchange(pending_, {}))
            what(disk_);
    }

    World& world_;
    Disk& disk_;
    std::vector<Write> pending_;
    std::string set_aside_;
    std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace vitalwire::simulator
