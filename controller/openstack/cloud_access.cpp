#include "controller/openstack/cloud_access.hpp"

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/text.hpp"
#include "runtime/file.hpp"
#include "runtime/listen.hpp"
#include "runtime/secret.hpp"

namespace vitalwire::controller {

namespace fs = std::filesystem;
using runtime::ConfigReader;

namespace {

/// What clouds.yaml, OS_* and our own section contain, by the names that clouds.yaml uses, `auth` unfolded.
using Settings = std::map<std::string, std::string>;

constexpr std::string_view kOverride = "_endpoint_override";

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

std::string value_or(const std::map<std::string, std::string>& map, const std::string& key,
                     const std::string& fallback = {}) {
    const auto at = map.find(key);
    return at == map.end() ? fallback : at->second;
}

Settings from_environment(const Environment& environment) {
    Settings settings;
    for (const auto& [name, value] : environment)
        settings[lower(name.substr(std::string_view("OS_").size()))] = value;
    return settings;
}

/// Scalars of `node`; what stands below `auth` counts as if it stood beside it.
void unfold(const YAML::Node& node, Settings& settings) {
    if (!node.IsMap()) return;
    for (const auto& item : node) {
        const auto key = item.first.as<std::string>();
        if (item.second.IsScalar()) settings[key] = item.second.as<std::string>();
        if (key == "auth") unfold(item.second, settings);
    }
}

/// Adds what `file` has of `cloud`; false when it has nothing of it. A file that is no YAML throws.
bool add_cloud(const std::string& file, const std::string& cloud, Settings& settings) {
    const YAML::Node clouds = YAML::LoadFile(file)["clouds"];
    if (!clouds.IsDefined() || !clouds.IsMap() || !clouds[cloud].IsDefined()) return false;
    unfold(clouds[cloud], settings);
    return true;
}

std::string find_clouds_file(ConfigReader& section, const Environment& environment) {
    std::string named = section.text("clouds_file", value_or(environment, "OS_CLIENT_CONFIG_FILE"));
    if (!named.empty()) return named;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): read at start, nothing sets variables
    const char* home = std::getenv("HOME");
    const std::string of_user = std::string(home == nullptr ? "" : home) + "/.config/openstack/clouds.yaml";
    std::error_code ignored;
    return home != nullptr && fs::exists(of_user, ignored) ? of_user : "/etc/openstack/clouds.yaml";
}

Settings from_clouds_file(ConfigReader& section, const std::string& file, const std::string& cloud) {
    Settings settings;
    const std::string secure = fs::path(file).parent_path() / "secure.yaml";
    std::string at = file;
    section.follow("clouds_file", file);
    section.follow("clouds_file", secure);
    try {
        if (!add_cloud(file, cloud, settings))
            section.refuse("cloud", file + " has no cloud '" + base::escape(cloud, 64) + "'");
        at = secure;
        std::error_code ignored;
        if (fs::exists(secure, ignored)) add_cloud(secure, cloud, settings);
    } catch (const YAML::BadFile&) {
        section.refuse("cloud", at + " cannot be read");
    } catch (const YAML::Exception& problem) {
        // The mark is the place; the message could repeat what stands there.
        section.refuse("cloud", at + ":" + std::to_string(problem.mark.line + 1) + ": no valid clouds.yaml");
    }
    return settings;
}

/// The section's own keys, named as in clouds.yaml; secrets come from files or variables.
/// `origin`: of what is there already.
void add_own_keys(ConfigReader& section, const std::string& origin, Settings& settings) {
    static constexpr std::array kKeys = {
        "auth_url",          "username",
        "user_id",           "user_domain_name",
        "user_domain_id",    "project_name",
        "project_id",        "project_domain_name",
        "project_domain_id", "application_credential_id",
        "region_name",       "application_credential_name",
        "interface",         "cacert",
    };
    for (const char* key : kKeys) {
        const std::string value = section.text(key, value_or(settings, key));
        section.set_origin(key, value.empty() ? "default" : origin);
        if (!value.empty()) settings[key] = value;
    }
    for (const char* key : {"password", "application_credential_secret"}) {
        const std::string secret = read_secret(section, key);
        if (!secret.empty()) settings[key] = secret;
    }
    for (const std::string& line : section.lines("endpoint")) {
        const std::size_t space = line.find(' ');
        const std::size_t url = line.find_first_not_of(' ', std::min(space, line.size()));
        if (url == std::string::npos) {
            section.refuse("endpoint", "expected a type of service and a URL: compute https://...");
            continue;
        }
        settings[line.substr(0, space) + std::string(kOverride)] = line.substr(url);
    }
}

/// Ends in /v3, whatever of it was given.
std::string keystone_url(std::string url) {
    while (url.ends_with('/'))
        url.pop_back();
    if (url.ends_with("/v2.0")) url.resize(url.size() - std::string_view("/v2.0").size());
    return url.empty() || url.ends_with("/v3") ? url : url + "/v3";
}

/// The wanted interface; clouds.yaml and older clients also have "publicURL".
std::string interface_of(const Settings& settings) {
    std::string interface = value_or(settings, "interface", value_or(settings, "endpoint_type", "public"));
    if (interface.ends_with("URL")) interface.resize(interface.size() - std::string_view("URL").size());
    return interface;
}

bool says_no(const std::string& word) {
    const std::string text = lower(word);
    return text == "false" || text == "no" || text == "off" || text == "0";
}

void check(ConfigReader& section, const CloudAccess& access) {
    if (access.auth_url.empty())
        return section.refuse("auth_url", "missing: expected it here, in clouds.yaml (key cloud) or in OS_AUTH_URL");
    if (const auto good = runtime::check_http_url(access.auth_url); !good)
        section.refuse("auth_url", good.error().message);
    if (access.interface != "public" && access.interface != "internal" && access.interface != "admin")
        section.refuse("interface", "expected public, internal or admin");
    for (const auto& [type, url] : access.endpoints) {
        if (const auto good = runtime::check_http_url(url); !good)
            section.refuse("endpoint", type + ": " + good.error().message);
    }
    const bool named_user = !access.user_id.empty() || !access.user_name.empty();
    const bool by_credential = !access.application_credential_id.empty() || !access.application_credential_name.empty();
    if (by_credential) {
        if (access.application_credential_secret.empty() && !names_secret(section, "application_credential_secret"))
            section.refuse("application_credential_secret_file", "the application credential has no secret");
        if (access.application_credential_id.empty() && !named_user)
            section.refuse("application_credential_name", "a name needs its user: username or user_id");
        return;
    }
    if (!named_user) section.refuse("username", "missing: a user or an application credential is needed");
    if (named_user && access.password.empty() && !names_secret(section, "password"))
        section.refuse("password_file", "the user has no password");
    if (access.project_id.empty() && access.project_name.empty()) section.refuse("project_name", "missing");
}

CloudAccess access_of(const Settings& settings) {
    const auto text = [&](const char* key, const char* other = "") {
        return value_or(settings, key, value_or(settings, other));
    };
    CloudAccess access;
    access.auth_url = keystone_url(text("auth_url"));
    access.user_id = text("user_id");
    access.user_name = text("username", "user_name");
    access.user_domain_id = text("user_domain_id", "default_domain_id");
    access.user_domain_name = text("user_domain_name", "default_domain_name");
    access.password = text("password");
    access.project_id = text("project_id", "tenant_id");
    access.project_name = text("project_name", "tenant_name");
    access.project_domain_id = text("project_domain_id", "default_domain_id");
    access.project_domain_name = text("project_domain_name", "default_domain_name");
    access.application_credential_id = text("application_credential_id");
    access.application_credential_name = text("application_credential_name");
    access.application_credential_secret = text("application_credential_secret");
    access.region = text("region_name");
    access.interface = interface_of(settings);
    access.ca_file = text("cacert");
    access.insecure = says_no(text("verify")) || (settings.contains("insecure") && !says_no(text("insecure")));
    for (const auto& [key, value] : settings) {
        if (!key.ends_with(kOverride)) continue;
        access.endpoints[key.substr(0, key.size() - kOverride.size())] = value;
    }
    return access;
}

}  // namespace

Environment openstack_environment() {
    Environment environment;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string_view text(*variable);
        const std::size_t equals = text.find('=');
        if (!text.starts_with("OS_") || equals == std::string_view::npos) continue;
        environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return environment;
}

bool same_user(CloudAccess one, CloudAccess other) {
    for (CloudAccess* access : {&one, &other}) {
        access->password.clear();
        access->application_credential_secret.clear();
        access->ca_file.clear();
    }
    return one == other;
}

CloudAccess read_cloud_access(ConfigReader& section, const Environment& environment) {
    const std::string cloud = section.text("cloud", value_or(environment, "OS_CLOUD"));
    const std::string file = find_clouds_file(section, environment);
    Settings settings = cloud.empty() ? from_environment(environment) : from_clouds_file(section, file, cloud);
    add_own_keys(section, cloud.empty() ? "the environment (OS_...)" : file, settings);
    CloudAccess access = access_of(settings);
    if (!access.ca_file.empty()) {
        section.follow("cacert", access.ca_file);
        if (const std::string why = runtime::why_unreadable(access.ca_file); !why.empty())
            section.refuse("cacert", why);
    }
    access.insecure = section.boolean("insecure", access.insecure);
    access.timeout = section.duration("timeout", access.timeout, base::Millis(100), std::chrono::minutes(10));
    check(section, access);
    return access;
}

}  // namespace vitalwire::controller
