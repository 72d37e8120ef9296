#include "controller/sinks/tacker/registry.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "controller/sinks/tacker/registration_json.hpp"
#include "runtime/problems.hpp"
#include "runtime/store.hpp"
#include "runtime/stored_table.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller::tacker {

using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

constexpr base::Millis kPeerTimeout{1000};  // Tacker waits that long for its answer, too
constexpr std::size_t kMaxTenant = 255;     // Keystone's names have at most 64 characters, of up to 4 bytes
constexpr wire::JsonLimits kPeerLimits{8, 3'000'000};

/// A whole VNF registers at once; who registers and removes all the time fills no log.
constexpr double kLogLinesAtOnce = 20;
constexpr double kLogLinesPerSecond = 0.1;

base::WallTime wall() {
    return std::chrono::system_clock::now();
}

/// Tacker joins its ServerNotifierUri and what follows without a look: slashes too many are none.
std::vector<std::string> parts_of(const std::string& path) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (end > at) parts.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

/// A project's id or its name: Tacker sends what it was configured with.
bool is_project(std::string_view text) {
    const bool printable = std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; });
    return !text.empty() && text.size() <= kMaxTenant && printable && base::is_utf8(text);
}

/// What stands between "v2" and the `after` last parts: a name can hold a slash.
std::string project_in(const std::vector<std::string>& path, std::size_t after) {
    std::string project;
    for (std::size_t i = 1; i + after < path.size(); ++i)
        project += (project.empty() ? "" : "/") + path[i];
    return project;
}

bool is_on_this_machine(const std::string& peer) {
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(peer, error);
    return peer == "unix" || (!error && normalized(address).is_loopback());
}

/// Takes the same time however much of it is right.
bool same(const std::string& a, const std::string& b) {
    unsigned differs = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
        differs |= static_cast<unsigned char>(a[i] ^ b[i]);
    return differs == 0;
}

HttpResponse reply(int status, const json& body) {
    return {status, "application/json", wire::dump(body) + "\n"};
}

}  // namespace

Registry::Registry(std::string name, const SinkContext& context, Options options, Registered registered)
    : name_(std::move(name)),
      context_(context),
      table_(context_.table("tacker." + name_)),
      options_(std::move(options)),
      registered_(std::move(registered)),
      registrations_([this](const Registration& registration, bool gone) { changed(registration, gone); }),
      targets_(options_.notify),
      server_(context.io, [this](const HttpRequest& request, const Respond& respond) { answer(request, respond); }),
      fetch_timer_(context.io),
      log_lines_(kLogLinesPerSecond, kLogLinesAtOnce) {
    const runtime::Labels labels = {{"sink", name_}};
    refused_ = context_.metrics->counter("vitalwire_controller_tacker_refused_total",
                                         "Requests to the registration interface that were refused.", labels);
    context_.metrics->gauge(
        "vitalwire_controller_tacker_registrations", "Servers that Tacker wants to be notified of.",
        [this] { return static_cast<double>(registrations_.size()); }, labels);
    load();
}

void Registry::load() {
    const auto rows = table_.rows();  // a copy: some are erased
    for (const auto& [id, text] : rows) {
        const auto row = wire::parse_object(text);
        auto registration = row ? registration_from(*row) : tl::make_unexpected(row.error());
        if (registration) {
            registrations_.restore(std::move(*registration));
        } else {
            log::warning("dropped a registration that cannot be read",
                         {{"sink", name_}, {"id", id}, {"why", registration.error().message}});
            table_.erase(id);
        }
    }
}

base::Result<void> Registry::start() {
    if (auto listening = server_.listen(options_.listen); !listening) return listening;
    log::info("listening for registrations of servers", {{"sink", name_}, {"address", server_.address()}});
    if (!options_.peers.empty()) fetch();
    return {};
}

void Registry::stop() {
    alive_.reset();
    fetch_timer_.cancel();
    server_.stop();
}

void Registry::changed(const Registration& registration, bool gone) {
    if (gone) return table_.erase(registration.alarm_id);
    table_.put(registration.alarm_id, wire::dump(to_json(registration)));
    log_change(registration);
    if (!registration.removed) registered_(registration.server);
}

void Registry::log_change(const Registration& registration) {
    if (!log_lines_.take(base::Clock::now())) {
        ++not_logged_;
        return;
    }
    log::info(registration.removed ? "server no longer registered" : "server registered",
              {{"sink", name_},
               {"server", registration.server},
               {"alarm_id", registration.alarm_id},
               {"not_logged", std::exchange(not_logged_, 0)}});
}

void Registry::refuse(const Respond& respond, int status, const std::string& why) {
    refused_.add();
    respond(reply(status, {{"error", why}}));
}

void Registry::answer(const HttpRequest& request, const Respond& respond) {
    if (!options_.allow.contains(request.peer)) return refuse(respond, 403, "your address may not register");
    std::vector<std::string> path = parts_of(request.path);
    if (!options_.token.empty()) {
        if (path.empty() || !same(path.front(), options_.token)) return refuse(respond, 404, "no such page");
        path.erase(path.begin());
    }
    if (path == std::vector<std::string>{"v1", "registrations"}) return answer_peer(request, respond);
    answer_tacker(request, std::move(path), respond);
}

/// POST v2/{tenant}/servers/{server_id}/alarms, DELETE v2/{tenant}/servers/{server_id}/alarms/{alarm_id}
void Registry::answer_tacker(const HttpRequest& request, std::vector<std::string> path, const Respond& respond) {
    const auto ends_in_alarms = [&](std::size_t after) {
        return path.size() >= 5 + after && path[path.size() - 3 - after] == "servers" &&
               path[path.size() - 1 - after] == "alarms";
    };
    const bool names_alarm = ends_in_alarms(1);
    if (path.empty() || path[0] != "v2" || (!names_alarm && !ends_in_alarms(0)))
        return refuse(respond, 404, "no such page");
    const char* expected = names_alarm ? "DELETE" : "POST";
    if (request.method != expected) return refuse(respond, 405, std::string("expected ") + expected);
    const std::size_t after = names_alarm ? 4 : 3;
    const std::string tenant = project_in(path, after);
    const base::GuestId server(path[path.size() - after + 1]);
    if (!is_project(tenant)) return refuse(respond, 400, "the tenant is no id or name of a project");
    if (!base::is_uuid(server.str())) return refuse(respond, 400, "the server's id is no uuid");

    if (names_alarm) {
        const std::string& alarm = path.back();
        if (!base::is_uuid(alarm)) return refuse(respond, 404, "the alarm's id is no uuid");
        if (!registrations_.remove(alarm, tenant, server, wall())) return refuse(respond, 404, "no such alarm");
        return share(*registrations_.find(alarm), [respond] { respond({204, "application/json", ""}); });
    }
    auto wanted = read_request(request.body);
    if (!wanted) return refuse(respond, 400, wanted.error().message);
    wanted->alarm_id = to_string(boost::uuids::random_generator()());
    wanted->tenant = tenant;
    wanted->server = server;
    wanted->changed_at = wall();
    wanted->registered_here = is_on_this_machine(request.peer);
    register_server(std::move(*wanted), respond);
}

void Registry::register_server(Registration wanted, const Respond& respond) {
    if (const auto address = address_in(wanted.fault_action)) {
        const std::string why = targets_.why_not(*address, wanted.registered_here);
        if (!why.empty()) return refuse(respond, 403, "'fault_action': " + why);
    }
    const auto id = registrations_.add(std::move(wanted));
    if (!id) return refuse(respond, 413, "too many registrations: " + id.error().message);
    share(*registrations_.find(*id), [respond, id = *id] { respond(reply(201, {{"alarm_id", id}})); });
}

std::function<std::string(const boost::asio::ip::tcp::endpoint&)> Registry::guard_of(
    const Registration& registration) const {
    std::vector<std::string> own = context_.own_listeners ? context_.own_listeners() : std::vector<std::string>();
    own.push_back(server_.address());
    return [targets = targets_, own = std::move(own), here = registration.registered_here](const auto& target) {
        return targets.why_not(target, own, here);
    };
}

/// GET: everything that is known here. PUT: a list of what is new there.
void Registry::answer_peer(const HttpRequest& request, const Respond& respond) {
    if (request.method == "GET") {
        json list = json::array();
        for (const auto& [id, registration] : registrations_.all())
            list.push_back(to_json(registration));
        return respond(reply(200, list));
    }
    if (request.method != "PUT") return refuse(respond, 405, "expected GET or PUT");
    const auto list = wire::parse_array(request.body, kPeerLimits);
    if (!list) return refuse(respond, 400, list.error().message);
    for (const json& entry : *list) {
        const auto registration = registration_from(entry);
        if (!registration) return refuse(respond, 400, registration.error().message);
        merge(*registration, is_on_this_machine(request.peer));
    }
    respond({204, "application/json", ""});
}

/// What is on a peer's machine is on this one only if both are the same.
void Registry::merge(Registration theirs, bool peer_is_here) {
    theirs.registered_here = theirs.registered_here && peer_is_here;
    registrations_.merge(theirs);
}

HttpClientRequest Registry::to_peer(const std::string& peer) const {
    HttpClientRequest request;
    request.url = peer + (options_.token.empty() ? "" : "/" + options_.token) + "/v1/registrations";
    request.headers["Content-Type"] = "application/json";
    request.timeout = kPeerTimeout;
    return request;
}

void Registry::share(const Registration& registration, std::function<void()> done) {
    // Counts down: each peer's answer, and the disk's.
    const auto last = std::shared_ptr<void>(nullptr, [alive = std::weak_ptr(alive_), done = std::move(done)](void*) {
        if (!alive.expired()) done();
    });
    // A full disk does not stop us: the store is a problem of its own.
    if (context_.store->healthy()) context_.store->when_durable([last] {});
    const std::string body = wire::dump(json::array({to_json(registration)}));
    for (const std::string& peer : options_.peers) {
        HttpClientRequest request = to_peer(peer);
        request.method = "PUT";
        request.body = body;
        context_.http.send(std::move(request), [last](const auto&) {});
    }
}

void Registry::fetch_later() {
    fetch_timer_.after(options_.sync, [this] { fetch(); });
}

void Registry::fetch() {
    registrations_.expire(wall());
    for (const std::string& peer : options_.peers) {
        context_.http.send(to_peer(peer), [this, peer, alive = std::weak_ptr(alive_)](const auto& response) {
            if (!alive.expired()) take_over(peer, response);
        });
    }
    fetch_later();
}

void Registry::take_over(const std::string& peer, const base::Result<HttpClientResponse>& response) {
    const std::string what = "sink " + name_ + " cannot fetch registrations from " + peer;
    if (!response || response->status != 200)
        return context_.problems->raise(
            what, response ? "HTTP " + std::to_string(response->status) : response.error().message);
    const auto list = wire::parse_array(response->body, kPeerLimits);
    if (!list) return context_.problems->raise(what, list.error().message);
    const auto address = address_in(peer);
    const bool peer_is_here = address && normalized(*address).is_loopback();
    std::string mistake;
    for (const json& entry : *list) {
        const auto registration = registration_from(entry);
        if (registration) {
            merge(*registration, peer_is_here);
        } else {
            mistake = registration.error().message;
        }
    }
    context_.problems->set(what, mistake);
}

}  // namespace vitalwire::controller::tacker
