#include "runtime/http/retry_after.hpp"

#include <algorithm>
#include <charconv>
#include <string>

#include "runtime/http/http_date.hpp"

namespace vitalwire::runtime {

base::Millis retry_after(const HttpClientResponse& response) {
    constexpr base::Millis kLongest = std::chrono::minutes(1);
    const auto header = response.headers.find("retry-after");
    if (header == response.headers.end() || response.status / 100 == 2) return {};
    long seconds = 0;
    const std::string& text = header->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error == std::errc::result_out_of_range) return kLongest;
    if (error == std::errc() && end == text.data() + text.size())
        return std::clamp<base::Millis>(std::chrono::seconds(std::min(seconds, 3600L)), base::Millis(0), kLongest);
    const auto until = parse_http_date(text);
    const auto date = response.headers.find("date");
    const auto now = date == response.headers.end() ? std::nullopt : parse_http_date(date->second);
    if (!until || !now) return {};
    return std::clamp(std::chrono::duration_cast<base::Millis>(*until - *now), base::Millis(0), kLongest);
}

}  // namespace vitalwire::runtime
