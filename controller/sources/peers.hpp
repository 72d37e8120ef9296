#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/alarms/fault_table.hpp"
#include "controller/delivery/journal.hpp"
#include "controller/fleet/peer_agents.hpp"
#include "controller/model/maintenance.hpp"
#include "runtime/http/http_client.hpp"
#include "runtime/problems.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller {

struct PeersConfig {
    std::vector<std::string> urls;  ///< of the other controllers' HTTP interfaces
    std::string token;              ///< a reader's
    std::string ca_file;
    base::Millis poll_interval{5'000};

    friend bool operator==(const PeersConfig&, const PeersConfig&) = default;
};

/// What the other controllers have and this one should: maintenance windows, what they did about faults, and which
/// agents are connected to them. Each asks its peers, now and then and when one announces something, so that nobody has
/// to be trusted to write.
class Peers {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        /// How many of them had no room.
        virtual std::size_t maintenance_of_peer(const std::vector<Maintenance>& windows) = 0;
        /// With the fault itself where it is over; all in times of the clock here.
        virtual void journal_of_peer(const base::FaultId& fault, const std::string& controller, Journal::Part journal,
                                     const std::optional<TrackedFault>& past) = 0;
        /// Of this controller; its peers are to have the same.
        virtual std::vector<std::string> sink_names() const = 0;
        /// Which agents it has, as of when it was asked or later.
        virtual void agents_of_peer(PeerAnswer answer, base::TimePoint asked_at) = 0;
        virtual void peer_silent(const std::string& controller) = 0;
        /// No longer configured.
        virtual void peer_removed(const std::string& controller) = 0;
    };

    /// Who asks: what it answers itself, by whatever URL, is no peer's.
    struct Self {
        std::string controller;
        base::WallTime started_at{};
    };

    Peers(boost::asio::io_context& io, runtime::HttpClient& http, runtime::Problems& problems, PeersConfig config,
          Self self, Handler& handler);

    void start();
    /// Others from now on.
    void configure(PeersConfig config);
    void stop();
    /// Something was decided here that all are to know soon: they are told to ask at once.
    void announce();
    /// A peer has announced something.
    void ask_now();
    /// Since when the controller of that name does not answer, as far as it ever did; absent while it does.
    std::optional<base::WallTime> silent_since(const std::string& controller) const;
    /// The peers that answer by the name of this controller and are another one; empty: none.
    std::string namesakes() const;

private:
    /// A peer that announces without end costs no more than that.
    static constexpr base::Millis kAskSpacing{100};
    /// One after the other; what is left of a peer that has more comes with the next poll.
    static constexpr std::size_t kMaxPages = 50;

    using Answer = base::Result<runtime::HttpClientResponse>;

    /// How much of a peer's journals is known.
    struct Known {
        std::string life;
        std::uint64_t number = 0;
        std::string controller;  ///< its name
        base::WallTime answered_at{};
        bool answers = false;
        bool is_namesake = false;  ///< it answers, by the name of this controller
        std::size_t pages = 0;     ///< asked for since the last poll that began; 0: nothing is asked now
    };

    void poll();
    runtime::HttpClientRequest request_to(const std::string& url) const;
    void get(const std::string& url, std::function<void(const Answer&)> answered);
    void ask_maintenance(const std::string& url);
    void ask_journals(const std::string& url);
    void ask_page(const std::string& url);
    /// True when there is more to ask for.
    base::Result<bool> take_journals(const std::string& url, Known& known, const Answer& answer,
                                     base::TimePoint asked_at);

    runtime::HttpClient& http_;
    runtime::Problems& problems_;
    PeersConfig config_;
    Self self_;
    Handler& handler_;
    std::map<std::string, Known> known_;  ///< by URL
    runtime::Timer timer_;
    base::TimePoint asked_at_{};
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< an answer that finds it gone is nobody's
};

}  // namespace vitalwire::controller
