#include "wire/json_reader.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace vitalwire::wire {

using base::Errc;
using base::fail;
using nlohmann::json;

namespace {

/// Builds the document while Boost.JSON's parser reads the text, and stops at the first thing over a limit. Not left to
/// nlohmann's own parser: an agent reads ten thousand lines a second, and that one costs more than all the rest of it.
class BoundedBuilder {
public:
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

    BoundedBuilder(const JsonLimits& limits, json& root) : limits_(limits), root_(root) { open_.reserve(kUsualDepth); }

    using Code = boost::json::error_code;
    using View = boost::json::string_view;

    bool on_document_begin(Code&) { return true; }
    bool on_document_end(Code&) { return true; }
    bool on_object_begin(Code& code) { return open(json::object(), code); }
    bool on_object_end(std::size_t, Code&) { return close(); }
    bool on_array_begin(Code& code) { return open(json::array(), code); }
    bool on_array_end(std::size_t, Code&) { return close(); }
    bool on_key_part(View part, std::size_t, Code&) { return append(part); }
    bool on_key(View part, std::size_t, Code& code) { return append(part) && key(code); }
    bool on_string_part(View part, std::size_t, Code&) { return append(part); }
    bool on_string(View part, std::size_t, Code& code) {
        append(part);
        return add(std::exchange(text_, {}), code);
    }
    bool on_number_part(View, Code&) { return true; }
    bool on_int64(std::int64_t value, View, Code& code) { return add(value, code); }
    bool on_uint64(std::uint64_t value, View, Code& code) { return add(value, code); }
    bool on_double(double value, View, Code& code) {
        return std::isfinite(value) ? add(value, code) : refuse("a number out of range", code);
    }
    bool on_bool(bool value, Code& code) { return add(value, code); }
    bool on_null(Code& code) { return add(nullptr, code); }
    bool on_comment_part(View, Code&) { return true; }
    bool on_comment(View, Code&) { return true; }

    const std::string& problem() const { return problem_; }

private:
    static constexpr std::size_t kUsualDepth = 8;

    bool refuse(std::string why, Code& code) {
        problem_ = std::move(why);
        code = boost::json::error::syntax;
        return false;
    }

    bool append(View part) {
        text_.append(part.data(), part.size());
        return true;
    }

    bool key(Code& code) {
        json& object = *open_.back();
        if (object.size() >= limits_.keys)
            return refuse("more than " + std::to_string(limits_.keys) + " keys in one object", code);
        const auto [member, is_new] = object.get_ref<json::object_t&>().try_emplace(std::exchange(text_, {}));
        if (!is_new) return refuse("a key twice in one object", code);
        member_ = &member->second;
        return true;
    }

    json* place(json&& value) {
        if (open_.empty()) {
            root_ = std::move(value);
            return &root_;
        }
        json& parent = *open_.back();
        if (parent.is_array()) {
            parent.push_back(std::move(value));
            return &parent.back();
        }
        *member_ = std::move(value);
        return member_;
    }

    bool has_room(Code& code) {
        if (open_.empty() || !open_.back()->is_array() || open_.back()->size() < limits_.keys) return true;
        return refuse("more than " + std::to_string(limits_.keys) + " elements in one array", code);
    }

    template <class T>
    bool add(T&& value, Code& code) {
        if (!has_room(code)) return false;
        place(json(std::forward<T>(value)));
        return true;
    }

    bool open(json&& container, Code& code) {
        if (!has_room(code)) return false;
        if (static_cast<int>(open_.size()) >= limits_.depth)
            return refuse("nested deeper than " + std::to_string(limits_.depth), code);
        open_.push_back(place(std::move(container)));
        return true;
    }

    bool close() {
        open_.pop_back();
        return true;
    }

    const JsonLimits& limits_;
    json& root_;
    std::vector<json*> open_;
    std::string text_;        ///< of the key or string that is being read
    json* member_ = nullptr;  ///< the open object's newest, whose value comes next
    std::string problem_;
};

std::string kind_of(const json& value) {
    if (value.is_number_float()) return "a fraction";
    return std::string("a ") + value.type_name();
}

tl::unexpected<base::Error> missing(const char* key, const std::string& expected) {
    return fail(Errc::bad_field, std::string("key '") + key + "' is missing, expected " + expected);
}

tl::unexpected<base::Error> wrong(const char* key, const std::string& expected, const std::string& found) {
    return fail(Errc::bad_field, std::string("key '") + key + "': expected " + expected + ", found " + found);
}

base::Result<json> parse(std::string_view text, const JsonLimits& limits) {
    json root;
    boost::json::parse_options options;
    options.max_depth = static_cast<std::size_t>(limits.depth) + 1;  // the builder says it in its own words first
    boost::json::basic_parser<BoundedBuilder> parser(options, limits, root);
    boost::json::error_code code;
    const std::size_t read = parser.write_some(false, text.data(), text.size(), code);
    if (!parser.handler().problem().empty()) return fail(Errc::malformed, parser.handler().problem());
    if (code || read != text.size()) return fail(Errc::malformed, "no valid JSON at byte " + std::to_string(read + 1));
    return root;
}

}  // namespace

base::Result<json> parse_object(std::string_view text, const JsonLimits& limits) {
    auto root = parse(text, limits);
    if (root && !root->is_object()) return fail(Errc::malformed, "expected a JSON object, found " + kind_of(*root));
    return root;
}

base::Result<json> parse_array(std::string_view text, const JsonLimits& limits) {
    auto root = parse(text, limits);
    if (root && !root->is_array()) return fail(Errc::malformed, "expected a JSON array, found " + kind_of(*root));
    return root;
}

std::string dump(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

const json* find(const json& object, const char* key) {
    if (!object.is_object()) return nullptr;
    const auto member = object.find(key);
    return member == object.end() ? nullptr : &*member;
}

base::Result<std::int64_t> read_int(const json& object, const char* key, std::int64_t min, std::int64_t max) {
    const auto expected = [&] { return "an integer from " + std::to_string(min) + " to " + std::to_string(max); };
    const json* value = find(object, key);
    if (value == nullptr) return missing(key, expected());
    if (!value->is_number_integer()) return wrong(key, expected(), kind_of(*value));
    if (value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
        return wrong(key, expected(), std::to_string(value->get<std::uint64_t>()));
    }
    const auto number = value->get<std::int64_t>();
    if (number < min || number > max) return wrong(key, expected(), std::to_string(number));
    return number;
}

base::Result<std::int64_t> read_int_or(const json& object, const char* key, std::int64_t fallback, std::int64_t min,
                                       std::int64_t max) {
    if (find(object, key) == nullptr) return fallback;
    return read_int(object, key, min, max);
}

base::Result<std::string> read_text(const json& object, const char* key, std::size_t min_bytes, std::size_t max_bytes) {
    const auto expected = [&] {
        return "a string of " + std::to_string(min_bytes) + " to " + std::to_string(max_bytes) + " bytes";
    };
    const json* value = find(object, key);
    if (value == nullptr) return missing(key, expected());
    if (!value->is_string()) return wrong(key, expected(), kind_of(*value));
    const auto& text = value->get_ref<const std::string&>();
    if (text.size() < min_bytes || text.size() > max_bytes)
        return wrong(key, expected(), std::to_string(text.size()) + " bytes");
    return text;
}

base::Result<std::string> read_text_or(const json& object, const char* key, std::string fallback,
                                       std::size_t max_bytes) {
    if (find(object, key) == nullptr) return fallback;
    return read_text(object, key, 0, max_bytes);
}

base::Result<bool> read_bool(const json& object, const char* key) {
    const json* value = find(object, key);
    if (value == nullptr) return missing(key, "true or false");
    if (!value->is_boolean()) return wrong(key, "true or false", kind_of(*value));
    return value->get<bool>();
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
