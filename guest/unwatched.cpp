#include "guest/unwatched.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::guest {

namespace {

/// libvitalwire asks for a refused registration again within 5 s.
constexpr std::chrono::seconds kStillWanted{15};
/// So many of a user are listed; there may be any number of them.
constexpr std::size_t kMaxOfUser = 16;
/// With applications in this list, root aside.
constexpr std::size_t kMaxUsers = 64;
/// The same application may be missing since a restart: that is another warning.
constexpr std::string_view kTopic = "unwatched";

}  // namespace

void Unwatched::add(uid_t uid, const std::string& name, const std::string& what, const base::Error& why) {
    const std::string warning = what + ": " + why.message;
    const Entry fresh{why.message, warning, clock_.now() + kStillWanted};
    const auto theirs = users_.find(uid);
    const bool is_known = theirs != users_.end() && theirs->second.contains(name);
    if (is_known && theirs->second[name].warning == warning) {
        theirs->second[name].until = fresh.until;
        return;
    }
    if (may_log(uid)) log::warning("an application is not watched", {{"name", name}, {"uid", uid}, {"why", warning}});
    if (!is_known && !has_room(uid)) return;
    users_[uid][name] = fresh;
    publish();
    expire();
}

bool Unwatched::has_room(uid_t uid) const {
    const auto theirs = users_.find(uid);
    if (theirs != users_.end()) return theirs->second.size() < kMaxOfUser;
    return uid == 0 || users_.size() < kMaxUsers;
}

void Unwatched::remove(uid_t uid, const std::string& name) {
    const auto theirs = users_.find(uid);
    if (theirs == users_.end() || theirs->second.erase(name) == 0) return;
    if (theirs->second.empty()) users_.erase(theirs);
    publish();
}

std::vector<app::Item> Unwatched::list() const {
    std::vector<app::Item> items;
    for (const auto& [uid, theirs] : users_) {
        for (const auto& [name, each] : theirs)
            items.push_back({"warning", name, "not watched", each.why, {}, uid});
    }
    return items;
}

bool Unwatched::may_log(uid_t uid) {
    return log_limit_.take(clock_.now(), "user " + std::to_string(uid));
}

/// An answer to the host has room for few words: one application of each user is named in it, and how many there are
/// besides.
void Unwatched::publish() {
    std::map<std::string, std::string> warnings;
    for (const auto& [uid, theirs] : users_) {
        const auto& [name, first] = *theirs.begin();
        std::string warning = first.warning;
        if (theirs.size() > 1)
            warning += ", and " + std::to_string(theirs.size() - 1) + " more of user " + std::to_string(uid);
        warnings.try_emplace(name, std::move(warning));
    }
    for (const auto& [name, warning] : published_) {
        if (!warnings.contains(name)) board_.withdraw_warning(name, kTopic);
    }
    for (const auto& [name, warning] : warnings)
        board_.warn(name, warning, kTopic);
    published_ = std::move(warnings);
}

void Unwatched::expire() {
    const base::TimePoint now = clock_.now();
    base::TimePoint next = base::kNever;
    for (auto user = users_.begin(); user != users_.end();) {
        auto& [uid, theirs] = *user;
        for (auto each = theirs.begin(); each != theirs.end();) {
            if (now < each->second.until) {
                next = std::min(next, each++->second.until);
                continue;
            }
            if (may_log(uid))
                log::info("an application does not ask to be watched any more", {{"name", each->first}, {"uid", uid}});
            each = theirs.erase(each);
        }
        user = theirs.empty() ? users_.erase(user) : std::next(user);
    }
    publish();
    expiry_.arm(next, [this] { expire(); });
}

}  // namespace vitalwire::guest
