#include "wire/json_document.hpp"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

namespace vitalwire::wire {

using base::Errc;
using base::fail;

namespace {

/// Beyond this many members it is cheaper to sort them than to compare each with each.
constexpr std::size_t kFewMembers = 16;

bool has_twins(const JsonValue& object, std::size_t members) {
    if (members <= kFewMembers) {
        for (auto member = object.begin(); member != object.end(); ++member) {
            for (auto earlier = object.begin(); earlier != member; ++earlier) {
                if ((*earlier).key == (*member).key) return true;
            }
        }
        return false;
    }
    std::vector<std::string_view> keys;
    keys.reserve(members);
    for (const JsonValue& member : object)
        keys.push_back(member.key);
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

}  // namespace

std::string kind_of(const JsonValue& value) {
    static constexpr std::array kKinds = {"a null",     "a boolean", "a number", "a number",
                                          "a fraction", "a string",  "a array",  "a object"};
    return kKinds.at(value.value.index());
}

/// Takes what Boost.JSON's parser finds, and stops at the first thing over a limit.
class JsonDocument::Builder {
public:
    // The parser asks for them by these names.
    // NOLINTBEGIN(readability-identifier-naming)
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
    // NOLINTEND(readability-identifier-naming)

    Builder(JsonDocument& document, std::string_view text, const JsonLimits& limits)
        : document_(document), text_(text), limits_(limits) {}

    using Code = boost::json::error_code;
    using View = boost::json::string_view;

    bool on_document_begin(Code&) { return true; }
    bool on_document_end(Code&) { return true; }
    bool on_object_begin(Code& code) { return open(JsonObject(), code); }
    bool on_object_end(std::size_t members, Code& code) {
        const JsonValue& object = close();
        return !has_twins(object, members) || refuse("a key twice in one object", code);
    }
    bool on_array_begin(Code& code) { return open(JsonArray(), code); }
    bool on_array_end(std::size_t, Code&) {
        close();
        return true;
    }
    bool on_key_part(View part, std::size_t, Code&) { return collect(part); }
    bool on_key(View part, std::size_t, Code& code) {
        if (open_.back().holds >= limits_.keys)
            return refuse("more than " + std::to_string(limits_.keys) + " keys in one object", code);
        key_ = whole(part);
        return true;
    }
    bool on_string_part(View part, std::size_t, Code&) { return collect(part); }
    bool on_string(View part, std::size_t, Code& code) { return add(whole(part), code); }
    bool on_number_part(View, Code&) { return true; }
    bool on_int64(std::int64_t value, View, Code& code) { return add(value, code); }
    bool on_uint64(std::uint64_t value, View, Code& code) { return add(value, code); }
    bool on_double(double value, View text, Code& code) {
        if (!std::isfinite(value)) return refuse("a number out of range", code);
        // An integer that 64 bits do not hold is one all the same, and out of each range.
        if (text.find_first_of(".eE") != View::npos) return add(value, code);
        return value > 0 ? add(std::numeric_limits<std::uint64_t>::max(), code)
                         : add(std::numeric_limits<std::int64_t>::min(), code);
    }
    bool on_bool(bool value, Code& code) { return add(value, code); }
    bool on_null(Code& code) { return add(nullptr, code); }
    bool on_comment_part(View, Code&) { return true; }
    bool on_comment(View, Code&) { return true; }

    const std::string& problem() const { return problem_; }

private:
    struct Open {
        std::size_t at;  ///< in the values
        bool is_array;
        std::size_t holds = 0;
    };

    bool refuse(std::string why, Code& code) {
        problem_ = std::move(why);
        code = boost::json::error::syntax;
        return false;
    }

    /// Never moves what was collected before: no string grows when it is unescaped.
    bool collect(View part) {
        if (document_.unescaped_.capacity() < text_.size()) document_.unescaped_.reserve(text_.size());
        document_.unescaped_.append(part.data(), part.size());
        return true;
    }

    /// The string that ends with `part`.
    std::string_view whole(View part) {
        if (begun_ == document_.unescaped_.size() && lies_in_text(part)) return {part.data(), part.size()};
        collect(part);
        const std::size_t begun = std::exchange(begun_, document_.unescaped_.size());
        return std::string_view(document_.unescaped_).substr(begun);
    }

    bool lies_in_text(View part) const {
        const std::less_equal<> not_behind;
        return not_behind(text_.data(), part.data()) &&
               not_behind(part.data() + part.size(), text_.data() + text_.size());
    }

    template <class T>
    bool add(T value, Code& code) {
        if (!open_.empty()) {
            Open& parent = open_.back();
            if (parent.is_array && parent.holds >= limits_.keys)
                return refuse("more than " + std::to_string(limits_.keys) + " elements in one array", code);
            ++parent.holds;
        }
        document_.values_.push_back({std::exchange(key_, {}), value});
        return true;
    }

    template <class Container>
    bool open(Container container, Code& code) {
        if (static_cast<int>(open_.size()) >= limits_.depth)
            return refuse("nested deeper than " + std::to_string(limits_.depth), code);
        if (!add(container, code)) return false;
        open_.push_back({document_.values_.size() - 1, std::is_same_v<Container, JsonArray>});
        return true;
    }

    const JsonValue& close() {
        JsonValue& closed = document_.values_[open_.back().at];
        closed.extent = static_cast<std::uint32_t>(document_.values_.size() - open_.back().at);
        open_.pop_back();
        return closed;
    }

    JsonDocument& document_;
    std::string_view text_;
    const JsonLimits& limits_;
    boost::container::small_vector<Open, kMaxDepth> open_;
    std::size_t begun_ = 0;  ///< where in `unescaped_` the string is that is being read
    std::string_view key_;   ///< of the value that comes next
    std::string problem_;
};

base::Result<void> JsonDocument::read_value(std::string_view text, const JsonLimits& limits) {
    boost::json::parse_options options;
    options.max_depth = static_cast<std::size_t>(limits.depth) + 1;  // the builder says it in its own words first
    boost::json::basic_parser<Builder> parser(options, *this, text, limits);
    boost::json::error_code code;
    const std::size_t read = parser.write_some(false, text.data(), text.size(), code);
    if (!parser.handler().problem().empty()) return fail(Errc::malformed, parser.handler().problem());
    if (code || read != text.size()) return fail(Errc::malformed, "no valid JSON at byte " + std::to_string(read + 1));
    return {};
}

base::Result<void> JsonDocument::read(std::string_view text, const JsonLimits& limits) {
    auto read = read_value(text, limits);
    if (read && !root().is<JsonObject>())
        return fail(Errc::malformed, "expected a JSON object, found " + kind_of(root()));
    return read;
}

base::Result<void> JsonDocument::read_array(std::string_view text, const JsonLimits& limits) {
    auto read = read_value(text, limits);
    if (read && !root().is<JsonArray>())
        return fail(Errc::malformed, "expected a JSON array, found " + kind_of(root()));
    return read;
}

const JsonValue* find(const JsonValue& object, std::string_view key) {
    if (!object.is<JsonObject>()) return nullptr;
    for (const JsonValue& member : object) {
        if (member.key == key) return &member;
    }
    return nullptr;
}

}  // namespace vitalwire::wire
