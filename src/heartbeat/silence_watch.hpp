#pragma once

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "heartbeat/stall_clock.hpp"

namespace vitalwire::heartbeat {

/// Finds peers that fell silent although their connection is open: a host that lost its power closes nothing. Peers
/// are watched from their first keep-alive on. Time in which this process stood still does not count.
///
/// When our own connection is cut all peers fall silent together. So a silence is a peer's own only if another one was
/// seen well after it had begun; whoever is watched alone has no such witness.
template <class Peer>
class SilenceWatch {
public:
    struct Silent {
        Peer peer;
        bool alone = false;  ///< others were seen in that time, or there are none

        friend bool operator==(const Silent&, const Silent&) = default;
    };

    explicit SilenceWatch(base::Millis patience) : patience_(patience) {}

    /// Something was received from it. True if it had been silent.
    bool alive(const Peer& peer, base::TimePoint steady) {
        State& state = peers_[peer];
        state.seen = judged(steady);
        return std::exchange(state.reported, false);
    }
    void forget(const Peer& peer) { peers_.erase(peer); }

    /// Those that fell silent since the last call. To be called at least every StallClock::kProbe while anybody is
    /// watched.
    std::vector<Silent> observe(base::TimePoint steady) {
        const base::TimePoint now = judged(steady);
        std::vector<Silent> fallen;
        if (now < settled_at_) return fallen;
        for (auto& [peer, state] : peers_) {
            if (state.reported || now - state.seen < patience_) continue;
            state.reported = true;
            fallen.push_back({peer, has_witness(peer, state.seen)});
        }
        return fallen;
    }

    /// When the next peer falls silent if nothing comes from it.
    base::TimePoint next_due() const {
        base::TimePoint due = base::kNever;
        for (const auto& [peer, state] : peers_) {
            if (!state.reported) due = std::min(due, state.seen + patience_);
        }
        return due == base::kNever ? due : clock_.to_steady(std::max(due, settled_at_));
    }

    bool watches(const Peer& peer) const { return peers_.contains(peer); }
    bool silent(const Peer& peer) const {
        const auto at = peers_.find(peer);
        return at != peers_.end() && at->second.reported;
    }
    bool empty() const { return peers_.empty(); }

private:
    /// After a stall what came in the meantime is still to be read, and may take that long.
    static constexpr base::Duration kSettle = std::chrono::milliseconds(100);

    struct State {
        base::TimePoint seen{};
        bool reported = false;
    };

    base::TimePoint judged(base::TimePoint steady) {
        const base::Duration before = clock_.stalled();
        const base::TimePoint now = clock_.observe(steady);
        const base::Duration stall = clock_.stalled() - before;
        // Not again at once: one that is starved all the time still finds who is silent.
        if (stall >= kSettle && now >= settled_at_ + kSettle) settled_at_ = now + kSettle;
        return now;
    }

    bool has_witness(const Peer& peer, base::TimePoint seen) const {
        if (peers_.size() == 1) return true;
        return std::any_of(peers_.begin(), peers_.end(), [&](const auto& other) {
            return other.first != peer && other.second.seen > seen + patience_ / 2;
        });
    }

    base::Duration patience_;
    StallClock clock_;
    base::TimePoint settled_at_{};
    std::map<Peer, State> peers_;
};

}  // namespace vitalwire::heartbeat
