#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.hpp"
#include "base/moment.hpp"
#include "base/result.hpp"
#include "controller/model/alarm.hpp"
#include "model/fault.hpp"

namespace vitalwire::controller {

/// Of one agent, open or with a clear still to be delivered, when nothing is known of its guests.
inline constexpr std::size_t kMaxFaultsPerHost = 500;

/// Why a fault ended that its agent, which kept its state, no longer has: its end was delivered by another controller.
inline constexpr std::string_view kForgotten = "forgotten";
/// Why a fault ended when its agent opened another one of the same kind for the same guest.
inline constexpr std::string_view kSuperseded = "superseded";

/// Nobody vouches for a fault now: it stays open until something is seen that ends it.
struct Unconfirmed {
    base::WallTime since{};
    std::string why;

    friend bool operator==(const Unconfirmed&, const Unconfirmed&) = default;
};

struct TrackedFault {
    model::Fault fault;
    base::HostId host;             ///< whose agent reports it
    base::WallTime received_at{};  ///< when it was first reported here, by this controller's clock
    /// Its agent came back without it and without its state, or does not find its guest.
    std::optional<Unconfirmed> unconfirmed;
    /// Its host was not the guest's owner when it was reported: it is stored, and not delivered.
    bool withheld = false;
    AlarmNames names = {};       ///< its clear is sent with them though its guest has left the inventory
    base::TimePoint received{};  ///< the moment of received_at
    bool by_evidence = false;    ///< a controller has ended it: `cleared_at` is not by its agent's clock
    base::TimePoint ended{};     ///< when that became known here
    /// When it last opened, changed or ended as this controller saw it, by its clock; the epoch: not known.
    base::WallTime changed_at{};
};

// What this controller saw when, by its own clock: what is said of a time does not hang on the clock of a fault's host.
base::WallTime received_here(const TrackedFault& tracked);
base::WallTime changed_here(const TrackedFault& tracked);

/// As the sinks are to be notified of it.
Alarm to_alarm(const TrackedFault& tracked);

/// The faults that the agents report. An agent's newest report counts. A fault that a snapshot does not name has ended
/// only when its agent kept its state; otherwise it is unconfirmed. While an agent is away its faults stay as they are.
/// No I/O, no clock.
class FaultTable {
public:
    enum class Change : std::uint8_t { none, opened, updated, cleared };
    struct Entry {
        TrackedFault tracked;
        Change change = Change::none;
        bool dropped = false;  ///< its agent no longer reports it: another primary has delivered its end
    };

    /// As it was before a restart.
    void restore(const TrackedFault& tracked);

    void begin_snapshot(const base::HostId& host);
    /// The snapshot is complete. An open fault that it did not name is cleared (kForgotten) if the agent is
    /// `continuous` and had confirmed it, and unconfirmed otherwise. Those that have ended are among the entries as
    /// well: their agent will not report them again, so whatever is still to be done about them is to be done now.
    std::vector<Entry> end_snapshot(const base::HostId& host, bool continuous, base::WallTime now);
    /// The agent is gone before the snapshot's end: nothing is concluded from what it did not report.
    /// The snapshot names the fault, though it is not reported.
    void mention(const base::HostId& host, const base::FaultId& fault);
    void abandon_snapshot(const base::HostId& host);

    /// An agent's report of one fault. The last entry is that fault; before it, one that it supersedes. Fails: the
    /// fault belongs to another host or is about something else than before, or the host has `limit` already.
    base::Result<std::vector<Entry>> report(const base::HostId& host, const model::Fault& fault, base::WallTime now,
                                            std::size_t limit = kMaxFaultsPerHost);
    /// The open fault of the same guest and kind as an agent's own, which it has not named since it came without its
    /// state; null when there is none. `continuous`: as it has come now.
    const TrackedFault* unnamed_before(const base::HostId& host, const model::Fault& own, bool continuous) const;
    /// The fault was reported for the first time just now.
    void set_received(const base::FaultId& fault, base::TimePoint now);
    /// The clock of this controller was set by that much.
    void clock_was_set(base::WallTime::duration by);
    /// How and when it ended, as another controller saw it; the fault as it is then.
    const TrackedFault& set_end(const base::FaultId& fault, const std::string& why, base::WallTime at);
    /// It opened, changed or ended just now; the fault as it is then.
    const TrackedFault& set_changed(const base::FaultId& fault, base::Moment now);
    /// Another agent reports the fault from now on: its host was renamed.
    void transfer(const base::FaultId& fault, const base::HostId& host);
    void set_withheld(const base::FaultId& fault, bool withheld);
    /// Its agent has it, and does not vouch for it.
    void set_unconfirmed(const base::FaultId& fault, const Unconfirmed& why);
    void set_names(const base::FaultId& fault, const AlarmNames& names);

    /// Ends an open fault without a report of its agent.
    Entry clear(const base::FaultId& fault, std::string_view why, base::WallTime now);

    /// Over and delivered.
    void erase(const base::FaultId& fault);

    const TrackedFault* find(const base::FaultId& fault) const;
    /// An open fault of the guest, whichever host reports it, unless it is withheld; null when there is none.
    const TrackedFault* open_of_guest(const base::GuestId& guest) const;
    /// The guest with an open fault that follows this one; null after the last.
    const base::GuestId* next_faulty(const base::GuestId& after) const;
    std::vector<const TrackedFault*> of_host(const base::HostId& host) const;
    const std::unordered_map<base::FaultId, TrackedFault>& all() const { return faults_; }
    std::size_t open_of_kind(model::FaultKind kind) const { return open_[static_cast<std::size_t>(kind)]; }
    std::size_t open_of_host(const base::HostId& host) const;

private:
    using Slot = std::pair<base::GuestId, model::FaultKind>;
    struct Host {
        std::set<base::FaultId> faults;
        std::map<Slot, base::FaultId> open;
        /// Mentioned since begin_snapshot; absent outside a snapshot.
        std::optional<std::set<base::FaultId>> mentioned;
    };

    void put(const base::HostId& host, const model::Fault& fault);
    void note_closed(const TrackedFault& tracked);

    std::unordered_map<base::FaultId, TrackedFault> faults_;
    std::unordered_map<base::HostId, Host> hosts_;
    std::map<base::GuestId, std::set<base::FaultId>> open_of_guest_;
    std::array<std::size_t, model::kFaultKinds> open_{};
};

}  // namespace vitalwire::controller
