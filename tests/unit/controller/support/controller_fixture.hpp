#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "bus/transport.hpp"
#include "controller/controller.hpp"
#include "controller/http/api.hpp"
#include "tests/unit/controller/support/faults.hpp"
#include "tests/unit/controller/support/loop.hpp"
#include "tests/unit/controller/support/receiver.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::controller {

using nlohmann::json;

/// An agent as the bus knows it: sends its snapshot whenever it is connected, and keeps what it receives.
class TestAgent : public bus::AgentLink::Handler {
public:
    TestAgent(boost::asio::io_context& io, const std::string& url, std::string host, bool is_primary = true,
              const bus::TlsFiles& tls = {})
        : host_(std::move(host)), is_primary_(is_primary), link_(std::move(*bus::make_agent_link(io, url, {tls}))) {
        link_->start(*this);
    }
    ~TestAgent() override { link_->stop(); }

    void on_up(bus::AgentLink& link) override {
        bus::Hello hello;
        hello.host = base::HostId(host_);
        hello.agent_version = "9.9";
        hello.instance = "start-1";
        hello.is_primary = is_primary_;
        link.send(hello);
        link.send(bus::SnapshotBegin{});
        link.send(bus::Guests{guests});
        link.send(bus::Faults{faults});
        link.send(bus::SnapshotEnd{});
    }
    void on_down(bus::AgentLink&, const std::string& why) override { downs.push_back(why); }
    void on_message(bus::AgentLink&, const bus::ToAgent& message) override {
        if (std::holds_alternative<bus::Welcome>(message)) welcomed = true;
        if (const auto* policies_now = std::get_if<bus::Policies>(&message)) policies.push_back(*policies_now);
        if (const auto* rejected_now = std::get_if<bus::Rejected>(&message)) rejected = rejected_now->reason;
        if (const auto* delivered = std::get_if<bus::FaultsDelivered>(&message)) {
            for (const auto& item : delivered->items)
                confirmed.push_back(item.fault.str() + " " + std::to_string(item.revision));
        }
    }

    void send(const bus::ToController& message) { link_->send(message); }
    void report(const model::Fault& fault) { send(bus::Faults{{fault}}); }

    std::vector<model::GuestReport> guests;
    std::vector<model::Fault> faults;
    bool welcomed = false;
    std::vector<bus::Policies> policies;
    std::vector<std::string> confirmed;
    std::vector<std::string> downs;
    std::string rejected;

private:
    std::string host_;
    bool is_primary_;
    std::unique_ptr<bus::AgentLink> link_;
};

class ControllerTest : public ::testing::Test {
protected:
    ControllerTest() { inventory(""); }
    ~ControllerTest() override {
        if (controller) controller->stop();
    }

    /// `more`: sections of the configuration, instead of the usual one of that name.
    void start(const std::string& more = {}) {
        runtime::ConfigErrors errors;
        const std::string bus = "[bus]\nlisten = unix://" + (dir / "bus.sock") + "\nlisten = tcp://127.0.0.1:0\n";
        auto file = runtime::ConfigFile::parse(
            (more.starts_with("[bus]") ? "" : bus) +
                (more.starts_with("[controller]") ? "" : "[controller]\nhost = ctl\n") +
                "[http]\nlisten = 127.0.0.1:0\n[inventory]\nfile = " + (dir / "inventory.conf") +
                "\n[sink inspector]\ntype = doctor\nurl = " + receiver.url("/events") + "\n" + more,
            "c", errors);
        config = read_controller_config(file, errors);
        ASSERT_TRUE(errors.empty()) << runtime::to_string(errors[0]);
        auto store = runtime::Store::open(loop.io, dir / "controller.db");
        ASSERT_TRUE(store) << store.error().message;
        controller = std::make_unique<Controller>(loop.io, config, "1.0", std::move(*store));
        const auto started = controller->start();
        ASSERT_TRUE(started) << started.error().message;
    }
    void restart() {
        controller->stop();
        controller.reset();
        start();
    }
    void inventory(const std::string& text) { std::ofstream(dir / "inventory.conf") << text; }
    std::unique_ptr<TestAgent> agent(const std::string& host = "compute-1", bool is_primary = true) {
        return std::make_unique<TestAgent>(loop.io, "unix://" + (dir / "bus.sock"), host, is_primary);
    }
    std::unique_ptr<TestAgent> welcomed_agent() {
        auto one = agent();
        EXPECT_TRUE(loop.until([&] { return one->welcomed; }));
        return one;
    }
    json get(const std::string& path, const std::string& query = {}, int status = 200) {
        runtime::HttpRequest request;
        request.method = "GET";
        request.path = path;
        request.query = query;
        auto response = make_router(controller->api())(request);
        EXPECT_EQ(response.status, status) << path;
        while (response.more && response.more(response.body)) {
        }
        return json::parse(response.body);
    }
    /// "f1 down", in the order the inspector has confirmed them; what it was sent of guests, not of a lost agent.
    std::vector<std::string> inspected() const {
        std::vector<std::string> lines;
        for (const json& events : receiver.confirmed) {
            for (const json& event : events) {
                if (!event["details"].contains("instance_id")) continue;
                lines.push_back(event["details"]["fault_id"].get<std::string>() + " " +
                                event["details"]["status"].get<std::string>());
            }
        }
        return lines;
    }

    test::TempDir dir;
    Loop loop;
    Receiver receiver{loop.io};
    ControllerConfig config;
    std::unique_ptr<Controller> controller;
    const model::Fault f1 = open_fault("vm-1", "f1");
};

}  // namespace vitalwire::controller
