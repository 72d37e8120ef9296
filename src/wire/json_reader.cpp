#include "wire/json_reader.hpp"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace vitalwire::wire {

using base::Errc;
using base::fail;
using nlohmann::json;

namespace {

/// Builds the document while it is parsed and stops at the first thing over a limit.
class BoundedBuilder {
public:
    BoundedBuilder(const JsonLimits& limits, json& root) : limits_(limits), root_(root) {}

    bool null() { return add(nullptr); }
    bool boolean(bool value) { return add(value); }
    bool number_integer(json::number_integer_t value) { return add(value); }
    bool number_unsigned(json::number_unsigned_t value) { return add(value); }
    bool number_float(json::number_float_t value, const std::string&) { return add(value); }
    bool string(std::string& value) { return add(std::move(value)); }
    bool binary(json::binary_t&) { return refuse("binary value"); }
    bool start_object(std::size_t) { return open(json::object()); }
    bool end_object() { return close(); }
    bool start_array(std::size_t) { return open(json::array()); }
    bool end_array() { return close(); }

    bool key(std::string& name) {
        if (open_.back()->size() >= limits_.keys)
            return refuse("more than " + std::to_string(limits_.keys) + " keys in one object");
        if (open_.back()->contains(name)) return refuse("a key twice in one object");
        key_ = std::move(name);
        return true;
    }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
        return refuse("no valid JSON at byte " + std::to_string(position));
    }

    const std::string& problem() const { return problem_; }

private:
    bool refuse(std::string why) {
        problem_ = std::move(why);
        return false;
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
        return &parent.emplace(key_, std::move(value)).first.value();
    }

    bool has_room() {
        if (open_.empty() || !open_.back()->is_array() || open_.back()->size() < limits_.keys) return true;
        return refuse("more than " + std::to_string(limits_.keys) + " elements in one array");
    }

    template <class T>
    bool add(T&& value) {
        if (!has_room()) return false;
        place(json(std::forward<T>(value)));
        return true;
    }

    bool open(json&& container) {
        if (!has_room()) return false;
        if (static_cast<int>(open_.size()) >= limits_.depth)
            return refuse("nested deeper than " + std::to_string(limits_.depth));
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
    std::string key_;
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

}  // namespace

base::Result<json> parse_object(std::string_view text, const JsonLimits& limits) {
    json root;
    BoundedBuilder builder(limits, root);
    if (!json::sax_parse(text, &builder)) return fail(Errc::malformed, builder.problem());
    if (!root.is_object()) return fail(Errc::malformed, "expected a JSON object, found " + kind_of(root));
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
