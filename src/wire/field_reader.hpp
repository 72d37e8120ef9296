#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/text.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::wire {

/// Reads the fields of one JSON object one after the other and keeps the first problem, so that a decoder reads as a
/// list of fields. After a problem the values are empty and `finish` fails. The object, a document's or a tree, must
/// outlive the reader.
template <class Object>
class FieldReader {
public:
    explicit FieldReader(const Object& object) : object_(object) {}

    std::int64_t integer(const char* key, std::int64_t min, std::int64_t max) {
        return take(read_int(object_, key, min, max));
    }
    std::int64_t integer_or(const char* key, std::int64_t fallback, std::int64_t min, std::int64_t max) {
        return take(read_int_or(object_, key, fallback, min, max));
    }
    base::Millis millis(const char* key, base::Millis min, base::Millis max) {
        return base::Millis(integer(key, min.count(), max.count()));
    }
    base::Millis millis_or(const char* key, base::Millis fallback, base::Millis min, base::Millis max) {
        return base::Millis(integer_or(key, fallback.count(), min.count(), max.count()));
    }
    std::string text(const char* key, std::size_t min_bytes, std::size_t max_bytes) {
        return take(read_text(object_, key, min_bytes, max_bytes));
    }
    /// The same, in the object itself.
    std::string_view view(const char* key, std::size_t min_bytes, std::size_t max_bytes) {
        return take(read_view(object_, key, min_bytes, max_bytes));
    }
    std::string text_or(const char* key, std::size_t max_bytes) {
        return take(read_text_or(object_, key, {}, max_bytes));
    }
    /// What base::is_plain_name allows.
    std::string plain_name(const char* key, std::size_t max_bytes) {
        std::string value = text(key, 1, max_bytes);
        if (!base::is_plain_name(value, max_bytes)) {
            refuse(base::Errc::bad_field,
                   std::string("key '") + key + "': expected only letters, digits, '.', '_' and '-'");
        }
        return value;
    }
    bool boolean(const char* key) { return take(read_bool(object_, key)); }
    bool boolean_or(const char* key, bool fallback) { return has(key) ? boolean(key) : fallback; }
    bool has(const char* key) const { return find(object_, key) != nullptr; }

    /// For checks of the caller's own.
    void refuse(base::Errc code, std::string message) {
        if (!problem_) problem_ = base::Error{code, std::move(message)};
    }

    template <class T>
    T take(base::Result<T> result) {
        if (result) return std::move(*result);
        if (!problem_) problem_ = std::move(result.error());
        return T{};
    }

    template <class T>
    base::Result<T> finish(T value) {
        if (problem_) return tl::make_unexpected(std::move(*problem_));
        return value;
    }

protected:
    const Object& object() const { return object_; }

private:
    const Object& object_;
    std::optional<base::Error> problem_;
};

}  // namespace vitalwire::wire
