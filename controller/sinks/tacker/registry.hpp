#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/token_bucket.hpp"
#include "controller/delivery/sink.hpp"
#include "controller/delivery/sink_context.hpp"
#include "controller/sinks/tacker/networks.hpp"
#include "controller/sinks/tacker/registrations.hpp"
#include "controller/sinks/tacker/targets.hpp"
#include "runtime/http/http_client.hpp"
#include "runtime/http/http_server.hpp"
#include "runtime/metrics.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller::tacker {

/// The interface that Tacker registers servers at (its Server Notifier), kept on disk, and shared with the other
/// controllers: what is registered here is sent to them before Tacker is answered, and everything is fetched from each
/// of them now and then, so that who was away gets it.
class Registry {
public:
    struct Options {
        std::string listen;
        Networks allow;
        Networks notify;
        std::string token;               ///< the first part of every path; empty: none
        std::vector<std::string> peers;  ///< the other controllers' interfaces, without the token
        base::Millis sync{};
    };
    /// Called when a server is newly registered.
    using Registered = std::function<void(const base::GuestId&)>;

    Registry(std::string name, const SinkContext& context, Options options, Registered registered);

    base::Result<void> start();
    void stop();
    const std::string& address() const { return server_.address(); }
    const Registrations& registrations() const { return registrations_; }
    /// As HttpClientRequest's why_not_connect, of notifications to who made this registration.
    std::function<std::string(const boost::asio::ip::tcp::endpoint&)> guard_of(const Registration& registration) const;

private:
    using Respond = runtime::HttpServer::Respond;

    void load();
    void changed(const Registration& registration, bool gone);
    void answer(const runtime::HttpRequest& request, const Respond& respond);
    void answer_tacker(const runtime::HttpRequest& request, std::vector<std::string> path, const Respond& respond);
    void answer_peer(const runtime::HttpRequest& request, const Respond& respond);
    void register_server(Registration wanted, const Respond& respond);
    void refuse(const Respond& respond, int status, const std::string& why);
    /// `done` is called once the peers have it or do not answer, and it is on disk.
    void share(const Registration& registration, std::function<void()> done);
    void fetch_later();
    void log_change(const Registration& registration);
    void fetch();
    void merge(Registration theirs, bool peer_is_here);
    void take_over(const std::string& peer, const base::Result<runtime::HttpClientResponse>& response);
    runtime::HttpClientRequest to_peer(const std::string& peer) const;

    std::string name_;
    SinkContext context_;
    runtime::StoredTable& table_;
    Options options_;
    Registered registered_;
    Registrations registrations_;
    Targets targets_;
    runtime::HttpServer server_;
    runtime::Timer fetch_timer_;
    runtime::Counter refused_;
    base::TokenBucket log_lines_;
    std::uint64_t not_logged_ = 0;                          ///< changes since the last line
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< an answer that finds it gone is nobody's
};

}  // namespace vitalwire::controller::tacker
