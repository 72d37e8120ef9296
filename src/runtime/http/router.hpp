#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/http/http_server.hpp"

namespace vitalwire::runtime {

/// `{"error":"why"}`
HttpResponse http_error(int status, const std::string& why);

/// The pages of an HTTP interface, and who may ask for them: one place for 401, 403, 404 and 405.
class Router {
public:
    enum class Right {
        everybody,  ///< tells nothing that needs protection: whether the daemon is alive
        reader,
        operators,  ///< acts
    };
    /// A client on the UNIX socket is the operator, by the socket's mode. Over TCP a token makes it one
    /// (`Authorization: Bearer TOKEN`): an address proves nothing behind a proxy. Without any token everybody reads.
    struct Tokens {
        std::string reader;
        std::string operators;
    };
    /// `parts`: what stands for the stars of the route's path.
    using Handler = std::function<HttpResponse(const HttpRequest& request, const std::vector<std::string>& parts)>;

    /// For what takes a while: answers by calling `respond`, once.
    using LateHandler = std::function<void(const HttpRequest& request, const std::vector<std::string>& parts,
                                           const HttpServer::Respond& respond)>;

    explicit Router(Tokens tokens = {}) : Router(std::make_shared<const Tokens>(std::move(tokens))) {}
    /// Its owner may replace them while requests come.
    explicit Router(std::shared_ptr<const Tokens> tokens) : tokens_(std::move(tokens)) {}

    /// `path`: "/v1/groups/ * /send" without the spaces; a star is one part of a path.
    void add(std::string method, std::string_view path, Right right, Handler handler);
    void add_late(std::string method, std::string_view path, Right right, LateHandler handler);
    /// Where every handler answers at once.
    HttpResponse operator()(const HttpRequest& request) const;
    void route(const HttpRequest& request, const HttpServer::Respond& respond) const;

private:
    struct Route {
        std::string method;
        std::vector<std::string> path;
        Right right;
        LateHandler handler;
    };

    bool may(const HttpRequest& request, Right right) const;
    HttpResponse not_found() const;
    HttpResponse not_allowed(const HttpRequest& request, Right right) const;

    std::shared_ptr<const Tokens> tokens_;
    std::vector<Route> routes_;
};

}  // namespace vitalwire::runtime
