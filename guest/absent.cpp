#include "guest/absent.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;

namespace {

constexpr std::string_view kNotBack = "was watched before vitalwired was started again, and has not registered since";

std::string how_it_ended(const std::string& last_words) {
    return "without deregistering" + (last_words.empty() ? "" : ": " + last_words);
}

}  // namespace

std::string application_source(const std::string& name) {
    return "application " + name;
}

void Absent::add_ended(const std::string& name, uid_t uid) {
    make_room(uid);
    const Entry entry{name, uid, true, {false, board_.reason(application_source(name)).value_or("")}};
    show_ended(entry);
    entries_.push_back(entry);
}

/// They take no place of a living one. The oldest of the same user makes room: the guest stays unhealthy by the rest.
void Absent::make_room(uid_t uid) {
    const auto mine = [&](const Entry& each) { return each.uid == uid && each.ended; };
    const auto count = std::count_if(entries_.begin(), entries_.end(), mine);
    if (static_cast<std::size_t>(count) >= max_per_user_) erase(std::find_if(entries_.begin(), entries_.end(), mine));
}

void Absent::show_ended(const Entry& entry) {
    board_.set(application_source(entry.name), false, "ended " + how_it_ended(entry.health.reason));
}

base::Result<void> Absent::take_over(uid_t uid, const std::string& name) {
    const auto entry = find(name);
    if (entry == entries_.end()) return {};
    // Another user's application must not wipe out the trace of one that died. Of one that was well there is none.
    if (uid != 0 && uid != entry->uid && is_fault(*entry))
        return fail(Errc::in_use, "the application called '" + name + "' belonged to another user");
    // What it says now takes the place of what the board has of it.
    board_.withdraw_warning(application_source(name));
    entries_.erase(entry);
    return {};
}

bool Absent::has(const std::string& name) const {
    return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& each) { return each.name == name; });
}

base::Result<void> Absent::forget(uid_t uid, const std::string& name) {
    const auto entry = find(name);
    if (entry == entries_.end()) return fail(Errc::not_found, "nothing is called '" + name + "'");
    if (uid != 0 && uid != entry->uid)
        return fail(Errc::in_use, "the application called '" + name + "' belonged to another user");
    erase(entry);
    return {};
}

std::vector<app::Item> Absent::list() const {
    std::vector<app::Item> items;
    for (const Entry& each : entries_) {
        if (each.ended) {
            items.push_back({"application", each.name, "ended", how_it_ended(each.health.reason), {}, each.uid});
        } else {
            const bool is_awaited = each.health.healthy && each.until != base::kNever;
            items.push_back({"application",
                             each.name,
                             each.health.healthy ? "not watched" : "unhealthy",
                             is_awaited            ? "expected to register again"
                             : each.health.healthy ? std::string(kNotBack)
                                                   : each.health.reason,
                             {},
                             each.uid});
        }
    }
    return items;
}

void Absent::keep(std::vector<Kept>& out) const {
    for (const Entry& each : entries_) {
        Kept kept{"application", each.name, each.uid};
        kept.ended = each.ended;
        kept.health = each.health;
        kept.time = each.patience;
        out.push_back(std::move(kept));
    }
}

void Absent::restore(const Kept& kept) {
    if (has(kept.name)) return;
    Entry entry{kept.name, kept.uid, kept.ended, kept.health, std::max(kept.time, least_patience_)};
    if (entry.ended) {
        show_ended(entry);
    } else if (!entry.health.healthy) {
        board_.set(application_source(entry.name), false, entry.health.reason);
    } else {
        entry.until = clock_.now() + entry.patience;
    }
    entries_.push_back(std::move(entry));
    expire();
}

void Absent::expire() {
    const base::TimePoint now = clock_.now();
    base::TimePoint next = base::kNever;
    for (Entry& each : entries_) {
        if (now < each.until) {
            next = std::min(next, each.until);
        } else if (std::exchange(each.until, base::kNever) != base::kNever) {
            log::warning("application has not registered again", {{"name", each.name}});
            board_.warn(application_source(each.name), kNotBack);
        }
    }
    expiry_.arm(next, [this] { expire(); });
}

Absent::Entries::iterator Absent::find(const std::string& name) {
    return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& each) { return each.name == name; });
}

void Absent::erase(Entries::iterator entry) {
    const std::string source = application_source(entry->name);
    entries_.erase(entry);
    board_.remove(source);
    board_.withdraw_warning(source);
}

}  // namespace vitalwire::guest
