#include "base/log.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "base/text.hpp"

namespace vitalwire::log {

namespace {

/// Standard error with the priority prefix that the journal understands (sd-daemon(3)).
void write_to_stderr(Level level, std::string_view line) {
    const char* priority = "<7>";
    switch (level) {
        case Level::debug:
            break;
        case Level::info:
            priority = "<6>";
            break;
        case Level::warning:
            priority = "<4>";
            break;
        case Level::error:
            priority = "<3>";
            break;
    }
    std::fprintf(stderr, "%s%.*s\n", priority, static_cast<int>(line.size()), line.data());
}

std::atomic<Backend> g_backend = write_to_stderr;
std::atomic<Level> g_level = Level::info;

bool needs_quotes(std::string_view value) {
    return value.empty() || std::any_of(value.begin(), value.end(), [](char c) {
               return c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F;
           });
}

}  // namespace

std::optional<Level> parse_level(std::string_view name) {
    if (name == "debug") return Level::debug;
    if (name == "info") return Level::info;
    if (name == "warning") return Level::warning;
    if (name == "error") return Level::error;
    return std::nullopt;
}

void set_backend(Backend backend) {
    g_backend = backend;
}
void set_level(Level lowest) {
    g_level = lowest;
}

void write(Level level, std::string_view message, Fields fields) {
    if (level < g_level.load(std::memory_order_relaxed)) return;
    std::string line(message);
    for (const Field& field : fields) {
        line += ' ';
        line += field.key;
        line += '=';
        const bool quoted = needs_quotes(field.value);
        if (quoted) line += '"';
        line += base::escape(field.value);
        if (quoted) line += '"';
    }
    g_backend.load()(level, line);
}

}  // namespace vitalwire::log
