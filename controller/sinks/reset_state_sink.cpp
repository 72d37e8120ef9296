#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "controller/model/kinds.hpp"
#include "controller/openstack/keystone.hpp"
#include "controller/sinks/http_target.hpp"
#include "controller/sinks/sink_types.hpp"
#include "runtime/stored_table.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

namespace {

constexpr wire::JsonLimits kServerLimits{32, 10'000};
constexpr int kRunning = 1;  // Nova's power_state
constexpr const char* kError = "error";

/// Nova that has no such server, unlike a proxy that finds no Nova.
bool no_such_server(const base::Result<HttpClientResponse>& response) {
    if (!response || response->status != 404) return false;
    const auto body = wire::parse_object(response->body, kServerLimits);
    return body && wire::find(*body, "itemNotFound") != nullptr;
}

/// A server as Nova shows it.
struct ShownServer {
    std::string state;
    std::int64_t power = -1;
    std::string updated;  ///< when its row was saved last, by Nova's clock
};

base::Result<ShownServer> shown_in(const HttpClientResponse& response) {
    const auto body = wire::parse_object(response.body, kServerLimits);
    const json* server = body ? wire::find(*body, "server") : nullptr;
    if (server == nullptr) return base::fail(base::Errc::malformed, "Nova's answer holds no server");
    return ShownServer{wire::text_or(*server, "OS-EXT-STS:vm_state"),
                       wire::int_or(*server, "OS-EXT-STS:power_state", -1), wire::text_or(*server, "updated")};
}

/// The servers whose ERROR is ours: set from here, and their row not saved since by anybody. Each with the time of
/// change that Nova showed after it was set; kept over a restart, and when the sink is configured again.
class OwnErrors {
public:
    explicit OwnErrors(runtime::StoredTable& updated) : updated_(updated) {}

    bool contains(const base::GuestId& guest) const { return updated_.rows().contains(guest.str()); }
    bool are(const base::GuestId& guest, const ShownServer& server) const {
        const auto at = updated_.rows().find(guest.str());
        return at != updated_.rows().end() && server.state == kError && !server.updated.empty() &&
               at->second == server.updated;
    }
    /// Of one that was set and not read back yet.
    void complete(const base::GuestId& guest, const ShownServer& server) {
        const auto at = updated_.rows().find(guest.str());
        if (at != updated_.rows().end() && at->second.empty() && server.state == kError) put(guest, server.updated);
    }
    void put(const base::GuestId& guest, const std::string& updated) { updated_.put(guest.str(), updated); }
    void erase(const base::GuestId& guest) { updated_.erase(guest.str()); }

private:
    runtime::StoredTable& updated_;
};

/// Sets servers to ERROR through Nova's os-resetState while a fault is open, so that what watches Nova is notified.
/// Nova saves the state before it answers 202: that is proof. Set once for a fault, and not for one that is over by
/// then: what an operator does to the server afterwards stays. `on_clear = active` takes back an ERROR that was set
/// from here, and no other: one that was there before, or a row that was saved since, is somebody else's.
class ResetStateSink : public Sink {
public:
    struct Options {
        std::set<std::string> kinds;
        bool activate = false;  ///< at the clear
    };

    ResetStateSink(const SinkContext& context, Options options)
        : keystone_(*context.keystone),
          options_(std::move(options)),
          own_errors_(context.table("nova_reset_state." + context.name)) {}

    void deliver(const AlarmEvent& event, Done done) override {
        const std::string useless = why_useless(event);
        if (!useless.empty()) return done(Outcome::skipped(useless));
        if (event.change == AlarmChange::cleared) return cleared(event, std::move(done));
        // Nova may have saved the state and answered too late: what is there is not set again.
        look_at(event.alarm.guest, std::move(done), [this](const base::GuestId& guest, const auto& server, auto then) {
            if (server.state != kError && !options_.activate) return reset(guest, kError, std::move(then));
            if (server.state != kError) return set_own_error(guest, std::move(then));
            own_errors_.complete(guest, server);
            then(Outcome::confirmed());  // Nova shows it already
        });
    }

    bool takes_hosts() const override { return false; }

private:
    using Seen = std::function<void(const base::GuestId&, const ShownServer&, Done)>;

    std::string why_useless(const AlarmEvent& event) const {
        if (!options_.kinds.contains(event.alarm.kind)) return "its kind is none of this sink's";
        if (!base::is_uuid(event.alarm.guest.str())) return "the guest is no server of Nova's";
        if (event.change == AlarmChange::updated) return "the server's state is set once for a fault";
        return event.over ? "it was over before Nova could be notified" : "";
    }

    void cleared(const AlarmEvent& event, Done done) {
        const bool last = std::none_of(event.others_open.begin(), event.others_open.end(),
                                       [&](const std::string& kind) { return options_.kinds.contains(kind); });
        if (!options_.activate) return done(Outcome::skipped("the server's state is left as it is at the clear"));
        if (!last) return done(Outcome::skipped("another fault of this server is open"));
        if (!own_errors_.contains(event.alarm.guest))
            return done(Outcome::skipped("the server's state was not set from here"));
        look_at(event.alarm.guest, std::move(done), [this](const base::GuestId& guest, const auto& server, auto then) {
            const bool ours = own_errors_.are(guest, server);
            if (ours && server.power == kRunning) return take_back(guest, std::move(then));
            log::info("left a server's state as it is", {{"guest", guest},
                                                         {"state", server.state},
                                                         {"power_state", server.power},
                                                         {"set_by", ours ? "this controller" : "somebody else"}});
            own_errors_.erase(guest);
            then(Outcome::confirmed());
        });
    }

    void look_at(const base::GuestId& guest, Done done, Seen seen) {
        HttpClientRequest request;
        request.url = "/servers/" + guest.str();
        call(std::move(request), [this, guest, done = std::move(done), seen = std::move(seen)](const auto& response) {
            if (no_such_server(response)) return nothing_to_do(guest, done);
            Outcome outcome = outcome_of(response);
            if (outcome.kind != Outcome::Kind::confirmed) return done(std::move(outcome));
            const auto server = shown_in(*response);
            if (!server) return done(Outcome::retry(server.error().message));
            seen(guest, *server, done);
        });
    }

    void set_own_error(const base::GuestId& guest, Done done) {
        reset(guest, kError, [this, guest, done = std::move(done)](Outcome outcome) {
            if (outcome.kind != Outcome::Kind::confirmed) return done(std::move(outcome));
            own_errors_.put(guest, "");
            look_at(guest, done, [this](const base::GuestId& changed, const ShownServer& server, const Done& then) {
                own_errors_.complete(changed, server);
                then(Outcome::confirmed());
            });
        });
    }

    void take_back(const base::GuestId& guest, Done done) {
        reset(guest, "active", [this, guest, done = std::move(done)](Outcome outcome) {
            if (outcome.kind == Outcome::Kind::confirmed) own_errors_.erase(guest);
            done(std::move(outcome));
        });
    }

    void reset(const base::GuestId& guest, const char* state, Done done) {
        HttpClientRequest request;
        request.method = "POST";
        request.url = "/servers/" + guest.str() + "/action";
        request.body = wire::dump({{"os-resetState", {{"state", state}}}});
        call(std::move(request),
             [this, guest, done = std::move(done)](const base::Result<HttpClientResponse>& response) {
                 if (no_such_server(response)) return nothing_to_do(guest, done);
                 Outcome outcome = outcome_of(response);
                 const bool proof = response && response->status == 202;
                 if (outcome.kind == Outcome::Kind::confirmed && !proof)
                     outcome = Outcome::retry("HTTP " + std::to_string(response->status) + ", expected Nova's 202");
                 done(std::move(outcome));
             });
    }

    void call(HttpClientRequest request, std::function<void(const base::Result<HttpClientResponse>&)> answered) {
        keystone_.call("compute", std::move(request),
                       [alive = std::weak_ptr(alive_), answered = std::move(answered)](const auto& response) {
                           if (!alive.expired()) answered(response);
                       });
    }

    void nothing_to_do(const base::GuestId& guest, const Done& done) {
        own_errors_.erase(guest);
        done(Outcome::skipped("Nova has no such server"));
    }

    Keystone& keystone_;
    Options options_;
    OwnErrors own_errors_;
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
