#include "base/result.hpp"

namespace vitalwire::base {

std::string_view to_string(Errc code) {
    switch (code) {
        case Errc::malformed:
            return "malformed";
        case Errc::bad_field:
            return "bad_field";
        case Errc::unsupported_version:
            return "unsupported_version";
        case Errc::unknown_msg_type:
            return "unknown_msg_type";
        case Errc::unknown_address:
            return "unknown_address";
        case Errc::interval_too_small:
            return "interval_too_small";
        case Errc::no_session:
            return "no_session";
        case Errc::not_enabled:
            return "not_enabled";
        case Errc::not_in_group:
            return "not_in_group";
        case Errc::rate_limited:
            return "rate_limited";
        case Errc::too_large:
            return "too_large";
        case Errc::unavailable:
            return "unavailable";
        case Errc::disconnected:
            return "disconnected";
        case Errc::incomplete:
            return "incomplete";
        case Errc::timeout:
            return "timeout";
        case Errc::not_found:
            return "not_found";
        case Errc::permission:
            return "permission";
        case Errc::in_use:
            return "in_use";
        case Errc::too_many:
            return "too_many";
        case Errc::io:
            return "io";
        case Errc::config:
            return "config";
    }
    return "unknown";
}

std::optional<Errc> parse_errc(std::string_view name) {
    for (int code = 0; code <= static_cast<int>(Errc::config); ++code) {
        if (to_string(static_cast<Errc>(code)) == name) return static_cast<Errc>(code);
    }
    return std::nullopt;
}

}  // namespace vitalwire::base
