#include "guest/absent.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;

namespace {

std::string how_it_ended(const std::string& last_words) {
    return "without deregistering" + (last_words.empty() ? "" : ": " + last_words);
}

}  // namespace

std::string application_source(const std::string& name) {
    return "application " + name;
}

std::string others_of(uid_t uid) {
    return "others-of-user-" + std::to_string(uid);
}

std::string others_reason(std::uint32_t left_out) {
    return std::to_string(left_out) + " that ended before, more than are named";
}

void Absent::set_max(std::size_t max, std::size_t max_per_user) {
    max_ = max;
    max_per_user_ = max_per_user;
}

void Absent::add_ended(const std::string& name, const AppProcess& process) {
    make_room(process.uid);
    const Entry entry{name, process, true, {false, board_.reason(application_source(name)).value_or("")}};
    show_ended(entry);
    entries_.push_back(entry);
}

/// They take no place of a living one. The oldest of the same user makes room, and is counted: without its name nothing
/// can end its fault but a person.
void Absent::make_room(uid_t uid) {
    const auto mine = [&](const Entry& each) { return each.process.uid == uid && each.ended && each.left_out == 0; };
    const auto count = std::count_if(entries_.begin(), entries_.end(), mine);
    if (static_cast<std::size_t>(count) < (uid == 0 ? max_ : max_per_user_)) return;
    auto others = find(others_of(uid));
    if (others == entries_.end()) others = entries_.insert(others, Entry{others_of(uid), {uid, 0, {}}, true, {}});
    others->health = {false, others_reason(++others->left_out)};
    show_ended(*others);
    const auto oldest = std::find_if(entries_.begin(), entries_.end(), mine);
    log::warning("the name of an ended application is dropped, too many have ended",
                 {{"name", oldest->name}, {"uid", uid}, {"dropped", others->left_out}});
    erase(oldest);
}

void Absent::show_ended(const Entry& entry) {
    board_.set(application_source(entry.name), false, "ended " + how_it_ended(entry.health.reason));
}

base::Result<void> Absent::take_over(const AppProcess& process, const std::string& name) {
    const auto entry = find(name);
    if (entry == entries_.end()) return {};
    const AppProcess& earlier = entry->process;
    // One that drops its privileges after it has registered is another user at the next connection.
    const bool is_same = earlier.pid != 0 && earlier.pid == process.pid && !earlier.started.empty() &&
                         earlier.started == process.started;
    // Another user's application must neither wipe out the trace of one that died nor speak for one that is expected.
    if (process.uid != 0 && process.uid != earlier.uid && !is_same)
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
    if (uid != 0 && uid != entry->process.uid)
        return fail(Errc::in_use, "the application called '" + name + "' belonged to another user");
    erase(entry);
    return {};
}

std::vector<app::Item> Absent::list() const {
    std::vector<app::Item> items;
    for (const Entry& each : entries_) {
        if (each.ended) {
            items.push_back(
                {"application", each.name, "ended", how_it_ended(each.health.reason), {}, each.process.uid});
        } else {
            const bool is_awaited = each.health.healthy && each.until != base::kNever;
            items.push_back({"application",
                             each.name,
                             each.health.healthy ? "not watched" : "unhealthy",
                             is_awaited            ? std::string(kAwaited)
                             : each.health.healthy ? std::string(kNotBack)
                                                   : each.health.reason,
                             {},
                             each.process.uid});
        }
    }
    return items;
}

void Absent::keep(std::vector<Kept>& out) const {
    for (const Entry& each : entries_) {
        Kept kept{"application", each.name, each.process.uid, each.process.pid, each.process.started};
        kept.ended = each.ended;
        kept.health = each.health;
        kept.time = each.patience;
        kept.left_out = each.left_out;
        out.push_back(std::move(kept));
    }
}

void Absent::restore(const Kept& kept) {
    if (has(kept.name)) return;
    Entry entry{
        kept.name, {kept.uid, kept.pid, kept.started}, kept.ended, kept.health, std::max(kept.time, least_patience_)};
    entry.left_out = kept.left_out;
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
