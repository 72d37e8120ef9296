#include "runtime/http/router.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace vitalwire::runtime {

namespace {

constexpr std::string_view kBearer = "bearer ";

/// The name of a scheme may be written in any case (RFC 9110, section 11.1).
bool is_bearer(std::string_view authorization) {
    return authorization.size() > kBearer.size() &&
           std::equal(kBearer.begin(), kBearer.end(), authorization.begin(), [](char expected, char found) {
               return expected == (found >= 'A' && found <= 'Z' ? static_cast<char>(found - 'A' + 'a') : found);
           });
}

std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> parts;
    while (!path.empty()) {
        path.remove_prefix(1);
        const std::size_t end = std::min(path.find('/'), path.size());
        parts.emplace_back(path.substr(0, end));
        path.remove_prefix(end);
    }
    return parts;
}

/// What the stars stand for, if the path is of that pattern.
std::optional<std::vector<std::string>> match(const std::vector<std::string>& pattern,
                                              const std::vector<std::string>& path) {
    if (pattern.size() != path.size()) return std::nullopt;
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (pattern[i] == "*" && !path[i].empty()) {
            parts.push_back(path[i]);
        } else if (pattern[i] != path[i]) {
            return std::nullopt;
        }
    }
    return parts;
}

/// Takes as long for a wrong token as for the right one.
bool same_secret(std::string_view given, std::string_view secret) {
    unsigned difference = given.size() == secret.size() ? 0 : 1;
    for (std::size_t i = 0; i < secret.size(); ++i)
        difference |=
            static_cast<unsigned char>(secret[i]) ^ static_cast<unsigned char>(i < given.size() ? given[i] : 0);
    return difference == 0;
}

}  // namespace

HttpResponse http_error(int status, const std::string& why) {
    const nlohmann::json body = {{"error", why}};
    return {status, "application/json", body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n'};
}

void Router::add(std::string method, std::string_view path, Right right, Handler handler) {
    add_late(std::move(method), path, right,
             [handler = std::move(handler)](const HttpRequest& request, const std::vector<std::string>& parts,
                                            const HttpServer::Respond& respond) { respond(handler(request, parts)); });
}

void Router::add_late(std::string method, std::string_view path, Right right, LateHandler handler) {
    routes_.push_back({std::move(method), split(path), right, std::move(handler)});
}

HttpResponse Router::operator()(const HttpRequest& request) const {
    std::optional<HttpResponse> answer;
    route(request, [&](HttpResponse response) { answer = std::move(response); });
    return answer ? std::move(*answer) : http_error(500, "no answer at once");
}

void Router::route(const HttpRequest& request, const HttpServer::Respond& respond) const {
    const auto path = split(request.path);
    std::string methods;
    for (const Route& route : routes_) {
        const auto parts = match(route.path, path);
        if (!parts) continue;
        if (route.method == request.method) {
            if (!may(request, route.right)) return respond(not_allowed(request, route.right));
            return route.handler(request, *parts, respond);
        }
        methods += (methods.empty() ? "" : ", ") + route.method + (route.method == "GET" ? ", HEAD" : "");
    }
    if (methods.empty()) return respond(not_found());
    HttpResponse wrong = http_error(405, "expected " + methods);
    wrong.headers = {{"Allow", methods}};
    respond(std::move(wrong));
}

bool Router::may(const HttpRequest& request, Right right) const {
    if (right == Right::everybody) return true;
    // A page in an operator's browser must not act in his name, whatever it sends.
    if (right == Right::operators && request.from_web_page) return false;
    if (request.peer == "unix") return true;
    const std::string_view given = request.authorization;
    const auto shows = [&](const std::string& token) {
        return !token.empty() && is_bearer(given) && same_secret(given.substr(kBearer.size()), token);
    };
    if (shows(tokens_->operators)) return true;
    if (right == Right::operators) return false;
    return shows(tokens_->reader) || (tokens_->reader.empty() && tokens_->operators.empty());
}

HttpResponse Router::not_found() const {
    std::string pages;
    for (const Route& route : routes_) {
        std::string page = route.method == "GET" ? " " : " " + route.method + " ";
        for (const std::string& part : route.path)
            page += '/' + part;
        pages += page;
    }
    return http_error(404, "no such page; there are" + pages);
}

HttpResponse Router::not_allowed(const HttpRequest& request, Right right) const {
    if (request.from_web_page && right == Right::operators)
        return http_error(403, "requests of web pages are not accepted here");
    if (right == Right::reader) return http_error(401, "expected the token of a reader or an operator");
    if (tokens_->operators.empty())
        return http_error(403, "only the operator may: on the UNIX socket, or with a token, which is not configured");
    return http_error(401, "expected the token of an operator, or the UNIX socket");
}

}  // namespace vitalwire::runtime
