#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "wire/limits.hpp"

namespace vitalwire::wire {

struct JsonLimits {
    int depth = kMaxDepth;
    std::size_t keys = kMaxKeys;  ///< in one object, and elements of one array
};

/// Parses one JSON object, bounded in depth and number of keys while it is read. Duplicate keys, invalid UTF-8, lone
/// surrogates, numbers out of double's range and anything after the object are malformed.
base::Result<nlohmann::json> parse_object(std::string_view text, const JsonLimits& limits = {});
/// The same for one JSON array.
base::Result<nlohmann::json> parse_array(std::string_view text, const JsonLimits& limits = {});

/// Compact JSON; strings that are not UTF-8 are written with replacement characters instead of throwing.
std::string dump(const nlohmann::json& value);

// Checked reading of one key of an object. A failure is bad_field and names the key, what was expected and what was
// found.
base::Result<std::int64_t> read_int(const nlohmann::json& object, const char* key, std::int64_t min, std::int64_t max);
base::Result<std::int64_t> read_int_or(const nlohmann::json& object, const char* key, std::int64_t fallback,
                                       std::int64_t min, std::int64_t max);
base::Result<std::string> read_text(const nlohmann::json& object, const char* key, std::size_t min_bytes,
                                    std::size_t max_bytes);
base::Result<std::string> read_text_or(const nlohmann::json& object, const char* key, std::string fallback,
                                       std::size_t max_bytes);
base::Result<bool> read_bool(const nlohmann::json& object, const char* key);

// Lenient reading, for files of our own and for peers whose fields are optional: nullptr-free, never fails.
std::string text_or(const nlohmann::json& object, const char* key, std::string fallback = {});
std::int64_t int_or(const nlohmann::json& object, const char* key, std::int64_t fallback);
bool bool_or(const nlohmann::json& object, const char* key, bool fallback);
/// The member `key`, or null when `object` is no object or has no such key.
const nlohmann::json* find(const nlohmann::json& object, const char* key);

}  // namespace vitalwire::wire
