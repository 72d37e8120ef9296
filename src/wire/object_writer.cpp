#include "wire/object_writer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "wire/json_reader.hpp"

namespace vitalwire::wire {

namespace {

constexpr std::size_t kUsualObject = 256;

bool needs_no_escape(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
}

}  // namespace

ObjectWriter::ObjectWriter(std::string before) : out_(std::move(before)) {
    out_.reserve(std::max(out_.capacity(), kUsualObject));
    out_ += '{';
}

void ObjectWriter::begin(std::string_view key) {
    out_ += std::exchange(first_, false) ? "\"" : ",\"";
    out_ += key;
    out_ += "\":";
}

void ObjectWriter::quote(std::string_view value) {
    if (!needs_no_escape(value)) {
        out_ += dump(nlohmann::json(value));
        return;
    }
    out_ += '"';
    out_ += value;
    out_ += '"';
}

ObjectWriter& ObjectWriter::number(std::string_view key, std::int64_t value) {
    begin(key);
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    out_.append(digits.data(), end);
    return *this;
}

ObjectWriter& ObjectWriter::flag(std::string_view key, bool value) {
    begin(key);
    out_ += value ? "true" : "false";
    return *this;
}

ObjectWriter& ObjectWriter::text(std::string_view key, std::string_view value) {
    begin(key);
    quote(value);
    return *this;
}

ObjectWriter& ObjectWriter::json(std::string_view key, std::string_view value) {
    begin(key);
    out_ += value;
    return *this;
}

ObjectWriter& ObjectWriter::numbers(std::string_view key, const std::vector<std::uint32_t>& values) {
    begin(key);
    out_ += '[';
    for (const std::uint32_t& value : values) {
        if (&value != &values.front()) out_ += ',';
        out_ += std::to_string(value);
    }
    out_ += ']';
    return *this;
}

ObjectWriter& ObjectWriter::texts(std::string_view key, const std::vector<std::string>& values) {
    begin(key);
    out_ += '[';
    for (const std::string& value : values) {
        if (&value != &values.front()) out_ += ',';
        quote(value);
    }
    out_ += ']';
    return *this;
}

std::string ObjectWriter::finish(std::string_view after) {
    out_ += '}';
    out_ += after;
    return std::move(out_);
}

}  // namespace vitalwire::wire
