#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "controller/sinks/http_target.hpp"
#include "controller/sinks/sink_types.hpp"
#include "controller/sinks/tacker/registration_json.hpp"
#include "controller/sinks/tacker/registry.hpp"
#include "runtime/listen.hpp"
#include "runtime/listen_config.hpp"
#include "runtime/secret.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::Result;
using nlohmann::json;
using runtime::ConfigReader;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;
using tacker::Registration;

namespace {

constexpr std::size_t kMaxMessage = 255;
constexpr std::size_t kMaxUriToken = 128;  // plain characters: part of a URL

/// What a kind of fault is to Tacker.
struct TackerFault {
    std::string id;
    std::string type;
};

/// Tacker's Server Notifier: notifies Tacker of faults of the servers that it has registered, and Tacker heals them. It
/// has no update and no clear. 204 proves that it has this fault. Each fault is sent for itself: Tacker packs what
/// comes within its timer_interval into one heal.
class TackerSink : public Sink {
public:
    struct Options {
        HttpClientRequest request;
        std::map<std::string, TackerFault> faults;  ///< by kind
        tacker::Registry::Options registry;
    };

    TackerSink(const SinkContext& context, Options options)
        : http_(context.http),
          options_(std::move(options)),
          registry_(context.name, context, options_.registry, context.resend) {}

    Result<void> start() override { return registry_.start(); }
    void stop() override { registry_.stop(); }
    std::string address() const override { return registry_.address(); }
    bool takes_hosts() const override { return false; }

    void deliver(const AlarmEvent& event, Done done) override {
        if (event.change == AlarmChange::cleared) acknowledged_.erase(event.alarm.id);
        const std::string useless = why_useless(event);
        if (!useless.empty()) return done(Outcome::skipped(useless));
        const auto registrations = registered_for(event.alarm);
        if (registrations.empty()) return done(Outcome::skipped("Tacker has not registered this server for it"));
        auto attempt = std::make_shared<Attempt>();
        attempt->done = std::move(done);
        for (const Registration* registration : registrations) {
            if (!acknowledged_[event.alarm.id].contains(registration->alarm_id)) notify(event, *registration, attempt);
        }
        // The attempt ends with the last answer, which is who holds it last.
    }

    std::string route(const Alarm& alarm) const override {
        std::set<std::string> addresses;
        for (const Registration* registration : registered_for(alarm))
            addresses.insert(tacker::authority_of(registration->fault_action));
        std::string route;
        for (const std::string& address : addresses)
            route += (route.empty() ? "" : " ") + address;
        return route;
    }

private:
    /// One event on its way to everybody who has registered for it. It ends when the last answer is there; requests
    /// that are dropped (at our own end) are no answers.
    struct Attempt {
        ~Attempt() {
            if (waiting == 0) done(std::move(worst));
        }
        std::size_t waiting = 0;
        Outcome worst;
        Done done;
    };

    std::string why_useless(const AlarmEvent& event) const {
        if (event.change == AlarmChange::updated) return "Tacker has no update of a notification";
        if (event.change == AlarmChange::cleared) return "Tacker has no clear of a notification";
        if (!options_.faults.contains(event.alarm.kind)) return "its kind has no fault_id for Tacker";
        return event.over ? "it was over before Tacker could be notified" : "";
    }

    std::vector<const Registration*> registered_for(const Alarm& alarm) const {
        const auto fault = options_.faults.find(alarm.kind);
        if (fault == options_.faults.end()) return {};
        auto registrations = registry_.registrations().of_server(alarm.guest);
        std::erase_if(registrations, [&](const Registration* registration) {
            return !registration->fault_ids.contains(fault->second.id);
        });
        return registrations;
    }

    void notify(const AlarmEvent& event, const Registration& registration, const std::shared_ptr<Attempt>& attempt) {
        const TackerFault& fault = options_.faults.at(event.alarm.kind);
        HttpClientRequest request = options_.request;
        request.method = "POST";
        request.url = registration.fault_action;
        request.why_not_connect = registry_.guard_of(registration);
        request.body = wire::dump({{"notification",
                                    {{"host_id", event.alarm.host.str()},
                                     {"alarm_id", registration.alarm_id},
                                     {"fault_id", fault.id},
                                     {"fault_type", fault.type},
                                     {"fault_option", {{"message", base::cut_utf8(describe(event), kMaxMessage)}}}}}});
        ++attempt->waiting;
        http_.send(std::move(request), [this, attempt, id = registration.alarm_id, alarm = event.alarm.id,
                                        alive = std::weak_ptr(alive_)](const auto& response) {
            if (alive.expired()) return;
            --attempt->waiting;
            Outcome outcome = outcome_of_tacker(response);
            if (outcome.kind == Outcome::Kind::confirmed) acknowledged_[alarm].insert(id);
            // What can be better soon decides when it is tried again; those who have it are not notified once more.
            const bool worse = outcome.kind == Outcome::Kind::retry || attempt->worst.kind == Outcome::Kind::confirmed;
            if (outcome.kind != Outcome::Kind::confirmed && worse) attempt->worst = std::move(outcome);
        });
    }

    static Outcome outcome_of_tacker(const Result<HttpClientResponse>& response) {
        if (!response && response.error().code == base::Errc::permission)
            return Outcome::refused(response.error().message);
        if (!response) return Outcome::retry(response.error().message);
        if (response->status == 204) return Outcome::confirmed();
        if (response->status / 100 == 2)
            return Outcome::retry("HTTP " + std::to_string(response->status) + ", expected Tacker's 204");
        Outcome outcome = outcome_of(response);
        // No such VNF, or this Tacker has the interface switched off: that concerns this server alone.
        if (response->status == 404) outcome.kind = Outcome::Kind::refused;
        return outcome;
    }

    runtime::HttpClient& http_;
    Options options_;
    std::map<base::FaultId, std::set<std::string>> acknowledged_;  ///< open faults: by which registrations
    tacker::Registry registry_;
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< an answer that finds it gone is nobody's
};

/// "heartbeat_lost 1234 20".
void read_fault(ConfigReader& section, const std::string& line, std::map<std::string, TackerFault>& faults) {
    static const std::set<std::string> types = {"10", "11", "20", "21"};
    const auto word = [&line](std::size_t number) {
        std::size_t at = 0;
        for (;; --number) {
            at = std::min(line.find_first_not_of(' ', at), line.size());
            const std::size_t end = std::min(line.find(' ', at), line.size());
            if (number == 0) return line.substr(at, end - at);
            at = end;
        }
    };
    const std::string kind = word(0);
    const TackerFault fault{word(1), word(2)};
    const model::AlarmKind* known = model::find_alarm_kind(kind);
    const bool good =
        known != nullptr && !known->of_host && tacker::is_fault_id(fault.id) && types.contains(fault.type);
    if (!good || !word(3).empty()) {
        return section.refuse("fault",
                              "expected a kind of fault, a fault_id of 4 characters and a fault_type of 10, 11, 20 or "
                              "21, found '" +
                                  base::escape(line, 64) + "'");
    }
    faults[kind] = fault;
}

std::map<std::string, TackerFault> read_faults(ConfigReader& section) {
    if (!section.has("fault")) {
        const TackerFault down{"1234", "20"};
        return {{"heartbeat_lost", down}, {"vm_crashed", down}, {"stopped_by_host", down}};
    }
    std::map<std::string, TackerFault> faults;
    for (const std::string& line : section.lines("fault"))
        read_fault(section, line, faults);
    return faults;
}

tacker::Registry::Options read_registry(ConfigReader& section) {
    tacker::Registry::Options options;
    options.listen = section.required_text("listen");
    if (section.has("listen")) runtime::check_listen_address(section, "listen", options.listen);
    for (const std::string& network : section.list("allow", {"127.0.0.0/8", "::1"})) {
        if (!options.allow.add(network))
            section.refuse("allow",
                           "expected addresses or networks, as 10.0.0.0/8, found '" + base::escape(network, 64) + "'");
    }
    for (const std::string& network : section.list("notify")) {
        if (!options.notify.add(network))
            section.refuse("notify",
                           "expected addresses or networks, as 10.0.0.0/8, found '" + base::escape(network, 64) + "'");
    }
    options.token = runtime::read_secret(section, "token");
    if (!options.token.empty() && !base::is_plain_name(options.token, kMaxUriToken))
        section.refuse(section.has("token_file") ? "token_file" : "token_env",
                       "expected 1 to 128 letters, digits, '.', '_' and '-' in it: it is part of a URL");
    for (std::string peer : section.list("peers")) {
        while (peer.ends_with('/'))
            peer.pop_back();
        if (const auto good = runtime::check_http_url(peer); !good) section.refuse("peers", good.error().message, peer);
        options.peers.push_back(std::move(peer));
    }
    options.sync =
        section.duration("sync", std::chrono::seconds(10), std::chrono::milliseconds(100), std::chrono::hours(1));
    return options;
}

}  // namespace

SinkFactory configure_tacker_sink(ConfigReader& section) {
    TackerSink::Options options;
    options.request.timeout =
        section.duration("timeout", std::chrono::seconds(5), base::Millis(100), std::chrono::minutes(1));
    options.request.ca_file = section.file("ca_file");
    options.request.insecure = section.boolean("insecure", false);
    options.request.headers["Content-Type"] = "application/json";
    options.faults = read_faults(section);
    options.registry = read_registry(section);
    return [options](const SinkContext& context) { return std::make_unique<TackerSink>(context, options); };
}

}  // namespace vitalwire::controller
