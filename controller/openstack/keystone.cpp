#include "controller/openstack/keystone.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "base/text.hpp"
#include "controller/openstack/endpoints.hpp"
#include "runtime/http/retry_after.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::Errc;
using base::fail;
using base::Result;
using base::TimePoint;
using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

/// A token and what it opens.
struct KeystoneSession {
    std::string token;
    json catalog;
    TimePoint asked_at{};
    TimePoint renew_at{};
    TimePoint ends_at{};
};

/// Where a service is, as the catalog has it.
struct KeystonePlace {
    std::string region;
    std::string url;

    auto operator<=>(const KeystonePlace&) const = default;
};

namespace {

/// A large cloud's catalog has some hundred endpoints.
constexpr wire::JsonLimits kCatalogLimits{32, 10'000};
constexpr std::size_t kMaxToken = 16'384;  // a header has to hold it
/// How long before its end a token is renewed: the longer of these, at most half its life.
constexpr base::Millis kRenewBefore{30'000};
constexpr int kRenewFraction = 10;
/// When Keystone does not return how long its token lives.
constexpr base::Millis kUnknownLife{5 * 60'000};
/// How long Keystone is left alone after a failure; longer when it refused us, so that an account is not locked.
constexpr base::Millis kPauseAfterFailure{1'000};
constexpr base::Millis kPauseAfterRefusal{10'000};
constexpr std::size_t kShownAnswer = 160;

json named(const std::string& id, const std::string& name) {
    return id.empty() ? json{{"name", name}} : json{{"id", id}};
}

/// A user or project, with its domain unless the id is enough.
json in_domain(const std::string& id, const std::string& name, const std::string& domain_id,
               const std::string& domain_name) {
    json thing = named(id, name);
    if (!id.empty()) return thing;
    const bool unsaid = domain_id.empty() && domain_name.empty();
    thing["domain"] = named(unsaid ? "default" : domain_id, domain_name);
    return thing;
}

json user_of(const CloudAccess& access) {
    return in_domain(access.user_id, access.user_name, access.user_domain_id, access.user_domain_name);
}

json by_application_credential(const CloudAccess& access) {
    json credential = named(access.application_credential_id, access.application_credential_name);
    if (access.application_credential_id.empty()) credential["user"] = user_of(access);
    credential["secret"] = access.application_credential_secret;
    return {{"identity", {{"methods", {"application_credential"}}, {"application_credential", credential}}}};
}

json by_password(const CloudAccess& access) {
    json user = user_of(access);
    user["password"] = access.password;
    const json project =
        in_domain(access.project_id, access.project_name, access.project_domain_id, access.project_domain_name);
    return {{"identity", {{"methods", {"password"}}, {"password", {{"user", user}}}}},
            {"scope", {{"project", project}}}};
}

std::string auth_body(const CloudAccess& access) {
    const bool by_credential =
        !access.application_credential_secret.empty() &&
        (!access.application_credential_id.empty() || !access.application_credential_name.empty());
    return wire::dump({{"auth", by_credential ? by_application_credential(access) : by_password(access)}});
}

/// Keystone's two times are of one clock, ours is another.
base::Duration life_of(const json& token) {
    const auto issued = base::from_iso8601(wire::text_or(token, "issued_at"));
    const auto expires = base::from_iso8601(wire::text_or(token, "expires_at"));
    if (issued == base::WallTime{} || expires <= issued) return kUnknownLife;
    return std::chrono::duration_cast<base::Duration>(expires - issued);
}

Result<KeystoneSession> read_session(const HttpClientResponse& response, TimePoint asked_at) {
    auto body = wire::parse_object(response.body, kCatalogLimits);
    if (!body) return fail(Errc::malformed, "Keystone's answer: " + body.error().message);
    const auto header = response.headers.find("x-subject-token");
    const json* token = wire::find(*body, "token");
    if (header == response.headers.end() || header->second.empty() || header->second.size() > kMaxToken ||
        token == nullptr) {
        return fail(Errc::malformed, "Keystone's answer holds no token");
    }
    KeystoneSession session;
    session.token = header->second;
    session.asked_at = asked_at;
    if (const json* catalog = wire::find(*token, "catalog"); catalog != nullptr) session.catalog = *catalog;
    const base::Duration life = life_of(*token);
    const base::Duration before = std::min(life / 2, std::max<base::Duration>(kRenewBefore, life / kRenewFraction));
    session.ends_at = asked_at + life;
    session.renew_at = session.ends_at - before;
    return session;
}

std::string without_slash(std::string url) {
    while (url.ends_with('/'))
        url.pop_back();
    return url;
}

/// Sorted: Keystone promises no order.
std::set<KeystonePlace> places_of(const json& catalog, const std::string& service, const CloudAccess& access) {
    std::set<KeystonePlace> places;
    if (!catalog.is_array()) return places;
    for (const json& entry : catalog) {
        const json* endpoints = wire::find(entry, "endpoints");
        if (wire::text_or(entry, "type") != service || endpoints == nullptr || !endpoints->is_array()) continue;
        for (const json& endpoint : *endpoints) {
            const std::string id = wire::text_or(endpoint, "region_id");
            const std::string name = wire::text_or(endpoint, "region");
            const bool in_region = access.region.empty() || access.region == id || access.region == name;
            if (wire::text_or(endpoint, "interface") == access.interface && in_region)
                places.insert({id.empty() ? name : id, without_slash(wire::text_or(endpoint, "url"))});
        }
    }
    return places;
}

std::string listed(const std::set<std::string>& names) {
    std::string text;
    for (const std::string& name : names)
        text += (text.empty() ? "" : ", ") + name;
    return base::excerpt(text, kShownAnswer);
}

/// The one place of a service. Two regions are two clouds, and either answers about the other's servers that there are
/// none: where nobody names one, none is chosen.
Result<KeystonePlace> place_of(const json& catalog, const std::string& service, const CloudAccess& access) {
    const std::set<KeystonePlace> places = places_of(catalog, service, access);
    const std::string what = access.interface + " endpoint of type '" + service + "'";
    if (places.empty())
        return fail(Errc::not_found,
                    "Keystone's catalog has no " + what + (access.region.empty() ? "" : " in region " + access.region));
    std::set<std::string> regions;
    std::set<std::string> urls;
    for (const KeystonePlace& place : places) {
        regions.insert(place.region);
        urls.insert(place.url);
    }
    if (urls.size() > 1 && regions.size() > 1)
        return fail(Errc::config, "Keystone's catalog has a " + what + " in each of the regions " + listed(regions) +
                                      ": expected region_name to name one");
    if (urls.size() > 1)
        return fail(Errc::config, "Keystone's catalog has more than one " + what + ": " + listed(urls) +
                                      "; expected one, or the key endpoint to name it");
    return *places.begin();
}

/// The sentence that OpenStack's services put into their errors, whatever the object around it is called.
std::string message_in(const std::string& body) {
    const auto parsed = wire::parse_object(body);
    if (!parsed) return body;
    std::string message = wire::text_or(*parsed, "message");
    for (const auto& [key, value] : parsed->items()) {
        if (message.empty()) message = wire::text_or(value, "message");
    }
    return message.empty() ? body : message;
}

}  // namespace

std::string describe_answer(const HttpClientResponse& response) {
    std::string text = "HTTP " + std::to_string(response.status);
    if (!response.body.empty()) text += ": " + base::excerpt(message_in(response.body), kShownAnswer);
    return text;
}

class Keystone::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(boost::asio::io_context& io, runtime::HttpClient& http, CloudAccess access)
        : io_(io), http_(http), access_(std::move(access)), auth_body_(auth_body(access_)) {}

    void with_token(const std::string& service, Granted granted) {
        if (stopped_) return;
        const bool nobody_waits = waiting_.empty();
        waiting_.push_back({service, std::move(granted)});
        if (nobody_waits && !asking_) boost::asio::post(io_, [self = shared_from_this()] { self->serve(); });
    }

    void token_rejected(const std::string& token) {
        if (session_ && session_->token == token) session_.reset();
    }

    void change(CloudAccess access) {
        if (access == access_) return;
        access_ = std::move(access);
        auth_body_ = auth_body(access_);
        pause_until_ = {};
        ++change_;
    }

    void call(const std::string& service, HttpClientRequest request, Answered answered, bool once_more) {
        with_token(service, [self = shared_from_this(), service, request = std::move(request),
                             answered = std::move(answered), once_more](Result<CloudGrant> granted) mutable {
            if (!granted) return answered(tl::make_unexpected(std::move(granted.error())));
            self->find_endpoint(service, std::move(*granted),
                                [self, service, request = std::move(request), answered = std::move(answered),
                                 once_more](Result<CloudGrant> found) mutable {
                                    if (!found) return answered(tl::make_unexpected(std::move(found.error())));
                                    self->send(service, std::move(request), std::move(answered), *found, once_more);
                                });
        });
    }

    void stop() {
        stopped_ = true;
        waiting_.clear();
    }

private:
    struct Waiting {
        std::string service;
        Granted granted;
    };

    /// Where the catalog names the root of a service, its versions are read once.
    void find_endpoint(const std::string& service, CloudGrant granted, Granted found) {
        const auto major = api_version_of(service);
        if (!major || names_version(granted.endpoint)) return found(std::move(granted));
        const auto known = versioned_.find(granted.endpoint);
        if (known != versioned_.end()) {
            granted.endpoint = known->second;
            return found(std::move(granted));
        }
        HttpClientRequest request;
        request.url = granted.endpoint + "/";
        request.headers["X-Auth-Token"] = granted.token;
        equip(request);
        http_.send(std::move(request), [self = shared_from_this(), major = *major, granted = std::move(granted),
                                        found = std::move(found)](const Result<HttpClientResponse>& response) mutable {
            if (self->stopped_) return;
            if (!response) self->doubt_catalog();
            if (!response) return found(tl::make_unexpected(response.error()));
            if (response->status == 401) self->token_rejected(granted.token);
            auto endpoint = versioned_endpoint(granted.endpoint, major, *response);
            if (!endpoint) return found(tl::make_unexpected(endpoint.error()));
            // A proxy answers 404, too, until the service is up: that is not remembered.
            if (response->status != 404) self->versioned_[granted.endpoint] = *endpoint;
            granted.endpoint = std::move(*endpoint);
            found(std::move(granted));
        });
    }

    void send(const std::string& service, HttpClientRequest request, Answered answered, const CloudGrant& granted,
              bool once_more) {
        HttpClientRequest sent = request;
        sent.url = granted.endpoint + request.url;
        sent.headers["X-Auth-Token"] = granted.token;
        equip(sent);
        http_.send(std::move(sent),
                   [self = shared_from_this(), service, request = std::move(request), answered = std::move(answered),
                    token = granted.token, once_more](Result<HttpClientResponse> response) mutable {
                       if (self->stopped_) return;
                       if (!response) self->doubt_catalog();
                       const bool refused = response && response->status == 401;
                       if (refused) self->token_rejected(token);
                       if (!refused || !once_more) return answered(std::move(response));
                       self->call(service, std::move(request), std::move(answered), false);
                   });
    }

    /// The next one who asks gets a new one.
    void doubt_catalog() {
        if (session_)
            session_->renew_at = std::min(session_->renew_at, session_->asked_at + access_.doubt_catalog_after);
    }

    void equip(HttpClientRequest& request) const {
        request.headers.try_emplace("Accept", "application/json");
        if (!request.body.empty()) request.headers.try_emplace("Content-Type", "application/json");
        request.ca_file = access_.ca_file;
        request.insecure = access_.insecure;
        request.timeout = access_.timeout;
    }

    void serve() {
        if (stopped_ || asking_) return;
        const TimePoint now = base::Clock::now();
        const bool fresh = session_ && now < session_->renew_at;
        if (fresh || now < pause_until_) return answer_all();
        ask(now);
    }

    void ask(TimePoint now) {
        asking_ = true;
        HttpClientRequest request;
        request.method = "POST";
        request.url = access_.auth_url + "/auth/tokens";
        request.body = auth_body_;
        equip(request);
        http_.send(std::move(request),
                   [self = shared_from_this(), now, change = change_](const Result<HttpClientResponse>& response) {
                       if (self->stopped_) return;
                       self->asking_ = false;
                       const base::Millis asked_to_wait = response ? runtime::retry_after(*response) : base::Millis(0);
                       self->note(self->read(response, now), asked_to_wait);
                       if (change != self->change_) self->pause_until_ = {};  // that was about the secrets before
                       self->answer_all();
                   });
    }

    static Result<KeystoneSession> read(const Result<HttpClientResponse>& response, TimePoint asked_at) {
        if (!response) return fail(response.error().code, "Keystone: " + response.error().message);
        if (response->status == 200 || response->status == 201) return read_session(*response, asked_at);
        const auto elsewhere = response->headers.find("location");
        if (response->status / 100 == 3 && elsewhere != response->headers.end())
            return fail(Errc::unavailable,
                        "Keystone: HTTP " + std::to_string(response->status) + " to " +
                            base::excerpt(elsewhere->second, kShownAnswer) +
                            ": redirects are not followed, expected auth_url to name Keystone itself");
        const bool refused = response->status == 401 || response->status == 403;
        return fail(refused ? Errc::permission : Errc::unavailable, "Keystone: " + describe_answer(*response));
    }

    void note(Result<KeystoneSession> session, base::Millis asked_to_wait) {
        if (session) {
            session_ = std::move(*session);
            problem_.reset();
            pause_until_ = {};
            return;
        }
        if (!problem_ || problem_->message != session.error().message)
            log::warning("no token from Keystone", {{"why", session.error().message}});
        const bool refused = session.error().code == Errc::permission;
        const base::Millis pause = refused ? kPauseAfterRefusal : kPauseAfterFailure;
        pause_until_ = base::Clock::now() + std::max(pause, asked_to_wait);
        problem_ = std::move(session.error());
    }

    /// Only with a session.
    Result<CloudGrant> grant(const std::string& service) {
        const auto own = access_.endpoints.find(service);
        if (own != access_.endpoints.end()) return CloudGrant{session_->token, without_slash(own->second)};
        auto place = place_of(session_->catalog, service, access_);
        if (!place) return tl::make_unexpected(std::move(place.error()));
        const KeystonePlace& before = places_.try_emplace(service, *place).first->second;
        if (access_.region.empty() && before.region != place->region && before.url != place->url)
            return fail(Errc::config, "Keystone's catalog had the " + access_.interface + " endpoint of type '" +
                                          service + "' in region " + base::excerpt(before.region, kShownAnswer) +
                                          ", and has it in region " + base::excerpt(place->region, kShownAnswer) +
                                          " now: expected region_name to name one");
        return CloudGrant{session_->token, std::move(place->url)};
    }

    /// A token that could not be renewed serves until its end.
    void answer_all() {
        const bool usable = session_ && base::Clock::now() < session_->ends_at;
        for (Waiting& waiting : std::exchange(waiting_, {})) {
            if (stopped_) return;
            if (usable && session_) {
                auto granted = grant(waiting.service);
                if (!granted) doubt_catalog();
                waiting.granted(std::move(granted));
            } else {
                waiting.granted(tl::make_unexpected(
                    problem_.value_or(base::Error{Errc::unavailable, "Keystone: the token was refused just now"})));
            }
        }
    }

    boost::asio::io_context& io_;
    runtime::HttpClient& http_;
    CloudAccess access_;
    std::string auth_body_;
    std::optional<KeystoneSession> session_;
    std::optional<base::Error> problem_;  ///< of the last attempt
    TimePoint pause_until_{};
    std::map<std::string, KeystonePlace> places_;   ///< of the services, as they were first found
    std::map<std::string, std::string> versioned_;  ///< endpoints by the root that the catalog names
    std::vector<Waiting> waiting_;
    bool asking_ = false;
    int change_ = 0;  ///< of the secrets, so far
    bool stopped_ = false;
};

Keystone::Keystone(boost::asio::io_context& io, runtime::HttpClient& http, CloudAccess access)
    : impl_(std::make_shared<Impl>(io, http, std::move(access))) {}

Keystone::~Keystone() {
    impl_->stop();
}

void Keystone::with_token(const std::string& service, Granted granted) {
    impl_->with_token(service, std::move(granted));
}

void Keystone::token_rejected(const std::string& token) {
    impl_->token_rejected(token);
}

void Keystone::change(CloudAccess access) {
    impl_->change(std::move(access));
}

void Keystone::call(const std::string& service, HttpClientRequest request, Answered answered) {
    impl_->call(service, std::move(request), std::move(answered), true);
}

void Keystone::stop() {
    impl_->stop();
}

}  // namespace vitalwire::controller
