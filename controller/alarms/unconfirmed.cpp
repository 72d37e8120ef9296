// AlarmManager: faults that are open although their agent does not find their guests.

#include "controller/alarms/alarm_manager.hpp"

namespace vitalwire::controller {

void AlarmManager::keep_unconfirmed(const base::FaultId& id, const std::optional<Unconfirmed>& before,
                                    base::WallTime now) {
    const TrackedFault* tracked = table().find(id);
    if (tracked == nullptr || !tracked->fault.open()) return;
    const Unconfirmed why = before.value_or(Unconfirmed{now, "its agent does not find its guest"});
    list_.table().set_unconfirmed(id, why);
    list_.put(*tracked);
    if (!before) note(id, "unconfirmed", why.why, now);
}

/// A libvirt that has lost its domains has none either. The end is kept, and counts once the cloud no longer has the
/// guest there.
base::Error AlarmManager::doubt_end(const TrackedFault& tracked, base::WallTime now) {
    const base::FaultId id = tracked.fault.id;
    const std::string why = "its agent does not find its guest, which the cloud has active on that host";
    list_.table().mention(tracked.host, id);
    if (!tracked.unconfirmed || tracked.unconfirmed->why != why) {
        list_.table().set_unconfirmed(id, {now, why});
        list_.put(tracked);
        note(id, "unconfirmed", why, now);
    }
    return {base::Errc::in_use, "guest " + tracked.fault.guest.str() +
                                    " is not found on the host, and active there as the cloud has it: fault " +
                                    id.str() + " stays open"};
}

}  // namespace vitalwire::controller
