#include "controller/sources/peers.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "wire/json_reader.hpp"

namespace vitalwire::controller {

namespace {

constexpr base::Millis kTimeout{4'000};

base::Result<std::vector<Maintenance>> read_windows(const base::Result<runtime::HttpClientResponse>& answer) {
    if (!answer) return tl::make_unexpected(answer.error());
    if (answer->status != 200)
        return base::fail(base::Errc::unavailable, "expected HTTP status 200, found " + std::to_string(answer->status));
    const auto object = wire::parse_object(answer->body);
    if (!object) return tl::make_unexpected(object.error());
    const nlohmann::json* list = wire::find(*object, "maintenance");
    if (list == nullptr || !list->is_array())
        return base::fail(base::Errc::bad_field, "expected an array 'maintenance'");
    std::vector<Maintenance> windows;
    for (const nlohmann::json& entry : *list) {
        // One that this release cannot read is of no use to it; the others are.
        if (auto window = maintenance_from_json(entry)) windows.push_back(std::move(*window));
    }
    return windows;
}

}  // namespace

Peers::Peers(boost::asio::io_context& io, runtime::HttpClient& http, runtime::Problems& problems, PeersConfig config,
             Merge merge)
    : http_(http), problems_(problems), config_(std::move(config)), merge_(std::move(merge)), timer_(io) {}

void Peers::start() {
    if (!config_.urls.empty()) poll();
}

void Peers::stop() {
    timer_.cancel();
    alive_.reset();
}

void Peers::poll() {
    for (const std::string& url : config_.urls)
        ask(url);
    timer_.after(config_.poll_interval, [this] { poll(); });
}

void Peers::ask(const std::string& url) {
    runtime::HttpClientRequest request;
    request.url = url + "/v1/maintenance";
    request.ca_file = config_.ca_file;
    request.timeout = kTimeout;
    if (!config_.token.empty()) request.headers["Authorization"] = "Bearer " + config_.token;
    http_.send(std::move(request), [this, url, alive = std::weak_ptr(alive_)](const auto& answer) {
        if (!alive.expired()) answered(url, answer);
    });
}

void Peers::answered(const std::string& url, const base::Result<runtime::HttpClientResponse>& answer) {
    const auto windows = read_windows(answer);
    problems_.set("the peer " + url + " cannot be asked for its maintenance windows",
                  windows ? "" : windows.error().message);
    if (windows) merge_(*windows);
}

}  // namespace vitalwire::controller
