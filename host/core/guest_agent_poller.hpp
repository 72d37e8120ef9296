#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "heartbeat/host_session.hpp"

namespace vitalwire::host {

/// How a guest's QEMU guest agent is reached: by a socket of ours, where an answer comes or not, or by a call to the
/// hypervisor's daemon that owns the socket, which keeps a thread until it returns.
enum class GuestAgentRoute : std::uint8_t { channel, call };

/// What became of a question to a guest agent. Unknown is no evidence about the guest: libvirt was busy or away.
enum class GuestAgentResult : std::uint8_t { answered, silent, unknown };

/// A question that keeps a thread until it is answered, or for that time.
struct GuestAgentCall {
    base::GuestId guest;
    std::chrono::seconds patience{0};
};

/// Asks the QEMU guest agents of this host, each every interval and never twice at a time. Pure: no I/O, no clock; the
/// monitor decides who is to be asked and what an answer or a silence means.
///
/// Calls are few at a time, because the daemon serves all its clients with few threads. A guest whose last call was not
/// answered waits behind the others, and one whose fault is open behind those that are in doubt, so that two hundred
/// that hang do not delay the fault of the next; a quarter of the calls is kept from both. When many that answered
/// before hang at once, so that half of the calls are under way, the others are asked with little patience: the next
/// one has its turn soon, and who does not answer is asked again, with patience, behind those. Neither that nor waiting
/// for a free call counts against anybody.
class GuestAgentPoller {
public:
    struct Settings {
        int calls = 8;  ///< at a time
    };

    class Output {
    public:
        virtual ~Output() = default;
        /// Absent: it is not to be asked now.
        virtual std::optional<base::Millis> guest_agent_interval(const base::GuestId& guest) const = 0;
        /// It was silent, and whether it is lost is not decided.
        virtual bool guest_agent_in_doubt(const base::GuestId& guest) const = 0;
        /// On its channel.
        virtual void ask_guest_agent(const base::GuestId& guest, std::int64_t challenge) = 0;
        virtual void call_guest_agent(const GuestAgentCall& call, std::int64_t challenge) = 0;
        /// Its time is over: read now what its channel holds, before that counts as silence.
        virtual void drain_guest_agent(const base::GuestId& guest) = 0;
        virtual void guest_agent_result(const base::GuestId& guest, const heartbeat::HostEvent& event) = 0;
    };

    GuestAgentPoller(Settings settings, heartbeat::IdGenerator& ids, Output& output)
        : settings_(settings), ids_(ids), output_(output) {}

    void configure(Settings settings) { settings_ = settings; }
    /// A route to the guest's agent exists, and whether the agent has its end open as far as that is known: one that
    /// does is asked at once.
    void found(const base::GuestId& guest, GuestAgentRoute route, bool open, base::TimePoint now);
    void lost(const base::GuestId& guest, GuestAgentRoute route, base::TimePoint now);
    /// By all of its routes.
    enum class Reach : std::uint8_t { none, closed, open };
    Reach reach(const base::GuestId& guest) const;
    /// The machine starts again: what is on its way answers for the run before.
    void restarted(const base::GuestId& guest, base::TimePoint now);
    /// An echo from a channel.
    void answered(const base::GuestId& guest, std::int64_t echo, base::TimePoint now);
    /// A call returned; each does so once, or keeps its place.
    void returned(const base::GuestId& guest, std::int64_t challenge, GuestAgentResult result, base::TimePoint now);

    void tick(base::TimePoint now);
    base::TimePoint next_due() const { return due_.empty() ? base::kNever : due_.begin()->first; }
    std::size_t calls_under_way() const { return calls_.size(); }

private:
    struct Question {
        std::int64_t challenge = 0;
        GuestAgentRoute route = GuestAgentRoute::channel;
        base::TimePoint asked_at;
    };
    struct Guest {
        std::map<GuestAgentRoute, bool> routes;  ///< and whether its end is open
        std::optional<Question> question;        ///< that counts
        base::TimePoint due = base::kNever;      ///< the next question, or the end of that on a channel
        bool waits = false;                      ///< for a free call
        bool silent = false;                     ///< did not answer the last time
        bool suspected = false;                  ///< did not answer at once
    };
    struct Call {
        std::int64_t challenge = 0;
        bool slow = false;   ///< to one that did not answer before
        bool brief = false;  ///< too short for a silence
    };

    static GuestAgentRoute route_of(const Guest& guest);
    void schedule(const base::GuestId& id, Guest& guest, base::TimePoint due);
    void ask(const base::GuestId& id, Guest& guest, base::TimePoint now);
    void wait_for_call(const base::GuestId& id, Guest& guest);
    void ask_on_channel(const base::GuestId& id, Guest& guest, base::Millis interval, base::TimePoint now);
    void start_calls(base::TimePoint now);
    void start_calls(std::deque<base::GuestId>& waiting, bool slow, base::TimePoint now);
    void call(const base::GuestId& id, Guest& guest, base::TimePoint now);
    bool is_call_free(bool slow) const;
    void silence(const base::GuestId& id, Guest& guest, GuestAgentRoute route);
    void ask_later(const base::GuestId& id, Guest& guest, base::TimePoint asked_at, base::TimePoint now);

    Settings settings_;
    heartbeat::IdGenerator& ids_;
    Output& output_;
    std::map<base::GuestId, Guest> guests_;
    std::map<base::GuestId, Call> calls_;               ///< that have not returned
    std::array<std::deque<base::GuestId>, 3> waiting_;  ///< for a free call: those that answered, in doubt, and lost
    std::set<std::pair<base::TimePoint, base::GuestId>> due_;
};

}  // namespace vitalwire::host
