#include "controller/openstack/endpoints.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::Errc;
using base::fail;
using base::Result;
using nlohmann::json;

namespace {

constexpr wire::JsonLimits kDocumentLimits{16, 10'000};

constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kVersions = {{
    {"compute", "2"},
    {"instance-ha", "1"},
}};

std::string last_part(const std::string& url) {
    return url.substr(url.rfind('/') + 1);
}

/// "v2.1", "v3"
bool is_version(std::string_view text) {
    if (text.size() < 2 || text[0] != 'v') return false;
    return std::all_of(text.begin() + 1, text.end(),
                       [](unsigned char c) { return std::isdigit(c) != 0 || c == '.'; }) &&
           std::isdigit(static_cast<unsigned char>(text[1])) != 0;
}

/// {2, 1} of "v2.1"; absent when it is of another major version or none.
std::optional<std::pair<int, int>> version_of(const std::string& id, std::string_view major) {
    int first = 0;
    int second = 0;
    if (std::sscanf(id.c_str(), "v%3d.%3d", &first, &second) < 1) return std::nullopt;
    return std::to_string(first) == major ? std::optional(std::pair(first, second)) : std::nullopt;
}

std::string self_of(const json& version) {
    const json* links = wire::find(version, "links");
    if (links == nullptr || !links->is_array()) return {};
    for (const json& link : *links) {
        if (wire::text_or(link, "rel") == "self") return wire::text_or(link, "href");
    }
    return {};
}

/// The path of `url`, at the host of `root`.
std::string at_host_of(const std::string& root, const std::string& url) {
    const auto path_at = [](const std::string& text) {
        const std::size_t host = text.find("//");
        return host == std::string::npos ? 0 : std::min(text.find('/', host + 2), text.size());
    };
    std::string moved = root.substr(0, path_at(root)) + url.substr(path_at(url));
    while (moved.ends_with('/'))
        moved.pop_back();
    return moved;
}

}  // namespace

std::optional<std::string_view> api_version_of(std::string_view service) {
    const auto found =
        std::find_if(kVersions.begin(), kVersions.end(), [&](const auto& entry) { return entry.first == service; });
    return found == kVersions.end() ? std::nullopt : std::optional(found->second);
}

bool names_version(const std::string& endpoint) {
    const std::string last = last_part(endpoint);
    if (is_version(last)) return true;
    const std::size_t slash = endpoint.rfind('/');
    return slash != std::string::npos && is_version(last_part(endpoint.substr(0, slash)));
}

Result<std::string> versioned_endpoint(const std::string& root, std::string_view major,
                                       const runtime::HttpClientResponse& response) {
    if (response.status == 404) return root;
    const auto body = wire::parse_object(response.body, kDocumentLimits);
    const json* versions = body ? wire::find(*body, "versions") : nullptr;
    const bool answered = response.status == 200 || response.status == 300;
    if (!answered || versions == nullptr || !versions->is_array())
        return fail(Errc::malformed, root + " names no version, and its answer (HTTP " +
                                         std::to_string(response.status) + ") is no list of versions");
    std::pair<int, int> newest{0, -1};
    std::string self;
    std::string seen;
    for (const json& version : *versions) {
        const std::string id = wire::text_or(version, "id");
        seen += (seen.empty() ? "" : ", ") + base::excerpt(id, 32);
        const auto number = version_of(id, major);
        const std::string link = self_of(version);
        if (!number || link.empty() || *number <= newest) continue;
        newest = *number;
        self = link;
    }
    if (self.empty())
        return fail(Errc::unsupported_version,
                    root + " has the versions " + seen + ", expected v" + std::string(major));
    return at_host_of(root, self);
}

}  // namespace vitalwire::controller
