#include "cli/format.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace vitalwire::cli {

using nlohmann::json;

namespace {

bool is_empty_or_scalar(const json& value) {
    return !value.is_structured() || value.empty();
}

constexpr std::size_t kEscape = 6;  // "\\uXXXX"

bool is_surrogate_pair(const std::string& text, std::size_t at) {
    return text.size() >= at + 2 * kEscape && text.compare(at, 3, "\\ud") == 0 &&
           text.compare(at + kEscape, 3, "\\ud") == 0;
}

/// Strings are always quoted, so that "no", "1.0" and "~" stay strings. JSON's escapes are YAML's but for surrogate
/// pairs.
std::string scalar(const json& value) {
    std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
    for (std::size_t at = text.find('\\'); at != std::string::npos; at = text.find('\\', at)) {
        if (!is_surrogate_pair(text, at)) {
            at += 2;
            continue;
        }
        const unsigned long high = std::stoul(text.substr(at + 2, 4), nullptr, 16) - 0xD800;
        const unsigned long low = std::stoul(text.substr(at + kEscape + 2, 4), nullptr, 16) - 0xDC00;
        std::array<char, 16> whole{};
        std::snprintf(whole.data(), whole.size(), "\\U%08lX", 0x10000 + (high << 10U) + low);
        text.replace(at, 2 * kEscape, whole.data());
        at += 10;
    }
    return text;
}

/// Plain where no reader of YAML takes it for anything but a string.
std::string key_text(const std::string& key) {
    static constexpr std::array kReserved = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
    const bool is_word =
        !key.empty() && std::all_of(key.begin(), key.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
    const bool reserved = std::find(kReserved.begin(), kReserved.end(), key) != kReserved.end();
    return is_word && !reserved ? key : scalar(key);
}

void add(std::vector<std::string>& out, const json& value, const std::string& indent);

/// `start` ("key:" or "-") with the value beside or below it.
void add_entry(std::vector<std::string>& out, const std::string& start, const json& value, const std::string& indent) {
    if (is_empty_or_scalar(value)) {
        out.push_back(indent + start + ' ' + scalar(value));
        return;
    }
    out.push_back(indent + start);
    add(out, value, indent + "  ");
}

void add(std::vector<std::string>& out, const json& value, const std::string& indent) {
    if (is_empty_or_scalar(value)) {
        out.push_back(indent + scalar(value));
    } else if (value.is_array()) {
        for (const json& entry : value)
            add_entry(out, "-", entry, indent);
    } else {
        for (const auto& [key, entry] : value.items())
            add_entry(out, key_text(key) + ':', entry, indent);
    }
}

}  // namespace

std::string json_text(const json& document, bool one_line) {
    return document.dump(one_line ? -1 : 2, ' ', true, json::error_handler_t::replace);
}

std::vector<std::string> yaml_lines(const json& document) {
    std::vector<std::string> out;
    add(out, document, "");
    return out;
}

}  // namespace vitalwire::cli
