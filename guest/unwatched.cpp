#include "guest/unwatched.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace vitalwire::guest {

namespace {

/// libvitalwire asks for a refused registration again within 5 s.
constexpr std::chrono::seconds kStillWanted{15};
/// So many are named to the host and in the log; there may be any number of them.
constexpr std::size_t kMaxUnwatched = 16;

}  // namespace

void Unwatched::add(const std::string& name, const std::string& what, const base::Error& why) {
    const base::TimePoint until = clock_.now() + kStillWanted;
    const auto known = entries_.find(name);
    if (known == entries_.end() && entries_.size() >= kMaxUnwatched) return;
    if (known != entries_.end() && known->second.why == why.message) {
        known->second.until = until;
        return;
    }
    const std::string warning = what + ": " + why.message;
    log::warning("an application is not watched", {{"name", name}, {"why", warning}});
    entries_[name] = {why.message, until};
    board_.warn(name, warning);
    expire();
}

void Unwatched::remove(const std::string& name) {
    if (entries_.erase(name) > 0) board_.withdraw_warning(name);
}

std::vector<app::Item> Unwatched::list() const {
    std::vector<app::Item> items;
    for (const auto& [name, each] : entries_)
        items.push_back({"warning", name, "not watched", each.why, {}, {}});
    return items;
}

void Unwatched::expire() {
    const base::TimePoint now = clock_.now();
    base::TimePoint next = base::kNever;
    for (auto each = entries_.begin(); each != entries_.end();) {
        if (now < each->second.until) {
            next = std::min(next, each++->second.until);
            continue;
        }
        log::info("an application does not ask to be watched any more", {{"name", each->first}});
        board_.withdraw_warning(each->first);
        each = entries_.erase(each);
    }
    expiry_.arm(next, [this] { expire(); });
}

}  // namespace vitalwire::guest
