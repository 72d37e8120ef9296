#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vitalwire::wire {

/// Writes one flat JSON object key by key. A host sends a challenge for every beat of every guest: building a document
/// only to print it would cost more than everything else about the beat. Keys are literals of ours that need no
/// escaping.
class ObjectWriter {
public:
    /// `before` is what the line begins with.
    explicit ObjectWriter(std::string before = {});

    ObjectWriter& number(std::string_view key, std::int64_t value);
    ObjectWriter& flag(std::string_view key, bool value);
    ObjectWriter& text(std::string_view key, std::string_view value);
    /// `value` is JSON already.
    ObjectWriter& json(std::string_view key, std::string_view value);
    ObjectWriter& numbers(std::string_view key, const std::vector<std::uint32_t>& values);
    ObjectWriter& texts(std::string_view key, const std::vector<std::string>& values);
    /// The line; the writer is empty after it.
    std::string finish(std::string_view after = {});

private:
    void begin(std::string_view key);
    void quote(std::string_view value);

    std::string out_;
    bool first_ = true;
};

}  // namespace vitalwire::wire
