#include "runtime/http/http_date.hpp"

#include <array>
#include <ctime>
#include <iomanip>
#include <locale>
#include <sstream>

namespace vitalwire::runtime {

std::string to_http_date(base::WallTime time) {
    const std::time_t seconds = base::WallTime::clock::to_time_t(time);
    std::tm fields{};
    gmtime_r(&seconds, &fields);
    std::array<char, 64> text{};
    return {text.data(), std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &fields)};
}

std::optional<base::WallTime> parse_http_date(const std::string& text) {
    std::tm fields{};
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    in >> std::get_time(&fields, "%a, %d %b %Y %H:%M:%S");
    const base::WallTime time = base::WallTime::clock::from_time_t(timegm(&fields));
    // get_time takes the beginning of a date for one.
    return !in.fail() && to_http_date(time) == text ? std::optional(time) : std::nullopt;
}

}  // namespace vitalwire::runtime
