#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "guest/app_connection.hpp"
#include "guest/health_board.hpp"
#include "guest/judge.hpp"
#include "guest/settings.hpp"

namespace vitalwire::guest {

/// The socket for applications: who is connected, whose name is whose, and what became of those that ended without
/// deregistering. One that cannot be opened is tried again; the heartbeat does not wait for it.
class AppServer : private AppConnection::Owner {
public:
    AppServer(Judge& judge, HealthBoard& board, GroupApp& group, ApplicationSettings settings);
    ~AppServer() override;
    AppServer(const AppServer&) = delete;
    AppServer& operator=(const AppServer&) = delete;

    void start();
    void stop();
    void set_max(std::size_t max) { settings_.max = max; }
    /// Applications that ended without deregistering count no longer.
    void forget_ended();
    std::size_t registered() const { return names_.size(); }

private:
    using Owner = AppConnection::Owner;

    void close();
    void listen();
    base::Result<void> give_to_group();
    void wait();
    void accept();
    void retry(void (AppServer::*what)());
    base::Result<void> admit(AppConnection& connection, const std::string& name) override;
    void health_changed(AppConnection& connection, const heartbeat::Health& health) override;
    void deregistered(AppConnection& connection) override;
    void closed(AppConnection& connection) override;

    Judge& judge_;
    HealthBoard& board_;
    GroupApp& group_;
    ApplicationSettings settings_;
    boost::asio::posix::stream_descriptor listener_;
    boost::asio::steady_timer retry_;
    std::string problem_;
    std::set<std::shared_ptr<AppConnection>> connections_;
    std::map<std::string, AppConnection*, std::less<>> names_;
    std::map<std::string, uid_t, std::less<>> ended_;  ///< without deregistering; the uid may take its name again
};

}  // namespace vitalwire::guest
