#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "controller/openstack/keystone.hpp"
#include "controller/sinks/http_target.hpp"
#include "controller/sinks/kinds.hpp"
#include "controller/sinks/sink_types.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

namespace {

constexpr wire::JsonLimits kServerLimits{32, 10'000};
constexpr int kRunning = 1;  // Nova's power_state

/// Nova that has no such server, unlike a proxy that finds no Nova.
bool no_such_server(const base::Result<HttpClientResponse>& response) {
    if (!response || response->status != 404) return false;
    const auto body = wire::parse_object(response->body, kServerLimits);
    return body && wire::find(*body, "itemNotFound") != nullptr;
}

/// Sets servers to ERROR through Nova's os-resetState while a fault is open, so that whoever watches Nova knows. Nova
/// saves the state before it answers 202: that is proof. Set once for a fault, and not for one that is over by then:
/// what an operator does to the server afterwards stays.
class ResetStateSink : public Sink {
public:
    struct Options {
        std::set<std::string> kinds;
        bool activate = false;  ///< at the clear
    };

    ResetStateSink(const SinkContext& context, Options options)
        : keystone_(*context.keystone), options_(std::move(options)) {}

    void deliver(const AlarmEvent& event, Done done) override {
        const bool concerned = options_.kinds.contains(event.alarm.kind) && base::is_uuid(event.alarm.guest.str());
        if (!concerned || event.change == AlarmChange::updated || event.over) return done(Outcome::confirmed());
        if (event.change == AlarmChange::opened) return reset(event.alarm.guest, "error", std::move(done));
        cleared(event, std::move(done));
    }

    bool takes_hosts() const override { return false; }

private:
    void cleared(const AlarmEvent& event, Done done) {
        const bool last = std::none_of(event.others_open.begin(), event.others_open.end(),
                                       [&](const std::string& kind) { return options_.kinds.contains(kind); });
        if (!options_.activate || !last) return done(Outcome::confirmed());
        HttpClientRequest request;
        request.url = "/servers/" + event.alarm.guest.str();
        call(std::move(request), [this, guest = event.alarm.guest, done = std::move(done)](const auto& response) {
            found(guest, response, done);
        });
    }

    void found(const base::GuestId& guest, const base::Result<HttpClientResponse>& response, const Done& done) {
        if (no_such_server(response)) return done(nothing_to_do(guest));
        Outcome outcome = outcome_of(response);
        if (outcome.kind != Outcome::Kind::confirmed) return done(std::move(outcome));
        const auto body = wire::parse_object(response->body, kServerLimits);
        const json* server = body ? wire::find(*body, "server") : nullptr;
        if (server == nullptr) return done(Outcome::retry("Nova's answer holds no server"));
        const std::string state = wire::text_or(*server, "OS-EXT-STS:vm_state");
        const auto power = wire::int_or(*server, "OS-EXT-STS:power_state", -1);
        if (state == "error" && power == kRunning) return reset(guest, "active", done);
        log::info("left a server's state as it is", {{"guest", guest}, {"state", state}, {"power_state", power}});
        done(Outcome::confirmed());
    }

    void reset(const base::GuestId& guest, const char* state, Done done) {
        HttpClientRequest request;
        request.method = "POST";
        request.url = "/servers/" + guest.str() + "/action";
        request.body = wire::dump({{"os-resetState", {{"state", state}}}});
        call(std::move(request), [guest, done = std::move(done)](const base::Result<HttpClientResponse>& response) {
            if (no_such_server(response)) return done(nothing_to_do(guest));
            Outcome outcome = outcome_of(response);
            const bool proof = response && response->status == 202;
            if (outcome.kind == Outcome::Kind::confirmed && !proof)
                outcome = Outcome::retry("HTTP " + std::to_string(response->status) + ", Nova says 202");
            done(std::move(outcome));
        });
    }

    void call(HttpClientRequest request, std::function<void(const base::Result<HttpClientResponse>&)> answered) {
        keystone_.call("compute", std::move(request),
                       [alive = std::weak_ptr(alive_), answered = std::move(answered)](const auto& response) {
                           if (!alive.expired()) answered(response);
                       });
    }

    static Outcome nothing_to_do(const base::GuestId& guest) {
        log::info("Nova has no such server, nothing to set", {{"guest", guest}});
        return Outcome::confirmed();
    }

    Keystone& keystone_;
    Options options_;
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< an answer that finds it gone is nobody's
};

}  // namespace

SinkFactory configure_reset_state_sink(runtime::ConfigReader& section) {
    ResetStateSink::Options options;
    options.kinds = read_kinds(section);
    options.activate = section.choice("on_clear", "leave", {"leave", "active"}) == "active";
    return [options](const SinkContext& context) { return std::make_unique<ResetStateSink>(context, options); };
}

}  // namespace vitalwire::controller
