#include "base/line_buffer.hpp"

#include <algorithm>

namespace vitalwire::base {

LineBuffer::LineBuffer(std::size_t capacity) : ring_(std::max(capacity, kMaxLine)) {}

void LineBuffer::push(std::string_view prefix, std::string_view line) {
    prefix = prefix.substr(0, kMaxLine - 1);
    line = line.substr(0, kMaxLine - 1 - prefix.size());
    while (ring_.size() - size_ < prefix.size() + line.size() + 1)
        drop_oldest();
    append(prefix);
    append(line);
    at(size_++) = '\n';
}

void LineBuffer::append(std::string_view text) {
    for (const char c : text)
        at(size_++) = c == '\n' ? ' ' : c;
}

void LineBuffer::drop_oldest() {
    std::size_t length = 1;
    while (at(length - 1) != '\n')
        ++length;
    head_ = (head_ + length) % ring_.size();
    size_ -= length;
    ++dropped_;
}

std::size_t LineBuffer::pop(std::span<char> to) {
    std::size_t whole = 0;
    for (std::size_t i = 0; i < std::min(size_, to.size()); ++i) {
        to[i] = at(i);
        if (to[i] == '\n') whole = i + 1;
    }
    head_ = (head_ + whole) % ring_.size();
    size_ -= whole;
    return whole;
}

}  // namespace vitalwire::base
