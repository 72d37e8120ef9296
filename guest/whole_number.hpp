#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace vitalwire::guest {

/// Nothing where `digits` has anything beside a number, or one that does not fit.
template <class Number>
std::optional<Number> parse_whole(std::string_view digits) {
    Number value = 0;
    const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || rest != digits.data() + digits.size()) return std::nullopt;
    return value;
}

}  // namespace vitalwire::guest
