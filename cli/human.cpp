#include "cli/human.hpp"

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

bool continues_character(char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
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

std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return !continues_character(c); }));
}

std::string cut_to_width(std::string_view text, std::size_t width) {
    std::size_t end = 0;
    while (end < text.size() && (width > 0 || continues_character(text[end]))) {
        if (!continues_character(text[end])) --width;
        ++end;
    }
    return std::string(text.substr(0, end));
}

}  // namespace vitalwire::cli
