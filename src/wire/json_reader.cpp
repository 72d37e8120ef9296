#include "wire/json_reader.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

namespace vitalwire::wire {

using base::Errc;
using base::fail;
using nlohmann::json;

namespace {

/// Of an array or an object only that it is one.
JsonValue shallow(const json& value) {
    switch (value.type()) {
        case json::value_t::boolean:
            return {.value = value.get<bool>()};
        case json::value_t::number_integer:
            return {.value = value.get<std::int64_t>()};
        case json::value_t::number_unsigned:
            return {.value = value.get<std::uint64_t>()};
        case json::value_t::number_float:
            return {.value = value.get<double>()};
        case json::value_t::string:
            return {.value = std::string_view(value.get_ref<const std::string&>())};
        case json::value_t::array:
            return {.value = JsonArray()};
        case json::value_t::object:
            return {.value = JsonObject()};
        default:
            return {.value = nullptr};
    }
}

tl::unexpected<base::Error> missing(const char* key, const std::string& expected) {
    return fail(Errc::bad_field, std::string("key '") + key + "' is missing, expected " + expected);
}

tl::unexpected<base::Error> wrong(const char* key, const std::string& expected, const std::string& found) {
    return fail(Errc::bad_field, std::string("key '") + key + "': expected " + expected + ", found " + found);
}

}  // namespace

base::Result<json> parse_object(std::string_view text, const JsonLimits& limits) {
    JsonDocument document;
    if (auto read = document.read(text, limits); !read) return tl::make_unexpected(std::move(read.error()));
    return to_json(document.root());
}

base::Result<json> parse_array(std::string_view text, const JsonLimits& limits) {
    JsonDocument document;
    if (auto read = document.read_array(text, limits); !read) return tl::make_unexpected(std::move(read.error()));
    return to_json(document.root());
}

json to_json(const JsonValue& value) {
    if (value.is<JsonObject>()) {
        json object = json::object();
        auto& members = object.get_ref<json::object_t&>();
        for (const JsonValue& member : value)
            members.emplace(member.key, to_json(member));
        return object;
    }
    if (value.is<JsonArray>()) {
        json array = json::array();
        for (const JsonValue& element : value)
            array.push_back(to_json(element));
        return array;
    }
    return std::visit(
        [](const auto& scalar) {
            if constexpr (std::is_empty_v<std::decay_t<decltype(scalar)>>)
                return json();
            else
                return json(scalar);
        },
        value.value);
}

std::string dump(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

const json* find(const json& object, const char* key) {
    if (!object.is_object()) return nullptr;
    const auto member = object.find(key);
    return member == object.end() ? nullptr : &*member;
}

std::optional<JsonValue> member(const json& object, const char* key) {
    const json* value = find(object, key);
    return value == nullptr ? std::nullopt : std::optional(shallow(*value));
}

base::Result<std::int64_t> check_int(const JsonValue* value, const char* key, std::int64_t min, std::int64_t max) {
    const auto expected = [&] { return "an integer from " + std::to_string(min) + " to " + std::to_string(max); };
    if (value == nullptr) return missing(key, expected());
    const auto in_range = [&](auto number) -> base::Result<std::int64_t> {
        if (std::cmp_less(number, min) || std::cmp_greater(number, max))
            return wrong(key, expected(), std::to_string(number));
        return static_cast<std::int64_t>(number);
    };
    if (const auto* number = value->as<std::int64_t>()) return in_range(*number);
    if (const auto* number = value->as<std::uint64_t>()) return in_range(*number);
    return wrong(key, expected(), kind_of(*value));
}

base::Result<std::int64_t> check_any_int(const JsonValue* value, const char* key) {
    const std::string expected = "an integer";
    if (value == nullptr) return missing(key, expected);
    if (const auto* number = value->as<std::int64_t>()) return *number;
    if (const auto* number = value->as<std::uint64_t>())
        return static_cast<std::int64_t>(std::min<std::uint64_t>(*number, INT64_MAX));
    return wrong(key, expected, kind_of(*value));
}

base::Result<std::string_view> check_text(const JsonValue* value, const char* key, std::size_t min_bytes,
                                          std::size_t max_bytes) {
    const auto expected = [&] {
        return "a string of " + std::to_string(min_bytes) + " to " + std::to_string(max_bytes) + " bytes";
    };
    if (value == nullptr) return missing(key, expected());
    const auto* text = value->as<std::string_view>();
    if (text == nullptr) return wrong(key, expected(), kind_of(*value));
    if (text->size() < min_bytes || text->size() > max_bytes)
        return wrong(key, expected(), std::to_string(text->size()) + " bytes");
    return *text;
}

base::Result<bool> check_bool(const JsonValue* value, const char* key) {
    if (value == nullptr) return missing(key, "true or false");
    const bool* flag = value->as<bool>();
    if (flag == nullptr) return wrong(key, "true or false", kind_of(*value));
    return *flag;
}

std::string not_supported(std::int64_t version) {
    const char* beyond = version == INT64_MAX ? " or more" : version == INT64_MIN ? " or less" : "";
    return "version " + std::to_string(version) + beyond + " is not supported";
}

std::string text_or(const JsonValue& object, const char* key, std::string fallback) {
    const auto text = read_view(object, key, 0, SIZE_MAX);
    return text ? std::string(*text) : std::move(fallback);
}

std::string text_or(const json& object, const char* key, std::string fallback) {
    const json* value = find(object, key);
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::move(fallback);
}

std::int64_t int_or(const json& object, const char* key, std::int64_t fallback) {
    const json* value = find(object, key);
    return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : fallback;
}

bool bool_or(const json& object, const char* key, bool fallback) {
    const json* value = find(object, key);
    return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

}  // namespace vitalwire::wire
