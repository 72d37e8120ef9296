#include "controller/sinks/http_target.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "runtime/listen.hpp"
#include "runtime/secret.hpp"

namespace vitalwire::controller {

using runtime::ConfigReader;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

namespace {

constexpr std::size_t kShownBody = 160;

bool is_header_name(std::string_view text) {
    return base::is_plain_name(text, 64) && text.find('.') == std::string_view::npos;
}

void read_headers(ConfigReader& section, HttpClientRequest& request) {
    for (const std::string& line : section.lines("header")) {
        const std::size_t colon = std::min(line.find(':'), line.size());
        const std::string name = line.substr(0, colon);
        const std::size_t value = line.find_first_not_of(" \t", colon + 1);
        if (!is_header_name(name) || value == std::string::npos) {
            section.refuse("header", "expected 'Name: value'");
            continue;
        }
        request.headers[name] = line.substr(value);
    }
    const std::string secret_header = section.text("secret_header", "Authorization");
    if (!is_header_name(secret_header)) section.refuse("secret_header", "expected the name of a header");
    const std::string secret = read_secret(section, "secret");
    if (!secret.empty()) request.headers[secret_header] = secret;
}

void check_url(ConfigReader& section, const std::string& url) {
    if (url.empty()) return;  // reported as missing
    if (!url.starts_with("http://") && !url.starts_with("https://")) {
        return section.refuse("url", "expected http://... or https://...");
    }
    const std::size_t host = url.find("//") + 2;
    const std::size_t end = std::min(url.find('/', host), url.size());
    if (end == host) return section.refuse("url", "expected a host after //");
    const std::string authority = url.substr(host, end - host);
    if (authority.substr(authority.rfind('@') + 1).find(':') != std::string::npos) {
        const auto parsed = runtime::parse_host_port(authority.substr(authority.rfind('@') + 1));
        if (!parsed && !authority.ends_with(']')) section.refuse("url", parsed.error().message);
    }
    const bool holds_password = authority.find('@') != std::string::npos;
    if (holds_password) section.refuse("url", "holds a password: use the keys user and password_file");
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
    if (user.empty() && !password.empty()) section.refuse("user", "is missing, but a password is given");
    return request;
}

Outcome outcome_of(const base::Result<HttpClientResponse>& response) {
    if (!response) return Outcome::retry(response.error().message);
    const long status = response->status;
    if (status >= 200 && status < 300) return Outcome::confirmed();
    std::string why = "HTTP " + std::to_string(status);
    if (!response->body.empty()) why += ": " + base::escape(response->body, kShownBody);
    const bool about_the_message = status == 400 || status == 409 || status == 413 || status == 415 || status == 422;
    return about_the_message ? Outcome::refused(std::move(why)) : Outcome::retry(std::move(why));
}

}  // namespace vitalwire::controller
