#pragma once

#include <map>
#include <string>

#include "base/clock.hpp"
#include "runtime/config.hpp"

namespace vitalwire::controller {

/// How to get into an OpenStack cloud. A user with a password and a project, or an application credential.
struct CloudAccess {
    std::string auth_url;  ///< of Keystone, ends in /v3

    std::string user_id;
    std::string user_name;
    std::string user_domain_id;
    std::string user_domain_name;
    std::string password;
    std::string project_id;
    std::string project_name;
    std::string project_domain_id;
    std::string project_domain_name;

    std::string application_credential_id;
    std::string application_credential_name;  ///< of the user above
    std::string application_credential_secret;

    std::string region;  ///< empty: the catalog has only one
    std::string interface = "public";
    std::string ca_file;  ///< empty: the system's
    bool insecure = false;
    base::Millis timeout{10'000};                  ///< of one request
    std::map<std::string, std::string> endpoints;  ///< by type of service, instead of the catalog's
    /// The catalog comes with a token, which lives for an hour. What lacks in it, or does not answer where it has it,
    /// may have been added or have moved since: a catalog of that age is asked for again then.
    base::Millis doubt_catalog_after{15'000};

    friend bool operator==(const CloudAccess&, const CloudAccess&) = default;
};

/// Both lead to the same cloud as the same user: only secrets and the authorities that are trusted differ.
bool same_user(CloudAccess one, CloudAccess other);

using Environment = std::map<std::string, std::string>;

/// The OS_* variables of this process.
Environment openstack_environment();

/// Reads `[openstack]`: a cloud of clouds.yaml when the section or OS_CLOUD names one, else the OS_* variables; keys of
/// the section itself go before both. Mistakes go to the reader's errors. Secrets are read now.
CloudAccess read_cloud_access(runtime::ConfigReader& section, const Environment& environment);

}  // namespace vitalwire::controller
