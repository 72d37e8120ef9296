#include "cli/client.hpp"

#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "base/text.hpp"
#include "cli/human.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::cli {

using base::Errc;
using base::fail;
using base::Result;
using nlohmann::json;

namespace {

constexpr std::string_view kUnix = "unix:";
constexpr base::Millis kTimeout{3000};
/// The answer's size is bounded by the client already; ten thousand guests are one array.
constexpr wire::JsonLimits kLimits{16, 10'000'000};

}  // namespace

Client::Client(boost::asio::io_context& io, const Options& options, std::function<void(const std::string&)> note)
    : io_(io), http_(io), token_(options.token), ca_file_(options.ca_file), note_(std::move(note)) {
    for (const std::string& url : options.controllers)
        sources_.push_back(source_of(url));
    if (options.agent_chosen || !options.controllers_chosen)
        sources_.push_back({options.agent, "http://agent", options.agent});
}

Client::Source Client::source_of(const std::string& url) {
    if (url.starts_with(kUnix)) return {url, "http://controller", url.substr(kUnix.size())};
    return {without_password(url), url, ""};
}

Result<json> Client::get(const std::string& path) {
    return ask_any("GET", path, "");
}

Result<json> Client::post(const std::string& path, const std::string& body) {
    return ask_any("POST", path, body);
}

Result<json> Client::ask_any(const std::string& method, const std::string& path, const std::string& body) {
    std::string problems;
    for (std::size_t tried = 0; tried < sources_.size(); ++tried) {
        const std::size_t index = (current_ + tried) % sources_.size();
        Source& source = sources_[index];
        runtime::HttpClientRequest request;
        request.method = method;
        request.url = source.url + path;
        request.unix_socket = source.unix_socket;
        request.body = body;
        request.timeout = kTimeout;
        request.ca_file = ca_file_;
        if (!token_.empty() && source.unix_socket.empty()) request.headers["Authorization"] = "Bearer " + token_;
        auto answer = ask(source, std::move(request));
        if (answer || answer.error().code == Errc::permission) {
            current_ = index;
            return answer;
        }
        if (interrupted_) return answer;  // somebody wants us to end: no more attempts
        problems += (problems.empty() ? "" : "\n") + source.name + ": " + answer.error().message;
        const bool is_last = tried + 1 == sources_.size();
        if (!is_last && !std::exchange(source.passed_over, true))
            note_(source.name + ": " + answer.error().message + "; asking " +
                  sources_[(index + 1) % sources_.size()].name);
    }
    current_ = 0;
    return fail(Errc::unavailable, std::move(problems));
}

Result<json> Client::ask(const Source& source, runtime::HttpClientRequest request) {
    // libcurl only says that it could not connect.
    if (!source.unix_socket.empty() && access(source.unix_socket.c_str(), R_OK | W_OK) != 0)
        return fail(Errc::unavailable, std::generic_category().message(errno));
    auto response = send(std::move(request));
    if (!response) return tl::make_unexpected(response.error());
    auto body = wire::parse_object(response->body, kLimits);
    if (response->status / 100 != 2) {
        const std::string why = body ? wire::text_or(*body, "error") : "";
        // What says why it refuses is one of ours, and another would refuse it too.
        const bool refuses = response->status / 100 == 4 && !why.empty();
        return fail(refuses ? Errc::permission : Errc::unavailable,
                    "answers " + std::to_string(response->status) + ' ' + base::escape(why));
    }
    if (!body) return fail(Errc::malformed, "the answer is not Vitalwire's: " + body.error().message);
    return body;
}

Result<runtime::HttpClientResponse> Client::send(runtime::HttpClientRequest request) {
    std::optional<Result<runtime::HttpClientResponse>> answer;
    http_.send(std::move(request), [&](Result<runtime::HttpClientResponse> got) { answer = std::move(got); });
    io_.restart();
    while (!answer && io_.run_one() > 0) {
    }
    // Not io_.stopped(): it is also when nothing is left to wait for.
    interrupted_ = !answer;
    return answer ? std::move(*answer) : fail(Errc::unavailable, "interrupted");
}

}  // namespace vitalwire::cli
