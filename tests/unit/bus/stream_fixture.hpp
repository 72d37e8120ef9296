#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bus/transport.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::bus {

/// What an agent does with its link, recorded. It says hello when it is connected.
class TestAgent : public AgentLink::Handler {
public:
    explicit TestAgent(std::string host) : host_(std::move(host)) {}

    void on_up(AgentLink& link) override {
        ++ups;
        Hello hello;
        hello.version = bus_version;
        hello.host = base::HostId(host_);
        hello.agent_version = "test";
        hello.instance = "i";
        link.send(hello);
    }
    void on_down(AgentLink&, const std::string& why) override { downs.push_back(why); }
    void on_message(AgentLink&, const ToAgent& message) override { messages.push_back(message); }
    void on_alive(AgentLink&) override { ++alive; }

    template <class Message>
    const Message* last() const {
        return messages.empty() ? nullptr : std::get_if<Message>(&messages.back());
    }

    int bus_version = kBusVersion;
    int ups = 0;
    int alive = 0;
    std::vector<std::string> downs;
    std::vector<ToAgent> messages;

private:
    std::string host_;
};

/// The same for a controller. It welcomes every agent.
class TestController : public ControllerPort::Handler {
public:
    void on_agent_up(const base::HostId& host, const Hello&, const std::string& peer) override {
        events.push_back("up " + host.str() + " from " + peer);
        if (reject) return port->send(host, Rejected{"not today"});
        port->send(host, Welcome{kBusVersion, "controller"});
    }
    void on_agent_down(const base::HostId& host, const std::string& why) override {
        events.push_back("down " + host.str() + ": " + why);
    }
    void on_message(const base::HostId&, const ToController& message) override { messages.push_back(message); }
    void on_agent_alive(const base::HostId&) override { ++alive; }

    ControllerPort* port = nullptr;
    bool reject = false;
    int alive = 0;
    std::vector<std::string> events;
    std::vector<ToController> messages;
};

class Stream : public testing::Test {
protected:
    std::unique_ptr<ControllerPort> listen(const std::string& url, const TlsFiles& tls = {},
                                           const TransportOptions& options = {}) {
        auto port = make_controller_port(io_, url, {tls}, options);
        EXPECT_TRUE(port) << port.error().message;
        if (!port) return nullptr;
        controller_.port = port->get();
        const auto started = (*port)->start(controller_);
        EXPECT_TRUE(started) << started.error().message;
        return std::move(*port);
    }
    std::unique_ptr<AgentLink> connect(const std::string& url, TestAgent& agent, const TlsFiles& tls = {},
                                       const TransportOptions& options = {}) {
        auto link = make_agent_link(io_, url, {tls}, options);
        EXPECT_TRUE(link) << link.error().message;
        if (!link) return nullptr;
        (*link)->start(agent);
        return std::move(*link);
    }

    bool wait_for(const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!condition() && std::chrono::steady_clock::now() < deadline) {
            io_.restart();
            io_.run_one_for(std::chrono::milliseconds(10));
        }
        return condition();
    }
    void run_for(std::chrono::milliseconds time) {
        io_.restart();
        io_.run_for(time);
    }

    std::string unix_url() const { return "unix://" + directory_ / "bus.sock"; }

    test::TempDir directory_;
    boost::asio::io_context io_{1};
    TestController controller_;
    TestAgent agent_{"compute-1"};
};

}  // namespace vitalwire::bus
