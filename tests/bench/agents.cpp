// bench_agents URL AGENTS GUESTS [PASSWORD]: so many agents in one process, as the project's own bus library has them,
// each with GUESTS registered guests; of every tenth agent one guest is lost. Agent N is compute-N and has the guests
// N, N + AGENTS, N + 2 AGENTS, ... They send a full resync whenever they are connected, the state of their guests
// every 10 s, and try again without end. PASSWORD: of their broker users, for amqp:// URLs. Acked on standard input:
//   count   prints: heard UP POLICIES PEERS DELIVERED: agents that are connected now; guests' policies, states of peers
//           and confirmed faults that all agents have been told since they are connected
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "bus/transport.hpp"
#include "commands.hpp"
#include "runtime/timer.hpp"
#include "sockets.hpp"

namespace {

using namespace vitalwire;

constexpr std::size_t kLosesOne = 10;  // every tenth agent
constexpr base::Millis kReportInterval{10'000};

/// As inventory.py has Nova list them.
std::string uuid(std::size_t number) {
    std::string digits = std::to_string(number);
    return "5bd4d2ba-1c8b-4d0f-9a30-" + std::string(12 - digits.size(), '0') + digits;
}

base::WallTime wall_now() {
    return std::chrono::system_clock::now();
}

[[noreturn]] void give_up(const base::Error& error) {
    std::cerr << error.message << "\n";
    std::exit(1);
}

/// What all agents have heard since they are connected.
struct Heard {
    std::size_t up = 0;
    std::size_t policies = 0;
    std::size_t peers = 0;
    std::size_t delivered = 0;
};

class Agent final : public bus::AgentLink::Handler {
public:
    struct Place {
        std::string url;
        std::string password;
        std::size_t number = 0;
        std::size_t agents = 0;
        std::size_t guests = 0;
    };

    Agent(boost::asio::io_context& io, const Place& place)
        : host_("compute-" + std::to_string(place.number)), report_timer_(io) {
        for (std::size_t i = 0; i < place.guests; ++i)
            add_guest(place.number + i * place.agents);
        if (!reports_.empty() && place.number % kLosesOne == 0) lose(reports_.front());
        connect(io, place);
    }

    void add_to(Heard& sum) const {
        if (link_ == nullptr || !link_->up()) return;
        ++sum.up;
        sum.policies += policies_;
        sum.peers += peers_;
        for (const model::Fault& fault : faults_)
            sum.delivered += fault.delivered == fault.revision ? 1 : 0;
    }

private:
    void add_guest(std::size_t number) {
        model::GuestReport report;
        report.guest = base::GuestId(uuid(number));
        report.name = "vnf-" + std::to_string(number);
        report.state = "registered";
        report.channels = {"org.vitalwire.0"};
        report.interval = report.response_deadline = base::Millis(1000);
        report.registered_since = wall_now();
        report.challenges = report.responses = 86'400 + number;
        report.last_round_trip_us = 350;
        reports_.push_back(std::move(report));
    }

    void lose(model::GuestReport& report) {
        report.state = "lost";
        model::Fault fault;
        fault.id = base::FaultId("f" + report.guest.str());
        fault.guest = report.guest;
        fault.guest_name = report.name;
        fault.detail = "silent";
        fault.opened_at = fault.updated_at = wall_now();
        faults_.push_back(std::move(fault));
    }

    void connect(boost::asio::io_context& io, const Place& place) {
        if (!bus::is_broker_url(place.url)) {
            auto link = bus::make_agent_link(io, place.url);
            if (!link) give_up(link.error());
            return take(std::move(*link));
        }
        auto finder = bus::make_controller_finder(io, {{}, {place.url}, {host_, place.password}});
        if (!finder) give_up(finder.error());
        finder_ = std::move(*finder);
        finder_->start([this](auto link) { take(std::move(link)); }, [] {});
    }

    void take(std::unique_ptr<bus::AgentLink> link) {
        if (link_) return;
        link_ = std::move(link);
        link_->start(*this);
    }

    void on_up(bus::AgentLink& link) override {
        policies_ = peers_ = 0;
        link.send(bus::Hello{bus::kBusVersion, base::HostId(host_), "bench", "life-of-" + host_, true});
        link.send(bus::SnapshotBegin{});
        link.send(bus::Guests{reports_});
        if (!faults_.empty()) link.send(bus::Faults{faults_});
        link.send(bus::SnapshotEnd{});
        report_later();
    }

    void on_down(bus::AgentLink&, const std::string&) override { report_timer_.cancel(); }

    void on_message(bus::AgentLink&, const bus::ToAgent& message) override {
        if (const auto* policies = std::get_if<bus::Policies>(&message)) policies_ += policies->policies.size();
        if (std::holds_alternative<bus::GroupNotify>(message)) ++peers_;
        if (const auto* delivered = std::get_if<bus::FaultsDelivered>(&message)) note(*delivered);
    }

    void note(const bus::FaultsDelivered& delivered) {
        for (const auto& item : delivered.items) {
            for (model::Fault& fault : faults_) {
                if (fault.id == item.fault) fault.delivered = item.revision;
            }
        }
    }

    void report_later() {
        report_timer_.after(kReportInterval, [this] {
            link_->send(bus::Guests{reports_});
            report_later();
        });
    }

    std::string host_;
    std::vector<model::GuestReport> reports_;
    std::vector<model::Fault> faults_;
    std::size_t policies_ = 0;
    std::size_t peers_ = 0;
    std::unique_ptr<bus::ControllerFinder> finder_;  ///< outlives the link
    std::unique_ptr<bus::AgentLink> link_;
    runtime::Timer report_timer_;
};

class Agents {
public:
    Agents(boost::asio::io_context& io, Agent::Place place) : commands_(io, [this] { print(); }) {
        for (; place.number < place.agents; ++place.number)
            agents_.push_back(std::make_unique<Agent>(io, place));
    }

private:
    void print() const {
        Heard sum;
        for (const auto& agent : agents_)
            agent->add_to(sum);
        std::cout << "heard " << sum.up << " " << sum.policies << " " << sum.peers << " " << sum.delivered << std::endl;
    }

    std::vector<std::unique_ptr<Agent>> agents_;
    bench::Commands commands_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4 && argc != 5) {
        std::cerr << "usage: bench_agents URL AGENTS GUESTS [PASSWORD]\n";
        return 2;
    }
    bench::raise_file_limit();
    log::set_level(log::Level::warning);
    boost::asio::io_context io(1);
    const Agents agents(io, {argv[1], argc == 5 ? argv[4] : "", 0, std::stoul(argv[2]), std::stoul(argv[3])});
    std::cout << "started" << std::endl;
    io.run();
}
