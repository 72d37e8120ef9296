// The guest of src/heartbeat in virtual time, for tests/spec/test_guest_table.py: one event a line of standard input,
// one outcome a line of standard output: what was sent, the state, the milliseconds until its timer.

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "heartbeat/guest_session.hpp"
#include "wire/heartbeat_codec.hpp"
#include "wire/inbound.hpp"
#include "wire/line_framer.hpp"

namespace vitalwire {
namespace {

using base::Millis;
using heartbeat::GuestSession;
using nlohmann::json;

heartbeat::GuestSettings settings_of(const json& event) {
    heartbeat::GuestSettings settings;
    settings.name = "vm1";
    settings.detection_time = Millis(event.at("detection_time_ms").get<int>());
    return settings;
}

const char* name_of(GuestSession::State state) {
    switch (state) {
        case GuestSession::State::disconnected:
            return "disconnected";
        case GuestSession::State::registering:
            return "registering";
        case GuestSession::State::registered:
            return "registered";
        case GuestSession::State::waiting:
            return "waiting";
    }
    return "unknown";
}

class GuestMachine {
public:
    explicit GuestMachine(const json& settings) : session_(settings_of(settings), 41) {}

    json handle(const json& event) {
        sent_ = json::array();
        const std::string what = event.at("do");
        if (what == "connect") connect();
        if (what == "disconnect") disconnect();
        if (what == "bytes") receive(event.at("bytes"));
        if (what == "pass") pass(Millis(event.at("ms").get<int>()));
        if (what == "health") health_ = {event.at("healthy"), event.at("reason")};
        if (what == "settings") run([&](auto& actions) { session_.reconfigure(settings_of(event), now_, actions); });
        if (what == "stop") run([&](auto& actions) { session_.stop("stopped", actions); });
        const auto due = session_.next_deadline();
        const json left = due == base::kNever ? json() : json(std::chrono::duration_cast<Millis>(due - now_).count());
        return {{"sent", sent_}, {"state", name_of(session_.state())}, {"due", left}};
    }

private:
    template <class F>
    void run(F&& step) {
        GuestSession::Actions actions;
        step(actions);
        for (const auto& action : actions)
            std::visit([this](const auto& each) { perform(each); }, action);
    }

    void connect() {
        framer_.reset();
        run([&](auto& actions) { session_.connected(now_, actions); });
    }

    void disconnect() {
        framer_.reset();
        run([&](auto& actions) { session_.disconnected(actions); });
    }

    void pass(Millis time) {
        now_ += time;
        run([&](auto& actions) { session_.tick(now_, actions); });
    }

    void receive(const std::string& bytes) {
        framer_.feed(bytes, [this](std::string_view line) {
            const auto inbound = wire::read_line(line, wire::ChannelKind::native, wire::Receiver::guest);
            if (const auto* message = std::get_if<wire::HeartbeatMessage>(&inbound))
                run([&](auto& actions) { session_.received(message->pdu, health_, now_, actions); });
        });
    }

    void perform(const GuestSession::SendPdu& action) {
        sent_.push_back(json::parse(wire::encode_heartbeat(action.pdu, wire::Dialect::native, 1)).at("data"));
    }
    /// No application takes part: the answer is consent, at once.
    void perform(const GuestSession::Asked& action) {
        const auto& [session, invocation, event, revocable, timeout] = action.notify;
        const auto result = revocable ? model::VoteResult::accept : model::VoteResult::complete;
        perform(GuestSession::SendPdu{wire::ActionResponse{session, invocation, event, revocable, result, ""}});
    }
    void perform(const GuestSession::Registered&) {}
    void perform(const GuestSession::Unregistered&) {}
    void perform(const GuestSession::Refused&) {}

    base::TimePoint now_{std::chrono::hours(1)};
    wire::LineFramer framer_{wire::max_line(wire::ChannelKind::native)};
    GuestSession session_;
    heartbeat::Health health_;
    json sent_;
};

}  // namespace
}  // namespace vitalwire

int main() {
    std::optional<vitalwire::GuestMachine> machine;
    std::string line;
    while (std::getline(std::cin, line)) {
        const auto event = nlohmann::json::parse(line);
        if (event.at("do") == "start")
            machine.emplace(event);
        else
            std::cout << machine.value().handle(event) << std::endl;
    }
}
