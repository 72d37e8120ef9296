#include "controller/sinks/tacker/registrations.hpp"

#include <utility>

namespace vitalwire::controller::tacker {

namespace {

bool say_the_same(const Registration& a, const Registration& b) {
    return a.tenant == b.tenant && a.fault_action == b.fault_action && a.fault_ids == b.fault_ids;
}

}  // namespace

void Registrations::put(Registration registration) {
    if (registration.removed) {
        removed_.emplace(registration.changed_at, registration.alarm_id);
    } else {
        by_server_[registration.server].insert(registration.alarm_id);
    }
    const std::string id = registration.alarm_id;
    all_.emplace(id, std::move(registration));
}

void Registrations::restore(Registration registration) {
    if (!all_.contains(registration.alarm_id)) put(std::move(registration));
}

base::Result<std::string> Registrations::add(Registration registration) {
    const auto others = of_server(registration.server);
    for (const Registration* other : others) {
        if (say_the_same(*other, registration)) return other->alarm_id;
    }
    if (others.size() >= kMaxRegistrationsPerServer)
        return base::fail(base::Errc::too_large, "the server has " + std::to_string(others.size()) + " already");
    if (size() >= kMaxRegistrations)
        return base::fail(base::Errc::too_large, "there are " + std::to_string(size()) + " already");
    const std::string id = registration.alarm_id;
    put(std::move(registration));
    changed_(all_.at(id), false);
    return id;
}

bool Registrations::remove(const std::string& alarm_id, const std::string& tenant, const base::GuestId& server,
                           base::WallTime now) {
    const auto known = all_.find(alarm_id);
    if (known != all_.end()) {
        if (known->second.removed) return false;
        mark_removed(known->second, now);
        return true;
    }
    put({alarm_id, tenant, server, "", {}, true, now});
    changed_(all_.at(alarm_id), false);
    drop_oldest_removed();
    return true;
}

void Registrations::merge(const Registration& theirs) {
    const auto known = all_.find(theirs.alarm_id);
    if (known == all_.end()) {
        const bool room = theirs.removed ||
                          (size() < kMaxRegistrations && of_server(theirs.server).size() < kMaxRegistrationsPerServer);
        if (!room) return;
        put(theirs);
        changed_(theirs, false);
        drop_oldest_removed();
    } else if (theirs.removed && !known->second.removed) {
        mark_removed(known->second, theirs.changed_at);
    }
}

void Registrations::mark_removed(Registration& known, base::WallTime now) {
    const auto server = by_server_.find(known.server);
    server->second.erase(known.alarm_id);
    if (server->second.empty()) by_server_.erase(server);
    known.removed = true;
    known.changed_at = now;
    removed_.emplace(now, known.alarm_id);
    changed_(known, false);
}

void Registrations::drop_oldest_removed() {
    while (removed_.size() > kMaxRemoved) {
        const auto oldest = removed_.extract(removed_.begin());
        const auto gone = all_.extract(oldest.value().second);
        changed_(gone.mapped(), true);
    }
}

void Registrations::expire(base::WallTime now) {
    while (!removed_.empty() && now - removed_.begin()->first >= kRemovedRemembered) {
        const auto oldest = removed_.extract(removed_.begin());
        const auto gone = all_.extract(oldest.value().second);
        changed_(gone.mapped(), true);
    }
}

const Registration* Registrations::find(const std::string& alarm_id) const {
    const auto at = all_.find(alarm_id);
    return at == all_.end() ? nullptr : &at->second;
}

std::vector<const Registration*> Registrations::of_server(const base::GuestId& server) const {
    std::vector<const Registration*> found;
    const auto ids = by_server_.find(server);
    if (ids == by_server_.end()) return found;
    for (const std::string& id : ids->second)
        found.push_back(&all_.at(id));
    return found;
}

}  // namespace vitalwire::controller::tacker
