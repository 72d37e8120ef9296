#include "host/core/io_watch.hpp"

#include <algorithm>
#include <functional>

namespace vitalwire::host {

using base::GuestId;
using base::kNever;
using base::Millis;
using base::TimePoint;

namespace {

/// Not all at once.
Millis place_of(const GuestId& guest) {
    return Millis(std::hash<std::string>{}(guest.str()) % static_cast<std::size_t>(IoWatch::kInterval.count()));
}

Millis millis(base::Duration time) {
    return std::chrono::duration_cast<Millis>(time);
}

}  // namespace

void IoWatch::schedule(const GuestId& id, Guest& guest, TimePoint due) {
    if (guest.due != kNever) due_.erase({guest.due, id});
    guest.due = due;
    if (due != kNever) due_.emplace(due, id);
}

void IoWatch::want(const std::set<GuestId>& guests, TimePoint now) {
    std::set<GuestId> unwanted;
    for (auto& [id, guest] : guests_) {
        if (!guests.contains(id)) unwanted.insert(id);
    }
    for (const GuestId& id : unwanted) {
        schedule(id, guests_.at(id), kNever);
        guests_.erase(id);
        std::erase(waiting_, id);
        output_.io_known(id, std::nullopt);
    }
    for (const GuestId& id : guests) {
        const auto [at, is_new] = guests_.try_emplace(id);
        if (is_new && !reads_.contains(id)) schedule(id, at->second, now + place_of(id));
    }
}

void IoWatch::hurry(const GuestId& id, TimePoint now) {
    const auto known = guests_.find(id);
    if (known == guests_.end() || reads_.contains(id)) return;
    schedule(id, known->second, kNever);
    std::erase(waiting_, id);
    waiting_.push_front(id);
    start_reads(now);
}

void IoWatch::restarted(const GuestId& id) {
    const auto known = guests_.find(id);
    if (known == guests_.end()) return;
    known->second.counters.reset();
    output_.io_known(id, std::nullopt);
}

void IoWatch::returned(const GuestId& id, std::int64_t number, const std::optional<IoCounters>& counters, TimePoint now,
                       base::WallTime wall) {
    const auto read = reads_.find(id);
    if (read == reads_.end() || read->second.number != number) return;
    const TimePoint begun = read->second.begun;
    reads_.erase(read);
    const auto known = guests_.find(id);
    if (known != guests_.end()) {
        Guest& guest = known->second;
        schedule(id, guest, std::max(now, begun + kInterval));
        // One that took long has shown the counters as they were at any time of it.
        if (counters && !counters->empty() && now - begun < kTurn) {
            take(guest, *counters, now);
            output_.io_known(id,
                             model::GuestIo{wall, millis(now - guest.watched_since), millis(now - guest.idle_since)});
        }
    }
    start_reads(now);
}

/// A device that came or went says nothing; a counter that fell is another run's.
void IoWatch::take(Guest& guest, const IoCounters& counters, TimePoint now) {
    bool grown = false;
    bool fallen = !guest.counters;
    for (const auto& [device, count] : counters) {
        if (!guest.counters) break;
        const auto before = guest.counters->find(device);
        if (before == guest.counters->end()) continue;
        grown |= count > before->second;
        fallen |= count < before->second;
    }
    if (fallen) guest.watched_since = guest.idle_since = now;
    if (grown) guest.idle_since = now;
    guest.counters = counters;
}

bool IoWatch::is_turn_free(TimePoint now) const {
    const auto in_time =
        std::count_if(reads_.begin(), reads_.end(), [&](const auto& read) { return now - read.second.begun < kTurn; });
    return reads_.size() < kMostReads && static_cast<std::size_t>(in_time) < kReadsAtATime;
}

void IoWatch::start_reads(TimePoint now) {
    while (!waiting_.empty() && is_turn_free(now)) {
        const GuestId id = std::move(waiting_.front());
        waiting_.pop_front();
        const Read read{++last_number_, now};
        reads_[id] = read;
        if (output_.read_io(id, read.number)) continue;
        reads_.erase(id);
        schedule(id, guests_.at(id), now + kInterval);
    }
    turn_ends_ = kNever;
    if (waiting_.empty() || reads_.size() >= kMostReads) return;
    for (const auto& [id, read] : reads_) {
        if (read.begun + kTurn > now) turn_ends_ = std::min(turn_ends_, read.begun + kTurn);
    }
}

void IoWatch::tick(TimePoint now) {
    while (!due_.empty() && due_.begin()->first <= now) {
        const GuestId id = due_.begin()->second;
        schedule(id, guests_.at(id), kNever);
        waiting_.push_back(id);
    }
    start_reads(now);
}

}  // namespace vitalwire::host
