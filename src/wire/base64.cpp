#include "wire/base64.hpp"

#include <array>
#include <cstdint>

namespace vitalwire::wire {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNoDigit = 0xFF;

constexpr std::array<std::uint8_t, 256> make_digits() {
    std::array<std::uint8_t, 256> digits{};
    digits.fill(kNoDigit);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i)
        digits[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
    return digits;
}
constexpr std::array<std::uint8_t, 256> kDigits = make_digits();

}  // namespace

std::string encode_base64(std::string_view bytes) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::string_view group = bytes.substr(at, 3);
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 3; ++i)
            bits = bits << 8U | (i < group.size() ? static_cast<std::uint8_t>(group[i]) : 0U);
        out += kAlphabet[bits >> 18U];
        out += kAlphabet[bits >> 12U & 63U];
        out += group.size() > 1 ? kAlphabet[bits >> 6U & 63U] : '=';
        out += group.size() > 2 ? kAlphabet[bits & 63U] : '=';
    }
    return out;
}

std::optional<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=')
        ++padding;
    std::string out;
    out.reserve(text.size() / 4 * 3);
    const std::size_t digits = text.size() - padding;
    std::uint32_t bits = 0;
    for (std::size_t at = 0; at < digits; ++at) {
        const std::uint8_t digit = kDigits[static_cast<std::uint8_t>(text[at])];
        if (digit == kNoDigit) return std::nullopt;
        bits = bits << 6U | digit;
        if (at % 4 == 0) continue;
        const std::size_t left_over = 6 - at % 4 * 2;  // bits that belong to the next byte
        out += static_cast<char>(bits >> left_over & 0xFFU);
    }
    // One spelling for each payload: the bits that padding leaves over are zero.
    const std::uint32_t unused = padding == 2 ? bits & 0x0FU : padding == 1 ? bits & 0x03U : 0U;
    if (unused != 0) return std::nullopt;
    return out;
}

}  // namespace vitalwire::wire
