#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace vitalwire::base {

namespace {

/// Length of the well-formed UTF-8 sequence at the start of `text`; 0 when there is none.
std::size_t sequence_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const auto continues = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xC0U) == 0x80U; };
    const std::uint8_t first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        if (!continues(1) || !continues(2)) return 0;
        if (first == 0xE0 && byte(1) < 0xA0) return 0;   // overlong
        if (first == 0xED && byte(1) >= 0xA0) return 0;  // surrogate
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        if (!continues(1) || !continues(2) || !continues(3)) return 0;
        if (first == 0xF0 && byte(1) < 0x90) return 0;   // overlong
        if (first == 0xF4 && byte(1) >= 0x90) return 0;  // above U+10FFFF
        return 4;
    }
    return 0;
}

void append_hex(std::string& out, char c) {
    static constexpr std::array kDigits = {'0', '1', '2', '3', '4', '5', '6', '7',
                                           '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
    const auto byte = static_cast<std::uint8_t>(c);
    out += "\\x";
    out += kDigits.at(byte >> 4U);
    out += kDigits.at(byte & 0x0FU);
}

void append_escaped_ascii(std::string& out, char c) {
    switch (c) {
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        case '"':
            out += "\\\"";
            return;
        case '\\':
            out += "\\\\";
            return;
        default:
            break;
    }
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte < 0x20 || byte == 0x7F) return append_hex(out, c);
    out += c;
}

char32_t code_point(std::string_view sequence) {
    char32_t point = static_cast<std::uint8_t>(sequence[0]) & (0xFFU >> (sequence.size() + 1));
    for (const char c : sequence.substr(1))
        point = point << 6U | (static_cast<std::uint8_t>(c) & 0x3FU);
    return point;
}

/// Characters that cannot be seen, or that change how what stands beside them is shown: spaces that are none in a
/// configuration, soft hyphens, zero widths, bidirectional controls, variation selectors, tags, private use.
bool is_invisible(char32_t point) {
    struct Range {
        char32_t first;
        char32_t last;
    };
    static constexpr std::array<Range, 20> kRanges = {
        {{0x80, 0xA0},     {0xAD, 0xAD},     {0x34F, 0x34F},   {0x61C, 0x61C},   {0x115F, 0x1160},
         {0x1680, 0x1680}, {0x17B4, 0x17B5}, {0x180B, 0x180F}, {0x2000, 0x200F}, {0x2028, 0x202F},
         {0x205F, 0x206F}, {0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xE000, 0xF8FF},
         {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFF}, {0xE0000, 0x10FFFF}}};
    return std::any_of(kRanges.begin(), kRanges.end(),
                       [&](const Range& range) { return point >= range.first && point <= range.last; });
}

/// "\\u{202e}"
void append_code_point(std::string& out, char32_t point) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string digits;
    for (; point != 0; point >>= 4U)
        digits.insert(digits.begin(), kDigits[point & 0xFU]);
    out += "\\u{" + digits + '}';
}

/// By byte, for a host looks at the names in every message.
constexpr std::array<bool, 256> kPlain = [] {
    std::array<bool, 256> plain{};
    for (const char c : std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"))
        plain[static_cast<std::uint8_t>(c)] = true;
    return plain;
}();

}  // namespace

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = sequence_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::string cut_utf8(std::string_view text, std::size_t max_bytes) {
    if (text.size() <= max_bytes) return std::string(text);
    std::size_t end = max_bytes;
    while (end > 0 && (static_cast<std::uint8_t>(text[end]) & 0xC0U) == 0x80U)
        --end;
    return std::string(text.substr(0, end));
}

std::string escape(std::string_view text, std::size_t max_bytes) {
    std::string out;
    out.reserve(std::min(text.size(), max_bytes) + 8);
    while (!text.empty()) {
        if (out.size() >= max_bytes) return out += "...";
        const std::size_t length = sequence_length(text);
        const std::string_view sequence = text.substr(0, std::max<std::size_t>(length, 1));
        if (length == 1) {
            append_escaped_ascii(out, text[0]);
        } else if (length == 0) {
            append_hex(out, text[0]);
        } else if (const char32_t point = code_point(sequence); is_invisible(point)) {
            append_code_point(out, point);
        } else {
            out += sequence;
        }
        text.remove_prefix(sequence.size());
    }
    return out;
}

std::string excerpt(std::string_view text, std::size_t max_bytes) {
    return cut_utf8(text, max_bytes) + (text.size() > max_bytes ? "..." : "");
}

bool is_plain_name(std::string_view text, std::size_t max) {
    const auto plain = [](char c) { return kPlain[static_cast<std::uint8_t>(c)]; };
    return !text.empty() && text.size() <= max && std::all_of(text.begin(), text.end(), plain);
}

bool is_uuid(std::string_view text) {
    constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    const auto fits = [](char c, char place) {
        return place == '-' ? c == '-' : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    };
    return std::equal(text.begin(), text.end(), kShape.begin(), kShape.end(), fits);
}

}  // namespace vitalwire::base
