#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/core/kept_channel.hpp"
#include "host/core/monitor.hpp"

namespace vitalwire::host {

nlohmann::json to_json(const heartbeat::SaveRegistration& saved);
base::Result<heartbeat::SaveRegistration> saved_from_json(const nlohmann::json& object);

/// What of the monitor survives a restart: who was registered, the faults that are not over with, the policies.
class AgentState {
public:
    /// Tables of key -> text on disk.
    class Rows {
    public:
        virtual ~Rows() = default;
        virtual std::map<std::string, std::string> load(const std::string& table) = 0;
        virtual void put(const std::string& table, const std::string& key, std::string value) = 0;
        virtual void erase(const std::string& table, const std::string& key) = 0;
    };

    explicit AgentState(Rows& rows) : rows_(rows) {}

    /// Hands everything kept to `monitor`. Returns how many rows could not be read, now or at an earlier start: they
    /// are kept in a table of their own.
    std::uint64_t load_into(Monitor& monitor);
    /// Of them, those that were found only now.
    std::uint64_t newly_unreadable() const { return newly_unreadable_; }

    void keep(const base::GuestId& guest, const heartbeat::SaveRegistration& saved);
    void keep(const model::Fault& fault);
    void forget(const base::FaultId& fault);
    /// A fault that an operator has closed, whose guest has not been well since; absent: it has.
    void keep_closed(const base::GuestId& guest, model::FaultKind kind,
                     const std::optional<heartbeat::OpenFault>& closed);
    /// The guest's machine stands still, or no more (absent).
    void keep_standing(const base::GuestId& guest, std::optional<heartbeat::Inhibit> why);
    /// The guest is awaited, and how long it was in vain.
    void keep_waited(const base::GuestId& guest, const heartbeat::Waited& waited);
    /// The agent starts from this state for the `starts`-th time. What is known of closed faults, and of guests that
    /// are awaited, counts only as the life before left it: a release that does not know of them may have lived since.
    void begin_life(std::uint64_t starts, Monitor& monitor);
    /// Whether the guest was notified of a maintenance, and not of its end.
    void keep_notified(const base::GuestId& guest, bool notified);
    std::vector<base::GuestId> notified() const;
    /// What waits for the guest to be reached, by the steady clock of this run of the host: with the host guests were
    /// restarted, and their notices are over.
    void keep_notices(const base::GuestId& guest, const GuestActions::Waiting& waiting, const std::string& boot,
                      base::TimePoint now);
    std::map<base::GuestId, GuestActions::Waiting> notices(const std::string& boot, base::TimePoint now) const;
    /// Where channels were connected last. A row that cannot be read is dropped: the next connection writes it again.
    std::map<std::pair<base::GuestId, wire::ChannelKind>, KeptChannel> channels() const;
    void keep_channel(const KeptChannel& channel);
    void forget_channel(const base::GuestId& guest, wire::ChannelKind kind);
    void keep(const bus::Policies& policies, const Monitor& monitor);
    void erase_policy(const base::GuestId& guest);

private:
    struct Closed {
        base::GuestId guest;
        heartbeat::OpenFault fault;
        std::uint64_t starts = 0;
    };

    struct Awaited {
        heartbeat::Waited waited;
        std::uint64_t starts = 0;
    };

    static base::Result<Closed> closed_from_json(const nlohmann::json& object);
    static base::Result<Awaited> awaited_from_json(const nlohmann::json& object);

    Rows& rows_;
    std::uint64_t newly_unreadable_ = 0;
    std::uint64_t starts_ = 0;
    std::vector<Closed> closed_;                ///< as they were read
    std::map<base::GuestId, Awaited> awaited_;  ///< likewise
};

}  // namespace vitalwire::host
