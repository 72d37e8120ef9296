// The guest's side reading the host: bytes of any host, through the layers of vitalwired down to its applications.
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "fuzz.hpp"
#include "guest/base_layer.hpp"
#include "guest/group_app.hpp"
#include "guest/heartbeat_app.hpp"
#include "guest/monitor_clock.hpp"

using namespace vitalwire;

namespace {

class Wire final : public guest::Channel {
public:
    void start(Events& /*events*/) override {}
    bool send(std::string message, guest::Priority /*priority*/) override {
        FUZZ_REQUIRE(!message.empty() && message.back() == '\n');
        return true;
    }
    void stop() override {}
    std::string status() const override { return "a host is there"; }
};

class Member final : public guest::GroupApp::Member {
public:
    void deliver(const group::Outgoing& /*message*/) override {}
    void lost(std::uint64_t /*count*/) override {}
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    log::set_backend([](log::Level, std::string_view) {});  // a line for each input says nothing here
    boost::asio::io_context io;
    guest::MonitorClock clock(io);
    Wire port;
    guest::HeartbeatApp heartbeat(clock, port, {});
    guest::GroupApp group(port);
    guest::BaseLayer layer(heartbeat, group);
    Member member;
    group.join(member, {true, true});

    fuzz::Input input(data, size);
    layer.host_connected();
    while (!input.empty()) {
        const std::uint8_t choice = input.byte();
        if (choice == 255) {
            layer.host_disconnected();
            layer.host_connected();
        }
        if (choice == 254) group.send(member, wire::StatusQuery{1});
        layer.received(input.text(choice * 4U));
    }
    group.leave(member);
    return 0;
}
