#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/moment.hpp"
#include "bus/messages.hpp"
#include "group/duplicates.hpp"
#include "heartbeat/silence_watch.hpp"
#include "host/core/monitor.hpp"

namespace vitalwire::host {

/// The agent's sessions with all its controllers. Each gets a full snapshot when it connects and every change after it;
/// one of them, the primary, delivers this agent's faults. When the primary is lost another one that is up becomes
/// primary and is sent every fault; also when it falls silent while another one is seen. Faults that stay
/// unacknowledged are resent to the primary. Pure: connections are the output's.
class ControllerSync {
public:
    using LinkId = std::size_t;

    class Output {
    public:
        virtual ~Output() = default;
        virtual void send(LinkId link, const bus::ToController& message) = 0;
        /// The link need not wait any longer before it connects again.
        virtual void retry_now(LinkId /*link*/) {}
        /// Leaves the faults at the broker, for controllers that are not there yet.
        virtual void leave_at_broker(const bus::Faults& faults) = 0;
        virtual void policies_changed(const bus::Policies& policies) = 0;
        /// What a controller has of this host, which came without its state.
        virtual void handed_back(const bus::HandBack& handed) = 0;
        virtual void faults_delivered(const bus::FaultsDelivered& delivered) = 0;
        /// Another controller is primary, or none.
        virtual void primary_changed(bool any) = 0;
        virtual void maintenance_changed(const bus::GuestMaintenance& maintenance) = 0;
        /// Of the server group, from the primary.
        virtual void group_message(const bus::ToAgent& message) = 0;
        /// From any controller.
        virtual void broadcast(const bus::GroupDeliver& message, const group::Route& route) = 0;
        /// False: none has accepted this agent for some seconds.
        virtual void reachable_changed(bool any) = 0;
    };

    struct LinkStatus {
        std::string name;
        bool up = false;
        bool primary = false;
        base::WallTime since{};  ///< of `up` or not
        std::string last_error;
        std::optional<base::Millis> clock_ahead;  ///< the controller's against ours when it accepted the session
    };

    struct Identity {
        base::HostId host;
        std::string version;
        std::string instance;
        std::string boot{};              ///< id of this run of the host; empty: not known
        std::string state{};             ///< id of the stored state
        std::uint64_t state_starts = 0;  ///< how often an agent has started from it
        std::uint64_t state_changes = 0;
        std::vector<bus::Hello::Life> lives{};  ///< earlier ones on that state
    };

    struct Timing {
        base::Millis report_interval{30'000};
        base::Millis controller_silent_after{900};
    };

    /// `discovery`: controllers may be found later, and faults left for them.
    ControllerSync(Identity identity, const Monitor& monitor, Timing timing, bool discovery, Output& output);

    LinkId add(const std::string& name, base::WallTime wall);
    /// It is no longer configured: nothing is sent to it any more, and another one becomes primary in its place.
    void remove(LinkId link, const base::Moment& at);
    /// Timers run from here.
    void start(const std::string& state, std::uint64_t state_starts, std::vector<bus::Hello::Life> lives,
               base::TimePoint now);
    /// How many changes of faults and registrations the state holds now.
    void state_changed(std::uint64_t changes) { identity_.state_changes = changes; }
    /// The agent's own problems, all of them.
    void problems_changed(bus::AgentProblems problems);

    void link_up(LinkId link, const base::Moment& at);
    /// Also for a failed attempt whose reason is new.
    void link_down(LinkId link, const std::string& why, const base::Moment& at);
    void received(LinkId link, const bus::ToAgent& message, const base::Moment& at);
    /// Something came from a controller that keeps alive.
    void link_alive(LinkId link, base::TimePoint steady);
    /// At least every StallClock::kProbe.
    void check_silence(base::TimePoint steady);
    /// The broker can be reached: what was left for controllers before may be lost.
    void leave_unacknowledged_at_broker();

    void fault_changed(const model::Fault& fault);
    /// Other guests were missing before; the faults of those that are, or are no more, are reported so.
    void missing_changed(const std::set<base::GuestId>& before);
    /// Sent with the next tick, once for all guests that changed until then.
    void guest_changed(const base::GuestId& guest) { note_guest(guest, true); }
    void guest_gone(const base::GuestId& guest) { note_guest(guest, false); }
    /// False when there is no primary.
    bool send_to_primary(const bus::ToController& message);

    void tick(base::TimePoint now);
    base::TimePoint next_due() const;

    /// False: faults are nobody's but this host's.
    bool any() const { return !links_.empty() || discovery_; }
    bool any_up() const { return links_up() > 0; }
    std::size_t links_up() const;
    std::vector<LinkStatus> status() const;
    /// Controllers that are connected and call themselves alike: "ctl: tls://a:1 tls://b:1"; empty: none do.
    std::string same_names() const;
    /// Controllers that do not accept this agent, each with its reason; empty: none.
    std::string rejections() const;
    std::uint64_t messages_sent() const { return messages_sent_; }
    std::uint64_t links_lost() const { return links_lost_; }

private:
    struct Link {
        LinkId id = 0;
        std::string name;
        std::string controller;  ///< the name that it gave itself; empty while it is not connected
        std::size_t rank = 0;    ///< each host prefers others, so that primaries are spread over all controllers
        bool up = false;
        bool is_second = false;  ///< rejected, because another link leads to the same controller
        base::WallTime since{};
        std::string last_error;
        std::size_t takes_back = 0;      ///< so much of what it hands back: once after each hello
        std::string rejected_because{};  ///< the last time, as the log has it
        bool rejects_us = false;         ///< until it accepts this agent or cannot be reached
        std::optional<base::Millis> clock_ahead{};
        base::TimePoint alive_at{};
        base::TimePoint silent_from = base::kNever;  ///< the last time
        base::TimePoint backlog_until{};             ///< of that silence
    };

    Link& find(LinkId link);
    bool any_welcome() const;
    void elect();
    void retry_seconds();
    std::optional<LinkId> preferred() const;
    std::string primary_name() const;
    std::vector<std::string> connected_names() const;
    group::Route route(const Link& link, base::TimePoint now) const;
    bus::PrimaryChanged roster(const Link& link) const;
    void send_roster();
    void hand_back(Link& link, const bus::HandBack& handed);
    void send(LinkId link, const bus::ToController& message);
    void send_to_all(const bus::ToController& message);
    void send_snapshot(LinkId link);
    void send_guests(LinkId link);
    void send_faults(LinkId link, bool only_unacknowledged);
    bool is_unconfirmed(const model::Fault& fault) const;
    using Which = std::function<bool(const model::Fault&)>;
    /// In messages of bounded size.
    void for_faults(const Which& which, const std::function<void(const bus::Faults&)>& send) const;
    void note_guest(const base::GuestId& guest, bool exists);
    void send_noted();

    Identity identity_;
    const Monitor& monitor_;
    Timing timing_;
    bool discovery_;
    Output& output_;
    std::vector<Link> links_;  ///< in this host's order of preference
    LinkId next_link_ = 0;
    std::optional<LinkId> primary_;
    heartbeat::SilenceWatch<LinkId> silence_;
    bool roster_changed_ = false;  ///< who is connected or primary
    bus::AgentProblems problems_;
    std::map<base::GuestId, bool> noted_;  ///< changed since the last tick: still there or gone
    base::TimePoint report_at_ = base::kNever;
    base::TimePoint resend_at_ = base::kNever;
    base::TimePoint absent_at_ = base::kNever;  ///< when it is said that no controller can be reached
    std::uint64_t messages_sent_ = 0;
    std::uint64_t links_lost_ = 0;
};

}  // namespace vitalwire::host
