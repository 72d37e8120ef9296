#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/text.hpp"

namespace vitalwire::base {

inline constexpr std::size_t kMaxHostName = 253;  ///< of a fully qualified host name

/// The name that a host may have here.
inline bool is_host_name(std::string_view name) {
    return is_plain_name(name, kMaxHostName);
}

/// The one form in which host names are compared: ASCII letters in lower case, without the dot of a full DNS name.
inline std::string canonical_host_name(std::string_view name) {
    if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);
    std::string out(name);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

}  // namespace vitalwire::base
