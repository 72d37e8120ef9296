// What a monitor knows from before: its own state of an earlier life, and what a controller hands back.
#include <algorithm>
#include <utility>

#include "host/core/monitor.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::TimePoint;
using base::WallTime;
using model::Fault;

namespace {
/// Of guests that are not seen here. What is beyond it stays unconfirmed at the controller that has it.
constexpr std::size_t kMostHanded = 2000;
}  // namespace

void Monitor::restore(const GuestId& guest, heartbeat::SaveRegistration saved) {
    kept_on_.insert(guest);
    restored_[guest].saved = std::move(saved);
}

void Monitor::restore(Fault fault) {
    kept_on_.insert(fault.guest);
    if (fault.open())
        restored_[fault.guest].open.push_back({fault.kind, fault.detail, fault.reason, fault.corrective_action});
    faults_.restore(std::move(fault));
}

void Monitor::restore_closed(const GuestId& guest, const heartbeat::OpenFault& closed) {
    closed_.emplace(guest, closed.kind);
    restored_closed_.emplace(guest, closed.kind);
    restored_[guest].open.push_back(closed);
}

void Monitor::restore_standing(const GuestId& guest, heartbeat::Inhibit why) {
    standing_.insert_or_assign(guest, why);
}

void Monitor::restore_waited(const GuestId& guest, const heartbeat::Waited& waited) {
    waited_.insert_or_assign(guest, waited);
}

void Monitor::forget_runs() {
    for (const auto& [guest, why] : std::exchange(standing_, {}))
        output_.standing_changed(guest, std::nullopt);
    for (const auto& [guest, waited] : std::exchange(waited_, {}))
        output_.waited_changed(guest, {});
}

void Monitor::resume_standing(Guest& guest, TimePoint now) {
    const auto standing = standing_.find(guest.key.id());
    if (standing == standing_.end()) return;
    guest.standing = standing->second;
    guest.session.resume_inhibited(standing->second, now);
    standing_.erase(standing);
    reschedule(guest);
}

void Monitor::keep_standing(Guest& guest) {
    std::optional<heartbeat::Inhibit> standing = guest.session.inhibited();
    if (standing && !stands_still(*standing)) standing.reset();
    if (standing == guest.standing) return;
    guest.standing = standing;
    output_.standing_changed(guest.key.id(), standing);
}

void Monitor::unreadable(const GuestId& id, TimePoint now, WallTime wall) {
    Guest* guest = guests_.find(id);
    if (guest != nullptr && guest->standing) step(*guest, heartbeat::Inhibited{*guest->standing}, now, wall);
}

void Monitor::restore(model::GuestPolicy policy) {
    GuestId guest = policy.guest;
    policies_.insert_or_assign(std::move(guest), std::move(policy));
}

void Monitor::listed(const std::set<GuestId>& unknown, Absence absence, TimePoint now, WallTime wall) {
    listed_ = true;
    std::vector<GuestId> not_found;
    for (const auto& [id, restored] : restored_) {
        if (!unknown.contains(id)) not_found.push_back(id);
    }
    for (const GuestId& id : not_found) {
        const Restored& restored = restored_.at(id);
        const bool was_here = !restored.saved.empty() || !restored.open.empty();
        if (restored.went_down || (absence == Absence::went_down && was_here)) {
            step(guest_for(id, now), heartbeat::Crashed{heartbeat::CrashReason::host_restarted}, now, wall);
        } else if (absence == Absence::unproven) {
            missing_.insert(id);
        } else {
            gone(id, heartbeat::StopReason::removed, now, wall);
        }
    }
    const auto gone = [&](const auto& kept) { return !unknown.contains(kept.first) && !missing_.contains(kept.first); };
    for (const auto& standing : standing_) {
        if (gone(standing)) output_.standing_changed(standing.first, std::nullopt);
    }
    for (const auto& waited : waited_) {
        if (gone(waited)) output_.waited_changed(waited.first, {});
    }
    std::erase_if(standing_, gone);
    std::erase_if(waited_, gone);
}

model::GuestReport Monitor::unwatched_report(const GuestId& id, const Restored& restored) const {
    model::GuestReport report;
    report.guest = id;
    report.state = "unwatched";
    report.hold = listed_ ? "not_found" : "not_listed";
    if (const auto& registration = restored.saved.registration) {
        report.name = registration->name;
        report.interval = registration->interval;
        report.response_deadline = registration->response_deadline;
        report.registered_since = registration->since;
    }
    return report;
}

void Monitor::handed_back_listed(const std::set<GuestId>& unknown, TimePoint now, WallTime wall) {
    std::vector<GuestId> went_down;
    for (const auto& [id, restored] : restored_) {
        if (restored.went_down && !unknown.contains(id)) went_down.push_back(id);
    }
    for (const GuestId& id : went_down)
        step(guest_for(id, now), heartbeat::Crashed{heartbeat::CrashReason::host_restarted}, now, wall);
}

void Monitor::adopt(const bus::HandBack& handed, const HostBoot& boot, TimePoint now, WallTime wall) {
    const bool known = !handed.boot.empty() && !boot.id.empty();
    for (const model::GuestReport& report : handed.guests) {
        // A clock that was set since makes a registration older than the boot.
        const bool went_down = known ? handed.boot != boot.id : report.registered_since < boot.at;
        if (!handed.moving || guests_.find(report.guest) != nullptr) adopt(report, went_down, now);
    }
    if (handed.moving) return;
    for (const Fault& fault : handed.faults)
        adopt(fault, now, wall);
    if (handed.state_lost) judge_closed_anew(now, wall);
}

/// The session itself was lost with the state: the guest is to begin another one.
void Monitor::adopt(const model::GuestReport& report, bool went_down, TimePoint now) {
    const bool was_registered = report.registered_since != WallTime{};
    Guest* known = guests_.find(report.guest);
    if (!was_registered || (known != nullptr && known->session.registration())) return;
    const heartbeat::SaveRegistration expected{std::nullopt, true};
    output_.save(report.guest, expected);
    if (known == nullptr) {
        Restored& restored = restored_[report.guest];
        restored.saved = expected;
        restored.went_down = went_down;
        return;
    }
    if (known->session.any_fault_open()) return;
    if (known->name.empty()) known->name = report.name;
    known->session.resume(expected, {}, now);
    reschedule(*known);
}

/// What a controller says is no evidence about a guest that answers, or that is not here: the one ends the fault at
/// that controller by its answers, of the other only the hypervisor's word, or the guest itself, will tell.
void Monitor::adopt(const Fault& handed, TimePoint now, WallTime wall) {
    if (faults_.find(handed.id) != nullptr) return adopt_newer(handed, now, wall);
    if (handed_.contains(handed.id)) {
        if (handed.open()) return;
        auto& waiting = restored_.at(handed_.at(handed.id)).handed;
        const auto at = std::find_if(waiting.begin(), waiting.end(), [&](const Fault& f) { return f.id == handed.id; });
        faults_.restore(std::move(*at));
        waiting.erase(at);
        handed_.erase(handed.id);
        return adopt_newer(handed, now, wall);
    }
    if (!handed.open()) return;
    if (const Fault* own = std::as_const(faults_).find_open(handed.guest, handed.kind)) {
        // A receiver has been notified of this one, and that controller may not know it.
        if (own->delivered > 0) return output_.fault_changed(*own);
        return give_way(*own, handed, wall);
    }
    Guest* guest = guests_.find(handed.guest);
    if (guest == nullptr) return keep_until_seen(handed);
    if (guest->session.registration() && guest->session.counters().responses > 0) return;
    faults_.restore(handed);
    output_.fault_changed(handed);
    if (guest->name.empty()) guest->name = handed.guest_name;
    step(*guest, heartbeat::FaultAdopted{handed.kind, handed.detail}, now, wall);
}

bool Monitor::concerns(const Fault& handed) const {
    if (faults_.find(handed.id) != nullptr || handed_.contains(handed.id)) return true;
    return handed.open() && faults_.find_open(handed.guest, handed.kind) != nullptr;
}

/// Without its state this agent has found once more what receivers are notified of: it is one fault, as old as the one
/// that is handed back, and ends as that one. Nobody was notified of this agent's own.
void Monitor::give_way(const Fault& own, const Fault& handed, WallTime wall) {
    gave_way_.insert_or_assign(handed.id, own);
    replace(own, handed, wall);
}

/// It goes on as that one, in the state that it is in.
void Monitor::replace(const Fault& open, Fault by, WallTime wall) {
    if (by.guest_name.empty()) by.guest_name = open.guest_name;
    if (by.detail != open.detail) {
        by.detail = open.detail;
        by.reason = open.reason;
        by.updated_at = wall;
        ++by.revision;
    }
    const base::FaultId dropped = open.id;
    faults_.drop(dropped);
    faults_.restore(by);
    output_.fault_changed(by);
    output_.fault_forgotten(dropped, false);
}

void Monitor::keep_until_seen(const Fault& handed) {
    if (handed_.size() >= kMostHanded) return;
    Restored& restored = restored_[handed.guest];
    const auto same = [&](const Fault& other) { return other.kind == handed.kind; };
    if (std::any_of(restored.handed.begin(), restored.handed.end(), same)) return;
    restored.open.push_back({handed.kind, handed.detail, handed.reason});
    restored.handed.push_back(handed);
    handed_.emplace(handed.id, handed.guest);
}

std::vector<base::FaultId> Monitor::restore_handed(Restored& restored) {
    std::vector<base::FaultId> ids;
    for (Fault& fault : std::exchange(restored.handed, {})) {
        ids.push_back(fault.id);
        handed_.erase(fault.id);
        faults_.restore(std::move(fault));
    }
    return ids;
}

/// This agent's state is an old copy, or an operator has closed the fault.
void Monitor::adopt_newer(const Fault& handed, TimePoint now, WallTime wall) {
    Fault* known = faults_.find_open(handed.guest, handed.kind);
    if (known == nullptr || known->id != handed.id) return;
    if (handed.open() && handed.revision <= known->revision) return;
    auto own = handed.open() ? decltype(gave_way_)::node_type() : gave_way_.extract(handed.id);
    // The one that handed it back did not know of its end. So this agent's own was another one.
    if (!own.empty() && handed.clear_reason != bus::kClosedByOperator)
        return replace(*known, std::move(own.mapped()), wall);
    known->revision = std::max(handed.revision, known->revision + (handed.open() ? 0 : 1));
    known->reason = handed.reason;
    known->detail = handed.detail;
    known->updated_at = wall;
    // By this host's clock, as its opening: how long it lasted decides about hold-offs.
    if (!handed.open()) known->cleared_at = wall;
    known->clear_reason = handed.clear_reason;
    output_.fault_changed(*known);
    if (handed.open()) return;
    // Closed by an operator it is not opened again before the guest has been well.
    if (handed.clear_reason != bus::kClosedByOperator) {
        judge_anew(handed.guest, handed.kind, now, wall);
    } else if (judged_open(handed.guest, handed.kind)) {
        closed_.emplace(handed.guest, handed.kind);
        output_.closed_changed(
            handed.guest, handed.kind,
            heartbeat::OpenFault{handed.kind, handed.detail, handed.reason, handed.corrective_action});
    }
    for (const base::FaultId& dropped : faults_.trim(handed.guest))
        output_.fault_forgotten(dropped, true);
}

bool Monitor::judged_open(const GuestId& id, model::FaultKind kind) const {
    if (const Guest* guest = guests_.find(id)) return guest->session.fault_open(kind);
    const auto restored = restored_.find(id);
    return restored != restored_.end() && std::any_of(restored->second.open.begin(), restored->second.open.end(),
                                                      [&](const auto& open) { return open.kind == kind; });
}

void Monitor::judge_anew(const GuestId& id, model::FaultKind kind, TimePoint now, WallTime wall) {
    if (Guest* guest = guests_.find(id)) step(*guest, heartbeat::FaultEnded{kind}, now, wall);
    const auto restored = restored_.find(id);
    if (restored != restored_.end())
        std::erase_if(restored->second.open, [&](const auto& open) { return open.kind == kind; });
}

/// Since the copy of the state was made their guests may have been well.
void Monitor::judge_closed_anew(TimePoint now, WallTime wall) {
    for (const auto& [guest, kind] : std::exchange(restored_closed_, {})) {
        if (!closed_.contains({guest, kind})) continue;
        end_closed(guest, kind);
        if (faults_.find_open(guest, kind) == nullptr) judge_anew(guest, kind, now, wall);
    }
}

void Monitor::end_closed(const GuestId& guest, model::FaultKind kind) {
    if (closed_.erase({guest, kind}) > 0) output_.closed_changed(guest, kind, std::nullopt);
}

}  // namespace vitalwire::host
