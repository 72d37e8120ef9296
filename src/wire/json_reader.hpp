#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "wire/json_document.hpp"

namespace vitalwire::wire {

/// JsonDocument::read, and read_array, as a tree.
base::Result<nlohmann::json> parse_object(std::string_view text, const JsonLimits& limits = {});
base::Result<nlohmann::json> parse_array(std::string_view text, const JsonLimits& limits = {});
nlohmann::json to_json(const JsonValue& value);

/// Compact JSON; strings that are not UTF-8 are written with replacement characters instead of throwing.
std::string dump(const nlohmann::json& value);

/// The member `key` of a document's object or of a tree's; of an array or object in a tree only that it is one.
inline const JsonValue* member(const JsonValue& object, const char* key) {
    return find(object, key);
}
std::optional<JsonValue> member(const nlohmann::json& object, const char* key);

// Whether a member, or none, is what it should be. A failure is bad_field and names the key, what was expected and what
// was found. Text points into where the member came from.
base::Result<std::int64_t> check_int(const JsonValue* value, const char* key, std::int64_t min, std::int64_t max);
/// Any integer. Of one that 64 bits do not hold the nearest that they do.
base::Result<std::int64_t> check_any_int(const JsonValue* value, const char* key);
base::Result<std::string_view> check_text(const JsonValue* value, const char* key, std::size_t min_bytes,
                                          std::size_t max_bytes);
base::Result<bool> check_bool(const JsonValue* value, const char* key);

// Checked reading of one key of an object, be it a document's or a tree.
template <class Object>
base::Result<std::int64_t> read_int(const Object& object, const char* key, std::int64_t min, std::int64_t max) {
    const auto found = member(object, key);
    return check_int(found ? &*found : nullptr, key, min, max);
}
template <class Object>
base::Result<std::int64_t> read_any_int(const Object& object, const char* key) {
    const auto found = member(object, key);
    return check_any_int(found ? &*found : nullptr, key);
}
template <class Object>
base::Result<std::int64_t> read_int_or(const Object& object, const char* key, std::int64_t fallback, std::int64_t min,
                                       std::int64_t max) {
    const auto found = member(object, key);
    return found ? check_int(&*found, key, min, max) : fallback;
}
template <class Object>
base::Result<std::string_view> read_view(const Object& object, const char* key, std::size_t min_bytes,
                                         std::size_t max_bytes) {
    const auto found = member(object, key);
    return check_text(found ? &*found : nullptr, key, min_bytes, max_bytes);
}
template <class Object>
base::Result<std::string> read_text(const Object& object, const char* key, std::size_t min_bytes,
                                    std::size_t max_bytes) {
    return read_view(object, key, min_bytes, max_bytes).map([](std::string_view text) { return std::string(text); });
}
template <class Object>
base::Result<std::string> read_text_or(const Object& object, const char* key, std::string fallback,
                                       std::size_t max_bytes) {
    if (!member(object, key)) return fallback;
    return read_text(object, key, 0, max_bytes);
}
template <class Object>
base::Result<bool> read_bool(const Object& object, const char* key) {
    const auto found = member(object, key);
    return check_bool(found ? &*found : nullptr, key);
}

/// "version 7 is not supported", as far as `read_any_int` says which.
std::string not_supported(std::int64_t version);

// Lenient reading, for files of our own and for peers whose fields are optional: nullptr-free, never fails.
std::string text_or(const JsonValue& object, const char* key, std::string fallback = {});
std::string text_or(const nlohmann::json& object, const char* key, std::string fallback = {});
std::int64_t int_or(const nlohmann::json& object, const char* key, std::int64_t fallback);
bool bool_or(const nlohmann::json& object, const char* key, bool fallback);
/// The member `key`, or null when `object` is no object or has no such key.
const nlohmann::json* find(const nlohmann::json& object, const char* key);

}  // namespace vitalwire::wire
