#include "cli/human.hpp"

#include <locale.h>
#include <wchar.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace vitalwire::cli {

using base::Millis;

namespace {

struct Unit {
    std::string_view name;
    std::int64_t seconds;
};
constexpr std::array<Unit, 4> kUnits = {{{"d", 86'400}, {"h", 3600}, {"min", 60}, {"s", 1}}};

constexpr std::size_t kMaxDigits = 9;
constexpr std::string_view kDate = "2026-11-22";
constexpr std::string_view kMinute = "2026-11-22T06:05";
constexpr std::string_view kSecond = "2026-11-22T06:05:08";
constexpr std::string_view kFraction = ".000000";

bool continues_character(char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

/// By libc's table, which follows Unicode: two for what is wide, none for an accent that is added.
std::size_t columns_of(wchar_t value) {
    static const locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    if (value < 0x80 || unicode == nullptr) return 1;
    const locale_t before = uselocale(unicode);
    const int columns = wcwidth(value);
    uselocale(before);
    return columns < 0 ? 1 : static_cast<std::size_t>(columns);
}

/// Columns of the character at `at` of a UTF-8 text, which moves on behind it.
std::size_t next_columns(std::string_view text, std::size_t& at) {
    const auto first = static_cast<unsigned char>(text[at++]);
    unsigned value = first < 0x80U   ? first
                     : first < 0xE0U ? first & 0x1FU
                     : first < 0xF0U ? first & 0x0FU
                                     : first & 0x07U;
    for (; at < text.size() && continues_character(text[at]); ++at)
        value = (value << 6U) | (static_cast<unsigned char>(text[at]) & 0x3FU);
    return columns_of(static_cast<wchar_t>(value));
}

/// One digit after the point, and none where it is zero.
std::string tenths(double value, const char* unit) {
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%.1f", value);
    std::string out = text.data();
    if (out.ends_with(".0")) out.resize(out.size() - 2);
    return out + ' ' + unit;
}

}  // namespace

std::string human_duration(Millis time) {
    std::int64_t seconds = std::max<std::int64_t>(time.count() / 1000, 0);
    for (std::size_t i = 0; i < kUnits.size(); ++i) {
        const Unit& unit = kUnits.at(i);
        if (seconds < unit.seconds) continue;
        std::string out = std::to_string(seconds / unit.seconds) + ' ' + std::string(unit.name);
        // Of minutes, the seconds matter to nobody.
        if (i < 2 && seconds % unit.seconds >= kUnits.at(i + 1).seconds) {
            const Unit& next = kUnits.at(i + 1);
            out += ' ' + std::to_string(seconds % unit.seconds / next.seconds) + ' ' + std::string(next.name);
        }
        return out;
    }
    return "0 s";
}

std::string human_age(const std::string& iso8601, base::WallTime now) {
    const base::WallTime time = base::from_iso8601(iso8601);
    if (time == base::WallTime{}) return {};
    if (time >= now) return "now";
    return human_duration(std::chrono::duration_cast<Millis>(now - time)) + " ago";
}

std::string human_until(const std::string& iso8601, base::WallTime now) {
    const base::WallTime time = base::from_iso8601(iso8601);
    if (time <= now) return human_age(iso8601, now);
    return "in " + human_duration(std::chrono::duration_cast<Millis>(time - now));
}

std::string human_time(base::WallTime time) {
    std::string text = base::to_iso8601(time).substr(0, 19);
    text[10] = ' ';
    return text + 'Z';
}

std::optional<base::Millis> parse_duration(const std::string& text) {
    std::size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9')
        ++digits;
    if (digits == 0 || digits > kMaxDigits) return std::nullopt;
    std::string unit = text.substr(digits);
    if (!unit.empty() && unit.front() == ' ') unit.erase(0, 1);
    if (unit == "m") unit = "min";
    for (const Unit& known : kUnits) {
        const std::int64_t count = std::stoll(text.substr(0, digits));
        if (unit == known.name && count > 0) return base::Millis(count * known.seconds * 1000);
    }
    return std::nullopt;
}

std::optional<base::WallTime> parse_moment(const std::string& text, base::WallTime now) {
    if (const auto ago = parse_duration(text)) return now - *ago;
    std::string complete = text.ends_with('Z') ? text.substr(0, text.size() - 1) : text;
    if (complete.size() > kDate.size() && complete[kDate.size()] == ' ') complete[kDate.size()] = 'T';
    if (complete.size() == kDate.size()) complete += "T00:00";
    if (complete.size() == kMinute.size()) complete += ":00";
    // A fraction of a second, as answers have it.
    const std::size_t point = complete.size() > kSecond.size() ? kSecond.size() : complete.size();
    std::string fraction = complete.substr(point);
    if (fraction.empty()) fraction = ".";
    if (fraction.size() < kFraction.size()) fraction.resize(kFraction.size(), '0');
    const base::WallTime time = base::from_iso8601(complete.substr(0, point) + fraction + 'Z');
    return time == base::WallTime{} ? std::nullopt : std::optional(time);
}

std::string human_micros(std::int64_t micros) {
    if (micros < 0) return {};
    if (micros < 1000) return std::to_string(micros) + " us";
    if (micros < 1'000'000) return tenths(static_cast<double>(micros) / 1e3, "ms");
    return tenths(static_cast<double>(micros) / 1e6, "s");
}

std::string human_interval(std::int64_t millis) {
    if (millis <= 0) return {};
    if (millis < 1000) return std::to_string(millis) + " ms";
    return tenths(static_cast<double>(millis) / 1e3, "s");
}

std::string counted(std::int64_t count, std::string_view noun) {
    return std::to_string(count) + ' ' + std::string(noun) + (count == 1 ? "" : "s");
}

std::string without_password(const std::string& url) {
    const std::size_t scheme = url.find("://");
    const std::size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
    const std::size_t at = url.rfind('@', url.find_first_of("/?#", begin));
    const std::size_t colon = url.find(':', begin);
    if (at == std::string::npos || at < begin || colon == std::string::npos || colon > at) return url;
    return url.substr(0, colon) + ":***" + url.substr(at);
}

std::size_t width_of(std::string_view text) {
    std::size_t width = 0;
    for (std::size_t at = 0; at < text.size();)
        width += next_columns(text, at);
    return width;
}

std::string cut_to_width(std::string_view text, std::size_t width) {
    std::size_t end = 0;
    while (end < text.size()) {
        std::size_t next = end;
        const std::size_t columns = next_columns(text, next);
        if (columns > width) break;
        width -= columns;
        end = next;
    }
    return std::string(text.substr(0, end));
}

}  // namespace vitalwire::cli
