#include "guest/first_line.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

namespace vitalwire::guest {

namespace {

/// More than a reason may have, so that cutting it is left to those who know how.
constexpr std::size_t kMaxLine = 1024;
/// Reads after the end of the process: enough for what a pipe holds, not for one who still writes.
constexpr int kReadsAfterEnd = 16;

}  // namespace

void FirstLine::wait() {
    pipe_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](boost::system::error_code error) {
                         if (error || !self->pipe_.is_open()) return;
                         if (self->read_some() != ReadResult::ended) self->wait();
                     });
}

FirstLine::ReadResult FirstLine::read_some() {
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(pipe_.native_handle(), buffer.data(), buffer.size());
    if (count < 0) return errno == EAGAIN || errno == EINTR ? ReadResult::quiet : ReadResult::ended;
    if (count == 0) return ReadResult::ended;
    if (complete_) return ReadResult::more;
    const std::string_view read(buffer.data(), static_cast<std::size_t>(count));
    const std::size_t newline = read.find('\n');
    line_ += read.substr(0, std::min(newline, kMaxLine - line_.size()));
    complete_ = newline != std::string_view::npos || line_.size() == kMaxLine;
    return ReadResult::more;
}

std::string FirstLine::finish() {
    for (int i = 0; i < kReadsAfterEnd && !complete_ && pipe_.is_open(); ++i) {
        if (read_some() != ReadResult::more) break;
    }
    boost::system::error_code ignored;
    pipe_.close(ignored);
    return line_;
}

}  // namespace vitalwire::guest
