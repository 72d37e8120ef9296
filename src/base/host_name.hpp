#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace vitalwire::base {

/// The one form in which host names are compared: ASCII letters in lower case, without the dot of a full DNS name.
inline std::string canonical_host_name(std::string_view name) {
    if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);
    std::string out(name);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

}  // namespace vitalwire::base
