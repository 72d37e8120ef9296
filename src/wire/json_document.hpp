#pragma once

#include <boost/container/small_vector.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.hpp"
#include "wire/limits.hpp"

namespace vitalwire::wire {

struct JsonLimits {
    int depth = kMaxDepth;
    std::size_t keys = kMaxKeys;  ///< in one object, and elements of one array
};

struct JsonArray {};
struct JsonObject {};

/// One value of a text that was read. What an array or object holds follows it in memory, in the order of the text.
struct JsonValue {
    std::string_view key;  ///< of a member; empty otherwise
    std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string_view, JsonArray, JsonObject>
        value;
    std::uint32_t extent = 1;  ///< of values: this one and all that it holds

    template <class T>
    bool is() const {
        return std::holds_alternative<T>(value);
    }
    template <class T>
    const T* as() const {
        return std::get_if<T>(&value);
    }

    class Iterator {
    public:
        explicit Iterator(const JsonValue* at) : at_(at) {}
        const JsonValue& operator*() const { return *at_; }
        Iterator& operator++() {
            at_ += at_->extent;
            return *this;
        }
        friend bool operator==(const Iterator&, const Iterator&) = default;

    private:
        const JsonValue* at_;
    };

    // The members of an object, the elements of an array; nothing for all else.
    Iterator begin() const { return Iterator(this + 1); }
    Iterator end() const { return Iterator(this + extent); }
};

/// JSON as it was read: one flat list of values that point into the text. An agent reads ten thousand lines a
/// second and looks at each once: a tree would cost it more than all the rest of a beat. It takes no memory for the
/// messages of a guest.
class JsonDocument {
public:
    JsonDocument() = default;
    JsonDocument(const JsonDocument&) = delete;
    JsonDocument& operator=(const JsonDocument&) = delete;

    /// Reads one JSON object, bounded in depth and number of keys while it is read. Duplicate keys, invalid UTF-8, lone
    /// surrogates, numbers out of double's range and anything after the object are malformed. Once for a document; the
    /// text has to outlive it.
    base::Result<void> read(std::string_view text, const JsonLimits& limits = {});
    /// The same for one JSON array.
    base::Result<void> read_array(std::string_view text, const JsonLimits& limits = {});

    /// The object or array; only after a successful read.
    const JsonValue& root() const { return values_.front(); }

private:
    class Builder;

    base::Result<void> read_value(std::string_view text, const JsonLimits& limits);

    static constexpr std::size_t kUsualValues = 24;

    boost::container::small_vector<JsonValue, kUsualValues> values_;
    std::string unescaped_;  ///< strings that the text holds escaped
};

/// "a string", "a fraction": what was found, in the words of a refusal.
std::string kind_of(const JsonValue& value);

/// The member `key`, or null when `object` is no object or has no such key.
const JsonValue* find(const JsonValue& object, std::string_view key);

}  // namespace vitalwire::wire
