#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "bus/link.hpp"
#include "bus/messages.hpp"
#include "host/core/monitor.hpp"

namespace vitalwire::host {

/// The agent's links to all its controllers. Each gets the whole state when it connects and every change after it; one
/// of them, the lead, delivers this agent's faults. When the lead is lost another one up takes over and is told every
/// fault that is not confirmed delivered. Faults that stay unconfirmed are repeated to the lead.
class Controllers final : private bus::AgentLink::Handler {
public:
    struct LinkStatus {
        std::string name;
        bool up = false;
        bool lead = false;
        base::WallTime since{};  ///< of `up` or not
        std::string last_error;
    };

    struct Callbacks {
        std::function<void(const bus::Policies&)> on_policies;
        std::function<void(const bus::FaultsDelivered&)> on_delivered;
        /// Another controller leads, or none.
        std::function<void(bool)> on_lead;
        /// Of the server group: GroupDeliver from any controller, the rest from the one that leads.
        std::function<void(const bus::ToAgent&)> on_group;
        std::function<void(bool)> on_reachable;  ///< false: none has been up for some seconds
    };

    struct Identity {
        base::HostId host;
        std::string version;
        std::string instance;
    };

    Controllers(boost::asio::io_context& io, Identity identity, const Monitor& monitor, base::Millis report_interval,
                Callbacks callbacks);
    ~Controllers() override;

    void add(std::unique_ptr<bus::AgentLink> link);
    /// Those that it finds are added while we run.
    void find_by(std::unique_ptr<bus::ControllerFinder> finder) { finder_ = std::move(finder); }
    void start();
    void stop();

    void fault_changed(const model::Fault& fault);
    /// Acked within the same turn of the loop, once for all guests that changed in it.
    void guest_changed(const base::GuestId& guest) { note_guest(guest, true); }
    void guest_gone(const base::GuestId& guest) { note_guest(guest, false); }

    /// False when no controller leads.
    bool send_to_lead(const bus::ToController& message);

    /// False: faults are nobody's but this host's.
    bool any() const { return !links_.empty() || finder_; }
    /// Why no controller can be found; empty when all is well.
    std::string problem() const { return finder_ ? finder_->problem() : std::string(); }
    bool any_up() const;
    std::vector<LinkStatus> status() const;
    std::uint64_t messages_sent() const { return messages_sent_; }
    std::uint64_t links_lost() const { return links_lost_; }
    /// Messages that full queues have lost on the way; the whole state was told after it.
    std::uint64_t messages_dropped() const;

private:
    struct Link {
        std::unique_ptr<bus::AgentLink> link;
        std::size_t rank = 0;  ///< each host prefers others, so that leading is spread over all of them
        bool was_up = false;
        base::WallTime since{};
        std::string last_error;
    };

    void on_up(bus::AgentLink& link) override;
    void on_down(bus::AgentLink& link, const std::string& why) override;
    void on_message(bus::AgentLink& link, const bus::ToAgent& message) override;

    Link& link_of(const bus::AgentLink& link);
    void elect();
    void send(bus::AgentLink& link, const bus::ToController& message);
    void send_to_all(const bus::ToController& message);
    void send_whole_state(bus::AgentLink& link);
    void send_guests(bus::AgentLink& link);
    void send_faults(bus::AgentLink& link, bool only_unconfirmed);
    /// To be found by the controllers even if this host is lost before one of them is there.
    void deposit_unconfirmed();
    /// In messages of bounded size.
    void for_faults(bool only_unconfirmed, const std::function<void(const bus::Faults&)>& send) const;
    void note_guest(const base::GuestId& guest, bool exists);
    void tell_guests();
    void notice_absence();
    void repeat(boost::asio::steady_timer& timer, base::Duration every, std::function<void()> what);

    boost::asio::io_context& io_;
    Identity identity_;
    const Monitor& monitor_;
    base::Millis report_interval_;
    Callbacks callbacks_;
    std::unique_ptr<bus::ControllerFinder> finder_;  ///< may be null; outlives the links
    std::vector<Link> links_;                        ///< in this host's order of preference
    bool started_ = false;
    bus::AgentLink* lead_ = nullptr;
    std::map<base::GuestId, bool> noted_;  ///< changed in this turn: still there or gone
    boost::asio::steady_timer report_timer_;
    boost::asio::steady_timer repeat_timer_;
    boost::asio::steady_timer absence_timer_;
    std::uint64_t messages_sent_ = 0;
    std::uint64_t links_lost_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< for what was posted and may run after the end
};

}  // namespace vitalwire::host
