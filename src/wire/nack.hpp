#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

namespace vitalwire::wire {

/// The host's refusal, of every layer. What a layer does not use is absent.
struct Nack {
    base::Errc code = base::Errc::bad_field;
    std::string message;
    std::string orig_msg_type;
    std::optional<std::int64_t> invocation_id;  ///< of the init that is refused
    std::vector<int> supported_versions;
    std::optional<base::Millis> min_interval;
    std::string unknown_code;  ///< the code as received when it is one of a later revision; `code` means nothing then
    std::optional<std::int64_t> seq;          ///< of the broadcast or query that is refused
    std::optional<std::int64_t> max_payload;  ///< bytes, with too_large
    std::optional<std::int64_t> refused;      ///< messages refused since the last rate_limited, with rate_limited
    std::optional<base::SessionId> session;   ///< that does not exist, with no_session
    std::optional<base::Millis> min_detection_time;  ///< with interval_too_small
};

}  // namespace vitalwire::wire
