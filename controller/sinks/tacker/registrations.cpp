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
        ++removed_;
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
    if (all_.size() >= kMaxRegistrations)
        return base::fail(base::Errc::too_large, "there are " + std::to_string(all_.size()) + " already");
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
    if (all_.size() >= kMaxRegistrations) return false;
    put({alarm_id, tenant, server, "", {}, true, now});
    changed_(all_.at(alarm_id), false);
    return true;
}

void Registrations::merge(const Registration& theirs) {
    const auto known = all_.find(theirs.alarm_id);
    if (known == all_.end()) {
        if (all_.size() >= kMaxRegistrations) return;
        put(theirs);
        changed_(theirs, false);
    } else if (theirs.removed && !known->second.removed) {
        mark_removed(known->second, theirs.changed_at);
    }
}

void Registrations::mark_removed(Registration& known, base::WallTime now) {
    const auto server = by_server_.find(known.server);
    server->second.erase(known.alarm_id);
    if (server->second.empty()) by_server_.erase(server);
    ++removed_;
    known.removed = true;
    known.changed_at = now;
    changed_(known, false);
}

void Registrations::expire(base::WallTime now) {
    std::erase_if(all_, [&](const auto& item) {
        const Registration& registration = item.second;
        if (!registration.removed || now - registration.changed_at < kRemovedRemembered) return false;
        --removed_;
        changed_(registration, true);
        return true;
    });
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
