#include "controller/sinks/http_target.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "runtime/http/retry_after.hpp"
#include "runtime/listen.hpp"
#include "runtime/secret.hpp"

namespace vitalwire::controller {

using runtime::ConfigReader;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

namespace {

constexpr std::size_t kShownBody = 160;

constexpr std::size_t kMaxHeader = 4096;

bool is_header_name(std::string_view text) {
    return base::is_plain_name(text, 64) && text.find('.') == std::string_view::npos;
}

/// Those decide where a message ends: the client writes them.
bool is_framing(std::string_view name) {
    std::string lower(name);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return lower == "content-length" || lower == "transfer-encoding" || lower == "connection";
}

/// A line break in a value would begin another header.
bool is_header_value(std::string_view text) {
    return text.size() <= kMaxHeader && std::none_of(text.begin(), text.end(), [](char c) {
               return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
           });
}

void read_headers(ConfigReader& section, HttpClientRequest& request) {
    for (const std::string& line : section.lines("header")) {
        const std::size_t colon = std::min(line.find(':'), line.size());
        const std::string name = line.substr(0, colon);
        const std::size_t value = line.find_first_not_of(" \t", colon + 1);
        // The value may be a secret: it is not shown.
        const std::string shown = "'" + base::escape(name, 64) + "'";
        if (name.empty() || value == std::string::npos) {
            section.refuse("header", "expected 'Name: value'", line);
            continue;
        }
        if (!is_header_name(name)) {
            section.refuse("header", "expected a name of 1 to 64 letters, digits, '_' and '-', found " + shown, line);
            continue;
        }
        if (is_framing(name)) section.refuse("header", shown + " is written by the client itself", line);
        if (!is_header_value(line.substr(value)))
            section.refuse("header", "expected at most 4096 bytes without control characters in the value of " + shown,
                           line);
        request.headers[name] = line.substr(value);
    }
    const std::string secret_header = section.text("secret_header", "Authorization");
    if (!is_header_name(secret_header)) section.refuse("secret_header", "expected the name of a header");
    const std::string secret = read_secret(section, "secret");
    if (!is_header_value(secret))
        section.refuse(section.has("secret_file") ? "secret_file" : "secret_env",
                       "expected a secret of at most 4096 bytes without control characters");
    if (!secret.empty()) request.headers[secret_header] = secret;
}

void check_url(ConfigReader& section, const std::string& url) {
    if (url.empty()) return;  // reported as missing
    const std::size_t host = std::min(url.find("//"), url.size());
    const std::string authority = url.substr(host, url.find('/', host + 2) - host);
    if (authority.find('@') != std::string::npos)
        return section.refuse("url", "holds a password: use the keys user and password_file");
    if (const auto good = runtime::check_http_url(url); !good) section.refuse("url", good.error().message);
}

}  // namespace

HttpClientRequest read_http_target(ConfigReader& section) {
    HttpClientRequest request;
    request.url = section.required_text("url");
    check_url(section, request.url);
    request.timeout = section.duration("timeout", std::chrono::seconds(5), base::Millis(100), std::chrono::minutes(1));
    request.ca_file = section.file("ca_file");
    request.insecure = section.boolean("insecure", false);
    request.headers["Content-Type"] = "application/json";
    read_headers(section, request);
    const std::string user = section.text("user", "");
    const std::string password = read_secret(section, "password");
    if (!user.empty()) request.user_password = user + ":" + password;
    if (user.find(':') != std::string::npos) section.refuse("user", "expected no ':' in it");
    if (user.empty() && !password.empty()) section.refuse("user", "is missing, but a password is given");
    return request;
}

Outcome outcome_of(const base::Result<HttpClientResponse>& response) {
    if (!response) {
        const base::Error& error = response.error();
        return error.code == base::Errc::unavailable ? Outcome::unreachable(error.message)
                                                     : Outcome::retry(error.message);
    }
    const long status = response->status;
    if (status >= 200 && status < 300) return Outcome::confirmed();
    std::string why = "HTTP " + std::to_string(status);
    if (const auto location = response->headers.find("location"); location != response->headers.end())
        why += " to " + base::excerpt(location->second, kShownBody) + ", which is not followed";
    if (!response->body.empty()) why += ": " + base::excerpt(response->body, kShownBody);
    const bool about_the_message = status == 400 || status == 409 || status == 413 || status == 415 || status == 422;
    const base::Millis delay = runtime::retry_after(*response);
    return about_the_message ? Outcome::refused(std::move(why), delay) : Outcome::retry(std::move(why), delay);
}

}  // namespace vitalwire::controller
