#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace vitalwire::base {

/// Lines of text in a ring of fixed size. When it is full the oldest lines are dropped and counted: the newest say what
/// is wrong now.
class LineBuffer {
public:
    /// Longer lines are cut: a reader takes whole lines, and needs room for one.
    static constexpr std::size_t kMaxLine = 4096;

    explicit LineBuffer(std::size_t capacity);

    /// Appends `prefix` and `line` and ends the line. A line feed inside becomes a space: one call is one line.
    void push(std::string_view prefix, std::string_view line);
    /// Moves whole lines to `to`, which holds at least kMaxLine bytes, and returns how many bytes.
    std::size_t pop(std::span<char> to);

    bool empty() const { return size_ == 0; }
    std::uint64_t dropped() const { return dropped_; }

private:
    char& at(std::size_t offset) { return ring_[(head_ + offset) % ring_.size()]; }
    void append(std::string_view text);
    void drop_oldest();

    std::vector<char> ring_;
    std::size_t head_ = 0;
    std::size_t size_ = 0;
    std::uint64_t dropped_ = 0;
};

}  // namespace vitalwire::base
