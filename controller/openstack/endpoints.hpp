#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "runtime/http/http_client.hpp"

namespace vitalwire::controller {

/// A service whose API has a version in its address: "2" of compute is http://nova/v2.1. Catalogs may name the root of
/// the service instead, which answers with a document of its versions. Absent: its paths hold the version themselves.
std::optional<std::string_view> api_version_of(std::string_view service);

/// True when the address ends in a version, or in one and a project's id.
bool names_version(const std::string& endpoint);

/// The address of the newest API of this major version, from what the root of a service answers (200 or 300). Its
/// scheme and host are those of `root`: the document may name one that only the service itself can reach. `root` itself
/// when the service has no such document (404). Fails with malformed or unsupported_version.
base::Result<std::string> versioned_endpoint(const std::string& root, std::string_view major,
                                             const runtime::HttpClientResponse& response);

}  // namespace vitalwire::controller
