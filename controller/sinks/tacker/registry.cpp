#include "controller/sinks/tacker/registry.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "controller/sinks/tacker/registration_json.hpp"
#include "runtime/problems.hpp"
#include "runtime/store.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller::tacker {

using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

constexpr base::Millis kPeerTimeout{1000};  // Tacker waits that long for its answer, too
constexpr std::size_t kMaxTenant = 255;
constexpr wire::JsonLimits kPeerLimits{8, 3'000'000};

base::WallTime wall() {
    return std::chrono::system_clock::now();
}

std::string random_uuid() {
    std::random_device random;
    std::array<std::uint32_t, 4> words{};
    for (std::uint32_t& word : words)
        word = random();
    std::array<char, 37> text{};
    std::snprintf(text.data(), text.size(), "%08x-%04x-4%03x-%04x-%04x%08x", words[0], words[1] >> 16U,
                  words[1] & 0xfffU, (words[2] >> 16U & 0x3fffU) | 0x8000U, words[2] & 0xffffU, words[3]);
    return text.data();
}

std::vector<std::string> parts_of(const std::string& path) {
    std::vector<std::string> parts;
    for (std::size_t at = 1; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        parts.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

/// In a time that does not tell how much of it is right.
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
      options_(std::move(options)),
      registered_(std::move(registered)),
      registrations_([this](const Registration& registration, bool gone) { changed(registration, gone); }),
      server_(context.io, [this](const HttpRequest& request, const Respond& respond) { answer(request, respond); }),
      fetch_timer_(context.io) {
    const runtime::Labels labels = {{"sink", name_}};
    refused_ = context_.metrics->counter("vitalwire_controller_tacker_refused_total",
                                         "Requests to the registration interface that were refused.", labels);
    context_.metrics->gauge(
        "vitalwire_controller_tacker_registrations", "Servers that Tacker wants to be told of.",
        [this] { return static_cast<double>(registrations_.size()); }, labels);
    load();
}

void Registry::load() {
    for (const auto& [id, text] : context_.store->load("tacker." + name_)) {
        const auto row = wire::parse_object(text);
        auto registration = row ? registration_from(*row) : tl::make_unexpected(row.error());
        if (registration) {
            registrations_.restore(std::move(*registration));
        } else {
            log::warning("dropped a registration that cannot be read",
                         {{"sink", name_}, {"id", id}, {"why", registration.error().message}});
            context_.store->erase("tacker." + name_, id);
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
    if (gone) return context_.store->erase("tacker." + name_, registration.alarm_id);
    context_.store->put("tacker." + name_, registration.alarm_id, wire::dump(to_json(registration)));
    log::info(registration.removed ? "server no longer registered" : "server registered",
              {{"sink", name_}, {"server", registration.server}, {"alarm_id", registration.alarm_id}});
    if (!registration.removed) registered_(registration.server);
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
    const bool ours =
        (path.size() == 5 || path.size() == 6) && path[0] == "v2" && path[2] == "servers" && path[4] == "alarms";
    if (!ours) return refuse(respond, 404, "no such page");
    const char* expected = path.size() == 5 ? "POST" : "DELETE";
    if (request.method != expected) return refuse(respond, 405, std::string("expected ") + expected);
    const std::string& tenant = path[1];
    const base::GuestId server(path[3]);
    if (!base::is_plain_name(tenant, kMaxTenant)) return refuse(respond, 400, "the tenant is no id");
    if (!base::is_uuid(server.str())) return refuse(respond, 400, "the server's id is no uuid");

    if (path.size() == 6) {
        if (!base::is_uuid(path[5])) return refuse(respond, 404, "the alarm's id is no uuid");
        if (!registrations_.remove(path[5], tenant, server, wall())) return refuse(respond, 404, "no such alarm");
        return share(*registrations_.find(path[5]), [respond] { respond({204, "application/json", ""}); });
    }
    auto wanted = read_request(request.body);
    if (!wanted) return refuse(respond, 400, wanted.error().message);
    wanted->alarm_id = random_uuid();
    wanted->tenant = tenant;
    wanted->server = server;
    wanted->changed_at = wall();
    const auto id = registrations_.add(std::move(*wanted));
    if (!id) return refuse(respond, 413, "too many registrations: " + id.error().message);
    share(*registrations_.find(*id), [respond, id = *id] { respond(reply(201, {{"alarm_id", id}})); });
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
        registrations_.merge(*registration);
    }
    respond({204, "application/json", ""});
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
    // A full disk does not stop us, and whoever can tell of it does.
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
    const std::string what = "sink " + name_ + " does not hear what is registered at " + peer;
    if (!response || response->status != 200)
        return context_.problems->raise(
            what, response ? "HTTP " + std::to_string(response->status) : response.error().message);
    const auto list = wire::parse_array(response->body, kPeerLimits);
    if (!list) return context_.problems->raise(what, list.error().message);
    std::string mistake;
    for (const json& entry : *list) {
        const auto registration = registration_from(entry);
        if (registration) {
            registrations_.merge(*registration);
        } else {
            mistake = registration.error().message;
        }
    }
    context_.problems->set(what, mistake);
}

}  // namespace vitalwire::controller::tacker
