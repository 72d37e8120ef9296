#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vitalwire::wire {

/// Cuts a byte stream into lines. Empty lines and a trailing CR are dropped; a line of more than `max_line` bytes is
/// skipped up to its newline and counted, so memory stays bounded whatever the peer sends. One framer per connection:
/// its state must die with the connection.
class LineFramer {
public:
    explicit LineFramer(std::size_t max_line) : max_line_(max_line) {}

    /// Calls `on_line(std::string_view)` for each line that `bytes` completes; the view is valid during the call only.
    template <class OnLine>
    void feed(std::string_view bytes, OnLine&& on_line) {
        while (!bytes.empty()) {
            const std::size_t newline = bytes.find('\n');
            if (newline == std::string_view::npos) return keep(bytes);
            finish_line(bytes.substr(0, newline), on_line);
            bytes.remove_prefix(newline + 1);
        }
    }

    /// Lines skipped because they were too long.
    std::uint64_t overlong_lines() const { return overlong_lines_; }

    void reset() {
        partial_.clear();
        skipping_ = false;
    }

private:
    void keep(std::string_view bytes) {
        if (skipping_) return;
        if (partial_.size() + bytes.size() > max_line_) return skip();
        partial_ += bytes;
    }

    void skip() {
        skipping_ = true;
        ++overlong_lines_;
        partial_.clear();
    }

    template <class OnLine>
    void finish_line(std::string_view tail, OnLine& on_line) {
        if (skipping_) {
            skipping_ = false;
            return;
        }
        if (partial_.size() + tail.size() > max_line_) {
            skip();
            skipping_ = false;
            return;
        }
        if (partial_.empty()) return deliver(tail, on_line);
        partial_ += tail;
        const std::string line = std::move(partial_);
        partial_.clear();
        deliver(line, on_line);
    }

    template <class OnLine>
    static void deliver(std::string_view line, OnLine& on_line) {
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        if (!line.empty()) on_line(line);
    }

    std::size_t max_line_;
    std::string partial_;
    bool skipping_ = false;
    std::uint64_t overlong_lines_ = 0;
};

}  // namespace vitalwire::wire
