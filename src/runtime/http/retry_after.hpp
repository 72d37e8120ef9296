#pragma once

#include "base/clock.hpp"
#include "runtime/http/http_client.hpp"

namespace vitalwire::runtime {

/// How long who answered this asks to be left alone (Retry-After): 1 min at most, as what is to be sent does not wait
/// for longer; zero when it does not ask.
base::Millis retry_after(const HttpClientResponse& response);

}  // namespace vitalwire::runtime
