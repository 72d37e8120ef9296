#include "runtime/config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "runtime/file.hpp"

namespace vitalwire::runtime {

using base::Errc;
using base::fail;
using base::Millis;

namespace {

constexpr std::size_t kMaxFile = 1U << 20U;  // no configuration is larger
constexpr std::string_view kBlanks = " \t\r";

struct Unit {
    std::string_view name;
    std::int64_t factor;
};
// The largest first: a value is printed in the largest unit that divides it.
constexpr std::array<Unit, 5> kTimeUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 4> kSizeUnits = {{{"G", 1LL << 30}, {"M", 1LL << 20}, {"K", 1LL << 10}, {"", 1}}};

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> out;
    for (text = trim(text); !text.empty(); text = trim(text)) {
        const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
        out.emplace_back(text.substr(0, end));
        text.remove_prefix(end);
    }
    return out;
}

std::string join(const std::vector<std::string>& parts) {
    std::string out;
    for (const std::string& part : parts)
        out += (out.empty() ? "" : ", ") + part;
    return out;
}

std::string quoted(std::string_view text) {
    return '\'' + base::escape(text, 80) + '\'';
}

std::string header(const ConfigSection& section) {
    return '[' + section.name + (section.label.empty() ? "" : ' ' + section.label) + ']';
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

template <std::size_t N>
std::string with_unit(std::int64_t value, const std::array<Unit, N>& units) {
    for (const Unit& unit : units) {
        if (value % unit.factor == 0 && (value != 0 || unit.factor == 1)) {
            return std::to_string(value / unit.factor) + (unit.name.empty() ? "" : " ") + std::string(unit.name);
        }
    }
    return std::to_string(value);
}

/// "500 ms", "2s", "16M": absent when it is no whole number with one of the units, or too large for any use.
template <std::size_t N>
std::optional<std::int64_t> parse_with_unit(std::string_view text, const std::array<Unit, N>& units) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = parse_integer(text.substr(0, digits));
    if (!number) return std::nullopt;
    const std::string_view name = trim(text.substr(digits));
    for (const Unit& unit : units) {
        if (unit.name != name) continue;
        if (*number > std::numeric_limits<std::int64_t>::max() / unit.factor) return std::nullopt;
        return *number * unit.factor;
    }
    return std::nullopt;
}

/// `value` without a comment after it: a '#' after a space, outside of '...' and "...", for values that are commands.
std::string_view without_comment(std::string_view value) {
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] == '\'' || value[i] == '"') {
            const std::size_t closing = value.find(value[i], i + 1);
            if (closing != std::string_view::npos) i = closing;
        } else if (value[i] == '#' && (i == 0 || value[i - 1] == ' ' || value[i - 1] == '\t')) {
            return trim(value.substr(0, i));
        }
    }
    return value;
}

std::string source_of(const std::string& path, int line) {
    return line == kCommandLine ? "--set" : path;
}

/// Turns lines into sections; keeps going after a mistake.
class Parser {
public:
    Parser(ConfigFile& file, ConfigErrors& errors) : file_(file), errors_(errors) {}

    void take(std::string_view raw) {
        ++line_;
        std::string_view line = trim(raw);
        // Some editors begin a file with a byte order mark.
        if (line_ == 1 && line.starts_with("\xEF\xBB\xBF")) line = trim(line.substr(3));
        if (line.empty() || line.front() == '#' || line.front() == ';') return;
        if (!base::is_utf8(line)) return mistake("this line is not UTF-8 text");
        if (line.find('\0') != std::string_view::npos) return mistake("this line holds a zero byte");
        if (line.front() == '[') return take_header(without_comment(line));
        take_entry(line);
    }

private:
    void take_header(std::string_view line) {
        in_bad_section_ = true;  // until proven good: its keys belong to nothing
        if (line.back() != ']') return mistake("expected [section] or [section label], found " + quoted(line));
        const std::vector<std::string> parts = words(line.substr(1, line.size() - 2));
        if (parts.empty() || parts.size() > 2)
            return mistake("expected [section] or [section label], found " + quoted(line));
        ConfigSection section{parts[0], parts.size() == 2 ? parts[1] : "", line_, {}};
        const auto [first, is_new] = headers_.emplace(header(section), line_);
        if (!is_new) return mistake(first->first + " is there twice, first at line " + std::to_string(first->second));
        file_.sections.push_back(std::move(section));
        in_bad_section_ = false;
    }

    void take_entry(std::string_view line) {
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos) return mistake("expected 'key = value', found " + quoted(line));
        const std::string_view key = trim(line.substr(0, equals));
        const std::string_view value = without_comment(trim(line.substr(equals + 1)));
        if (!base::is_plain_name(key, 64)) return mistake("expected a key before '=', found " + quoted(key));
        if (value.empty())
            return mistake("key '" + std::string(key) + "' has no value; remove the line to use the default");
        if (in_bad_section_) return;
        if (file_.sections.empty()) return mistake("key '" + std::string(key) + "' stands before the first [section]");
        file_.sections.back().entries.push_back({std::string(key), std::string(value), line_});
    }

    void mistake(std::string message) { errors_.push_back({file_.path, line_, std::move(message)}); }

    ConfigFile& file_;
    ConfigErrors& errors_;
    std::map<std::string, int> headers_;  ///< and their lines
    int line_ = 0;
    bool in_bad_section_ = false;
};

}  // namespace

std::string to_string(const ConfigError& error) {
    if (error.file.empty()) return error.message;
    if (error.line <= 0) return error.file + ": " + error.message;
    return error.file + ':' + std::to_string(error.line) + ": " + error.message;
}

ConfigFile ConfigFile::parse(std::string_view text, std::string path, ConfigErrors& errors) {
    ConfigFile file{std::move(path), {}};
    Parser parser(file, errors);
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        parser.take(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return file;
}

base::Result<ConfigFile> ConfigFile::load(const std::string& path, ConfigErrors& errors) {
    const auto text = read_file(path, kMaxFile);
    if (!text) return tl::make_unexpected(text.error());
    return parse(*text, path, errors);
}

void ConfigFile::set(std::string_view assignment, ConfigErrors& errors) {
    const std::size_t equals = std::min(assignment.find('='), assignment.size());
    const std::string_view target = trim(assignment.substr(0, equals));
    const std::string_view value =
        equals < assignment.size() ? trim(assignment.substr(equals + 1)) : std::string_view();
    const std::size_t first = target.find('.');
    const std::size_t last = target.rfind('.');
    if (first == std::string_view::npos || first == 0 || last + 1 == target.size() || value.empty()) {
        errors.push_back(
            {"--set", 0, "expected section.key=value or section.label.key=value, found " + quoted(assignment)});
        return;
    }
    const std::string_view name = target.substr(0, first);
    const std::string_view label = last > first ? target.substr(first + 1, last - first - 1) : std::string_view();
    const std::string_view key = target.substr(last + 1);
    auto section = std::find_if(sections.begin(), sections.end(), [&](const ConfigSection& candidate) {
        return candidate.name == name && candidate.label == label;
    });
    if (section == sections.end())
        section = sections.insert(section, ConfigSection{std::string(name), std::string(label), kCommandLine, {}});
    std::erase_if(section->entries,
                  [&](const ConfigEntry& entry) { return entry.key == key && entry.line != kCommandLine; });
    section->entries.push_back({std::string(key), std::string(value), kCommandLine});
}

std::vector<ConfigSection> ConfigFile::sections_named(std::string_view name) const {
    std::vector<ConfigSection> out;
    std::copy_if(sections.begin(), sections.end(), std::back_inserter(out),
                 [&](const ConfigSection& section) { return section.name == name; });
    return out;
}

void ConfigFile::check_sections(const std::vector<std::string>& allowed, ConfigErrors& errors) const {
    const auto is_allowed = [&](const std::string& form) {
        return std::find(allowed.begin(), allowed.end(), form) != allowed.end();
    };
    std::vector<std::string> forms;
    forms.reserve(allowed.size());
    for (const std::string& form : allowed)
        forms.push_back('[' + (form.ends_with(" *") ? form.substr(0, form.size() - 1) + "NAME" : form) + ']');
    for (const ConfigSection& section : sections) {
        if (is_allowed(section.label.empty() ? section.name : section.name + " *")) continue;
        errors.push_back({source_of(path, section.line), section.line,
                          "unknown section " + base::escape(header(section)) + ", expected " + join(forms)});
    }
}

ConfigReader::ConfigReader(const ConfigFile& file, ConfigSection section, ConfigErrors& errors)
    : path_(file.path),
      only_checked_(file.only_checked),
      values_(file.values),
      section_(std::move(section)),
      errors_(errors) {}

ConfigReader::ConfigReader(const ConfigFile& file, const std::string& name, ConfigErrors& errors)
    : ConfigReader(file, ConfigSection{name, "", 0, {}}, errors) {
    for (const ConfigSection& section : file.sections) {
        if (section.name == name && section.label.empty()) section_ = section;
    }
}

bool ConfigReader::has(std::string_view key) const {
    return std::any_of(section_.entries.begin(), section_.entries.end(),
                       [&](const ConfigEntry& entry) { return entry.key == key; });
}

std::string ConfigReader::text(std::string_view key, const std::string& fallback) {
    const ConfigEntry* entry = find(key, fallback);
    return entry == nullptr ? fallback : entry->value;
}

std::string ConfigReader::file(std::string_view key) {
    std::string path = text(key, "");
    if (path.empty()) return path;
    if (const std::string why = why_unreadable(path); !why.empty()) refuse(key, why);
    follow(key, path);
    return path;
}

void ConfigReader::follow(std::string_view key, const std::string& path) {
    values_->follow(header(section_), key, path);
}

std::string ConfigReader::required_text(std::string_view key) {
    const ConfigEntry* entry = find(key, "");
    if (entry != nullptr) return entry->value;
    add_error(section_.line, key, "is missing");
    return {};
}

std::vector<std::string> ConfigReader::list(std::string_view key, const std::vector<std::string>& fallback) {
    std::string shown;
    for (const std::string& word : fallback)
        shown += (shown.empty() ? "" : " ") + word;
    take(key, shown);
    if (!has(key)) return fallback;
    std::vector<std::string> out;
    for (const ConfigEntry& entry : section_.entries) {
        if (entry.key != key) continue;
        for (std::string& word : words(entry.value))
            out.push_back(std::move(word));
    }
    return out;
}

std::vector<std::string> ConfigReader::lines(std::string_view key) {
    take(key, "");
    std::vector<std::string> out;
    for (const ConfigEntry& entry : section_.entries) {
        if (entry.key == key) out.push_back(entry.value);
    }
    return out;
}

bool ConfigReader::boolean(std::string_view key, bool fallback) {
    const ConfigEntry* entry = find(key, fallback ? "yes" : "no");
    if (entry == nullptr) return fallback;
    for (const std::string_view yes : {"true", "yes", "on"}) {
        if (entry->value == yes) return true;
    }
    for (const std::string_view no : {"false", "no", "off"}) {
        if (entry->value == no) return false;
    }
    expected(*entry, "true or false");
    return fallback;
}

std::int64_t ConfigReader::integer(std::string_view key, std::int64_t fallback, std::int64_t min, std::int64_t max) {
    const ConfigEntry* entry = find(key, std::to_string(fallback));
    if (entry == nullptr) return fallback;
    const auto number = parse_integer(entry->value);
    if (number && *number >= min && *number <= max) return *number;
    expected(*entry, "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
    return fallback;
}

Millis ConfigReader::duration(std::string_view key, Millis fallback, Millis min, Millis max) {
    const ConfigEntry* entry = find(key, with_unit(fallback.count(), kTimeUnits));
    if (entry == nullptr) return fallback;
    const auto number = parse_with_unit(entry->value, kTimeUnits);
    if (number && *number >= min.count() && *number <= max.count()) return Millis(*number);
    expected(*entry, "a time from " + with_unit(min.count(), kTimeUnits) + " to " + with_unit(max.count(), kTimeUnits) +
                         " (units: ms, s, min, h, d)");
    return fallback;
}

std::uint64_t ConfigReader::size(std::string_view key, std::uint64_t fallback, std::uint64_t min, std::uint64_t max) {
    const auto shown = [](std::uint64_t bytes) { return with_unit(static_cast<std::int64_t>(bytes), kSizeUnits); };
    const ConfigEntry* entry = find(key, shown(fallback));
    if (entry == nullptr) return fallback;
    const auto number = parse_with_unit(entry->value, kSizeUnits);
    if (number && static_cast<std::uint64_t>(*number) >= min && static_cast<std::uint64_t>(*number) <= max)
        return static_cast<std::uint64_t>(*number);
    expected(*entry, "a number of bytes from " + shown(min) + " to " + shown(max) + " (units: K, M, G)");
    return fallback;
}

std::string ConfigReader::choice(std::string_view key, std::string fallback, const std::vector<std::string>& allowed) {
    const ConfigEntry* entry = find(key, fallback);
    if (entry == nullptr) return fallback;
    if (std::find(allowed.begin(), allowed.end(), entry->value) != allowed.end()) return entry->value;
    expected(*entry, "one of " + join(allowed));
    return fallback;
}

int ConfigReader::line_of(std::string_view key, std::string_view element) const {
    const ConfigEntry* first = nullptr;
    for (const ConfigEntry& entry : section_.entries) {
        if (entry.key != key) continue;
        if (first == nullptr) first = &entry;
        const std::vector<std::string> elements = words(entry.value);
        const bool holds =
            entry.value == element || std::find(elements.begin(), elements.end(), element) != elements.end();
        if (!element.empty() && holds) return entry.line;
    }
    return first == nullptr ? section_.line : first->line;
}

void ConfigReader::refuse(std::string_view key, const std::string& message, std::string_view element) {
    add_error(line_of(key, element), key, message);
}

void ConfigReader::warn(std::string_view key, const std::string& message) {
    log::warning("configuration", {{"file", source_of(path_, line_of(key, ""))},
                                   {"line", std::max(line_of(key, ""), 0)},
                                   {"key", header(section_) + ' ' + std::string(key)},
                                   {"warning", message}});
}

void ConfigReader::check(std::string_view key, const std::string& why, std::string_view element) {
    if (why.empty() || refused_.contains({std::string(key), line_of(key, element)})) return;
    only_checked_ ? refuse(key, why, element) : warn(key, why);
}

bool ConfigReader::refused(std::string_view key) const {
    const auto first = refused_.lower_bound({std::string(key), kBuiltIn});
    return first != refused_.end() && first->first == key;
}

void ConfigReader::finish() {
    for (const ConfigEntry& entry : section_.entries) {
        if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
        add_error(entry.line, entry.key, "is no key of this section, expected one of " + join(known_));
    }
}

const ConfigEntry* ConfigReader::find(std::string_view key, const std::string& fallback) {
    take(key, fallback);
    const ConfigEntry* found = nullptr;
    for (const ConfigEntry& entry : section_.entries) {
        if (entry.key != key) continue;
        if (found == nullptr) {
            found = &entry;
        } else {
            const bool given = found->line == kCommandLine;
            add_error(entry.line, key,
                      given ? "is given twice" : "is there twice, first at line " + std::to_string(found->line));
        }
    }
    return found;
}

void ConfigReader::take(std::string_view key, const std::string& fallback) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
    const std::string name = header(section_);
    values_->begin(name, key);
    for (const ConfigEntry& entry : section_.entries) {
        if (entry.key != key) continue;
        const std::string origin = entry.line == kCommandLine ? "--set" : path_ + ':' + std::to_string(entry.line);
        values_->add({name, entry.key, entry.value, entry.line == kBuiltIn ? "default" : origin});
    }
    if (!has(key)) values_->add({name, std::string(key), fallback, "default"});
}

void ConfigReader::set_origin(std::string_view key, const std::string& origin) {
    values_->set_origin(header(section_), key, origin);
}

void ConfigReader::add_error(int line, std::string_view key, const std::string& message) {
    refused_.emplace(key, line);
    errors_.push_back({source_of(path_, line), line, header(section_) + ' ' + std::string(key) + ": " + message});
}

void ConfigReader::expected(const ConfigEntry& entry, const std::string& what) {
    add_error(entry.line, entry.key, "expected " + what + ", found " + quoted(entry.value));
}

}  // namespace vitalwire::runtime
