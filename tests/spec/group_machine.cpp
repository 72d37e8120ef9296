// A member of the server group in virtual time, for tests/spec/test_group_table.py: vitalwired's GroupApp and the
// session that libvitalwire keeps for an application. One event a line of standard input, one outcome a line of
// standard output: what was sent to the host, what the application was told.

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "group/member_session.hpp"
#include "guest/app_protocol.hpp"
#include "guest/group_app.hpp"
#include "wire/inbound.hpp"
#include "wire/line_framer.hpp"

namespace vitalwire {
namespace {

using nlohmann::json;

std::optional<wire::GroupPdu> read_group(std::string_view line, wire::Receiver receiver) {
    while (line.starts_with('\n'))
        line.remove_prefix(1);
    while (line.ends_with('\n'))
        line.remove_suffix(1);
    auto inbound = wire::read_line(line, wire::ChannelKind::native, receiver);
    if (auto* message = std::get_if<wire::GroupMessage>(&inbound)) return std::move(message->pdu);
    return std::nullopt;
}

/// In the place of the port: it takes messages, or no more of them.
class Port : public guest::Channel {
public:
    void start(Events& /*events*/) override {}
    bool send(std::string message, guest::Priority /*priority*/) override {
        if (!is_full) sent.push_back(json::parse(message).at("data"));
        return !is_full;
    }
    void stop() override {}
    std::string status() const override { return {}; }

    bool is_full = false;
    json sent = json::array();
};

class GroupMachine : private guest::GroupApp::Member, private group::MemberSession::Events {
public:
    GroupMachine() { app_.join(*this, {true, true}); }

    json handle(const json& event) {
        port_.sent = told_ = json::array();
        json outcome;
        const std::string what = event.at("do");
        if (what == "connect") app_.host_connected();
        if (what == "disconnect") app_.host_disconnected();
        if (what == "full") port_.is_full = event.at("full");
        if (what == "pass") now_ += base::Millis(event.at("ms").get<int>());
        if (what == "bytes") receive(event.at("bytes"));
        if (what == "ask") outcome["seq"] = ask(base::Millis(event.at("ms").get<int>()));
        if (what == "send") outcome["seq"] = send(event.at("payload"));
        session_.tick(now_);
        outcome["sent"] = port_.sent;
        outcome["told"] = told_;
        return outcome;
    }

private:
    std::int64_t ask(base::Millis timeout) {
        const auto query = session_.query();
        session_.asked(query.seq, now_ + timeout);
        app_.send(*this, *read_group(query.line, wire::Receiver::host));
        return query.seq;
    }
    json send(std::string payload) {
        const auto message = session_.broadcast(std::move(payload));
        if (!message) {
            told_.push_back({{"refused", to_string(message.error().code)}});
            return nullptr;
        }
        app_.send(*this, *read_group(message->line, wire::Receiver::host));
        return message->seq;
    }
    void receive(const std::string& bytes) {
        // The base layer hands nacks of its own address to the application that they are for.
        if (const auto pdu = read_group(bytes, wire::Receiver::guest)) app_.receive(*pdu);
    }

    // As datagrams to the application.
    void deliver(const group::Outgoing& message) override {
        session_.received(*read_group(*message.line(wire::Dialect::native, wire::kBaseVersion), wire::Receiver::guest));
    }
    void lost(std::uint64_t count) override { dropped(count); }

    void broadcast(const wire::Delivery& message) override {
        told_.push_back({{"broadcast", message.payload}, {"from", message.source}});
    }
    void notification(const wire::Notification& message) override {
        told_.push_back({{"notification", message.state.instance_id}});
    }
    void refused(const wire::Nack& nack) override {
        json item = {{"refused", to_string(nack.code)}};
        if (nack.seq) item["seq"] = *nack.seq;
        told_.push_back(item);
    }
    void dropped(std::uint64_t count) override { told_.push_back({{"dropped", count}}); }
    void status(const group::Queries::Outcome& outcome) override {
        json item = {{"query", outcome.seq}};
        if (outcome.states) {
            item["members"] = json::array();
            for (const auto& state : *outcome.states)
                item["members"].push_back(state.instance_id);
        } else {
            item["failed"] = to_string(outcome.states.error().code);
        }
        told_.push_back(item);
    }

    base::TimePoint now_{std::chrono::hours(1)};
    Port port_;
    guest::GroupApp app_{port_};
    group::MemberSession session_{*this, guest::app::kMaxSeq};
    json told_;
};

}  // namespace
}  // namespace vitalwire

int main() {
    std::optional<vitalwire::GroupMachine> machine;
    std::string line;
    while (std::getline(std::cin, line)) {
        const auto event = nlohmann::json::parse(line);
        if (event.at("do") == "start")
            machine.emplace();
        else
            std::cout << machine.value().handle(event) << std::endl;
    }
}
