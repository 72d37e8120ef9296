#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "world.hpp"

namespace vitalwire::simulator {

/// What reaches a process. While the process stands still everything waits, in order; what belongs to a process that
/// has ended is dropped.
class Inbox {
public:
    explicit Inbox(World& world) : world_(world) {}

    void run(std::function<void()> call) {
        if (stands_still()) {
            waiting_.push_back(std::move(call));
        } else {
            call();
        }
    }

    /// Stands still until `resume`, and until every `stall` is over.
    void suspend() { suspended_ = true; }
    void resume() {
        suspended_ = false;
        drain();
    }
    void stall(Duration time) {
        ++stalls_;
        world_.after(time, [this, life = life_] {
            if (life != life_) return;
            --stalls_;
            drain();
        });
    }
    /// A new process: nothing waits for it, nothing stalls it.
    void renew() {
        ++life_;
        stalls_ = 0;
        waiting_.clear();
    }

    bool stands_still() const { return suspended_ || stalls_ > 0 || draining_; }

private:
    void drain() {
        if (stands_still()) return;
        draining_ = true;
        const std::uint64_t life = life_;
        while (!waiting_.empty() && !suspended_ && stalls_ == 0 && life == life_) {
            const auto call = std::move(waiting_.front());
            waiting_.pop_front();
            call();
        }
        draining_ = false;
    }

    World& world_;
    std::deque<std::function<void()>> waiting_;
    bool suspended_ = false;
    bool draining_ = false;
    int stalls_ = 0;
    std::uint64_t life_ = 0;
};

}  // namespace vitalwire::simulator
