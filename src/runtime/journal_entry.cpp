#include "runtime/journal_entry.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

namespace vitalwire::runtime {

namespace {

/// systemd/*.catalog explain them. An id is never used for something else.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kCatalogue = {{
    {"fault opened", "0d9a6c1f7b5e4f3c8a21d4e6b7c80101"},
    {"fault cleared", "0d9a6c1f7b5e4f3c8a21d4e6b7c80102"},
    {"problem", "0d9a6c1f7b5e4f3c8a21d4e6b7c80103"},
    {"problem is over", "0d9a6c1f7b5e4f3c8a21d4e6b7c80104"},
    {"agent connected", "0d9a6c1f7b5e4f3c8a21d4e6b7c80105"},
    {"agent disconnected", "0d9a6c1f7b5e4f3c8a21d4e6b7c80106"},
    {"agent fell silent", "0d9a6c1f7b5e4f3c8a21d4e6b7c80107"},
    {"controller connected", "0d9a6c1f7b5e4f3c8a21d4e6b7c80108"},
    {"controller lost", "0d9a6c1f7b5e4f3c8a21d4e6b7c80109"},
    {"controller rejects this agent", "0d9a6c1f7b5e4f3c8a21d4e6b7c8010a"},
    {"maintenance begins", "0d9a6c1f7b5e4f3c8a21d4e6b7c8010b"},
    {"configuration reloaded", "0d9a6c1f7b5e4f3c8a21d4e6b7c8010c"},
}};
constexpr std::string_view kPrefix = "VITALWIRE_";
constexpr std::size_t kLongestKey = 40;
constexpr std::size_t kMostFields = 16;

bool is_key(char c) {
    return (c >= 'a' && c <= 'z') || c == '_';
}

struct Field {
    std::string_view key;
    std::string_view value;
};

/// One that begins at `at`, where a space is; nothing when none does.
std::optional<std::pair<Field, std::size_t>> field_at(std::string_view line, std::size_t at) {
    std::size_t end = at + 1;
    while (end < line.size() && is_key(line[end]))
        ++end;
    const bool named = end > at + 1 && end - at <= kLongestKey && end < line.size() && line[end] == '=';
    if (!named) return std::nullopt;
    const std::string_view key = line.substr(at + 1, end - at - 1);
    std::size_t begin = end + 1;
    const bool quoted = begin < line.size() && line[begin] == '"';
    if (quoted) ++begin;
    end = begin;
    while (end < line.size() && line[end] != (quoted ? '"' : ' '))
        end += quoted && line[end] == '\\' ? 2 : 1;
    end = std::min(end, line.size());
    return std::pair{Field{key, line.substr(begin, end - begin)}, end + (quoted ? 1 : 0)};
}

class Output {
public:
    explicit Output(std::span<char> to) : to_(to) {}

    void add(std::string_view text) {
        full_ = full_ || text.size() > to_.size() - size_;
        if (full_) return;
        std::copy(text.begin(), text.end(), to_.begin() + static_cast<std::ptrdiff_t>(size_));
        size_ += text.size();
    }
    void add_upper(std::string_view text) {
        for (const char c : text) {
            const char upper = c == '_' ? c : static_cast<char>(c - 'a' + 'A');
            add({&upper, 1});
        }
    }
    std::size_t size() const { return full_ ? 0 : size_; }

private:
    std::span<char> to_;
    std::size_t size_ = 0;
    bool full_ = false;
};

}  // namespace

std::string_view message_id(std::string_view sentence) {
    const auto* at =
        std::find_if(kCatalogue.begin(), kCatalogue.end(), [&](const auto& entry) { return entry.first == sentence; });
    return at == kCatalogue.end() ? std::string_view() : at->second;
}

std::size_t journal_entry(std::string_view line, std::string_view identifier, std::span<char> to) {
    Output out(to);
    const bool has_priority = line.size() >= 3 && line[0] == '<' && line[2] == '>';
    out.add("PRIORITY=");
    out.add(has_priority ? line.substr(1, 1) : "6");
    if (has_priority) line.remove_prefix(3);
    out.add("\nSYSLOG_IDENTIFIER=");
    out.add(identifier);
    out.add("\nMESSAGE=");
    out.add(line);
    std::size_t sentence = line.size();
    std::size_t fields = 0;
    for (std::size_t at = line.find(' '); at != std::string_view::npos && fields < kMostFields;) {
        const auto found = field_at(line, at);
        if (!found) {
            at = line.find(' ', at + 1);
            continue;
        }
        sentence = std::min(sentence, at);
        ++fields;
        out.add("\n");
        out.add(kPrefix);
        out.add_upper(found->first.key);
        out.add("=");
        out.add(found->first.value);
        at = found->second < line.size() && line[found->second] == ' ' ? found->second : line.find(' ', found->second);
    }
    if (const std::string_view id = message_id(line.substr(0, sentence)); !id.empty()) {
        out.add("\nMESSAGE_ID=");
        out.add(id);
    }
    out.add("\n");
    return out.size();
}

}  // namespace vitalwire::runtime
