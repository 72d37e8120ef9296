#pragma once

#include <concepts>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace vitalwire::log {

enum class Level { debug, info, warning, error };
/// Of "debug", "info", "warning" and "error".
std::optional<Level> parse_level(std::string_view name);

/// One `key=value` of a log line. Values may come from a guest: the line is escaped and cut where it is written.
struct Field {
    std::string_view key;
    std::string value;

    Field(std::string_view k, std::string_view v) : key(k), value(v) {}
    Field(std::string_view k, const char* v) : key(k), value(v) {}
    Field(std::string_view k, const std::string& v) : key(k), value(v) {}
    Field(std::string_view k, bool v) : key(k), value(v ? "yes" : "no") {}
    template <class T>
    requires std::integral<T> || std::floating_point<T> Field(std::string_view k, T v)
        : key(k), value(std::to_string(v)) {}
    template <class T>
    requires requires(const T& id) {
        { id.str() } -> std::convertible_to<const std::string&>;
    }
    Field(std::string_view k, const T& id) : key(k), value(id.str()) {}
};

using Fields = std::initializer_list<Field>;

/// Where finished lines go. The daemons install one at start (runtime/logging.hpp, guest: standard error).
using Backend = void (*)(Level, std::string_view line);
void set_backend(Backend backend);
void set_level(Level lowest);

/// Writes `message key="value" ...`. `message` is a fixed sentence of ours. Thread-safe; never throws, never blocks on
/// a full disk.
void write(Level level, std::string_view message, Fields fields = {});

inline void debug(std::string_view message, Fields fields = {}) {
    write(Level::debug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) {
    write(Level::info, message, fields);
}
inline void warning(std::string_view message, Fields fields = {}) {
    write(Level::warning, message, fields);
}
inline void error(std::string_view message, Fields fields = {}) {
    write(Level::error, message, fields);
}

}  // namespace vitalwire::log
