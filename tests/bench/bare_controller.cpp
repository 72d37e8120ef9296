// bench_bare_controller URL: the controller's baseline. Takes agents in by the project's own bus library, reads and
// checks what they say, and does nothing about it. Prints "listening URL". Acked on standard input:
//   count   prints: known AGENTS GUESTS: agents whose full resync is there, and the guests in it
#include <boost/asio/io_context.hpp>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "bus/transport.hpp"
#include "commands.hpp"
#include "sockets.hpp"

namespace {

using namespace vitalwire;

class BareController final : public bus::ControllerPort::Handler {
public:
    BareController(boost::asio::io_context& io, const std::string& url) : commands_(io, [this] { print(); }) {
        auto port = bus::make_controller_port(io, url);
        const auto started = port ? (port_ = std::move(*port))->start(*this) : tl::make_unexpected(port.error());
        if (!started) {
            std::cerr << started.error().message << "\n";
            std::exit(1);
        }
        std::cout << "listening " << port_->address() << std::endl;
    }

private:
    void on_agent_up(const base::HostId& host, const bus::Hello&, const std::string&) override {
        port_->send(host, bus::Welcome{bus::kBusVersion, "bare"});
    }
    void on_agent_down(const base::HostId& host, const std::string&) override { told_.erase(host); }
    void on_message(const base::HostId& host, const bus::ToController& message) override {
        if (const auto* guests = std::get_if<bus::Guests>(&message)) told_[host].guests = guests->guests.size();
        if (std::holds_alternative<bus::SnapshotEnd>(message)) told_[host].whole = true;
    }

    void print() const {
        std::size_t agents = 0;
        std::size_t guests = 0;
        for (const auto& [host, told] : told_) {
            if (!told.whole) continue;
            ++agents;
            guests += told.guests;
        }
        std::cout << "known " << agents << " " << guests << std::endl;
    }

    struct Acked {
        std::size_t guests = 0;
        bool whole = false;
    };

    std::unique_ptr<bus::ControllerPort> port_;
    std::map<base::HostId, Acked> told_;
    bench::Commands commands_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: bench_bare_controller URL\n";
        return 2;
    }
    bench::raise_file_limit();
    boost::asio::io_context io(1);
    const BareController controller(io, argv[1]);
    io.run();
}
