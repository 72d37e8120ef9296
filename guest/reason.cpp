#include "guest/reason.hpp"

#include "base/text.hpp"
#include "wire/limits.hpp"

namespace vitalwire::guest {

namespace {

constexpr std::string_view kSpaces = " \t\r";

}  // namespace

std::string tidy_reason(std::string_view text) {
    text = text.substr(0, text.find('\n'));
    const std::size_t first = text.find_first_not_of(kSpaces);
    if (first == std::string_view::npos) return {};
    text = text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
    if (base::is_utf8(text)) return base::cut_utf8(text, wire::kMaxReason);
    return base::cut_utf8(base::escape(text), wire::kMaxReason);
}

}  // namespace vitalwire::guest
