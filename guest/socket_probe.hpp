#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <optional>
#include <string>

#include "guest/endpoint.hpp"
#include "guest/probe.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// Where nobody listens on a port that the kernel also gives to those who connect, it may give it to them: the
/// connection is then one to itself, and no word of a server.
bool is_connected_to_itself(int socket);

/// A connection to a TCP or UNIX socket, and over it one HTTP request where the check is of that type. A status of 200
/// to 399 is healthy, as for the probes of Kubernetes.
class SocketProbe : public Probe {
public:
    SocketProbe(MonitorClock& clock, const CheckSettings& check, Done done);

    std::string awaits() const override;
    void stop() override { finish({false, "stopped"}); }

private:
    void start(const CheckSettings& check);
    void open(const Endpoint& endpoint);
    void connect(const Endpoint& endpoint);
    template <class Then>
    void await(boost::asio::posix::stream_descriptor::wait_type event, Then then);
    void connected();
    void read_status();
    void finish(heartbeat::Health health);
    void failed(int error);
    void cannot_connect(int error);

    std::string target_;
    std::optional<Endpoint> next_;  ///< where it is tried if it cannot be connected
    int first_error_ = 0;           ///< of the one before
    std::string request_;           ///< empty: to connect is enough
    std::string answer_;
    Done done_;
    boost::asio::posix::stream_descriptor socket_;
    runtime::Timer retry_;
    bool is_queue_full_ = false;  ///< of connections that the server has not taken yet
    runtime::Timer end_;
    std::shared_ptr<char> alive_ = std::make_shared<char>();  ///< of handlers on their way
};

}  // namespace vitalwire::guest
