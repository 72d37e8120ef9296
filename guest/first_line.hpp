#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <string>

namespace vitalwire::guest {

/// Reads a process's output, keeps its first line up to a bound, and throws the rest away, so that neither a chatty
/// process waits nor its output costs memory.
class FirstLine : public std::enable_shared_from_this<FirstLine> {
public:
    /// Takes ownership of `descriptor`, which does not block.
    FirstLine(boost::asio::io_context& io, int descriptor) : pipe_(io, descriptor) {}

    void start() { wait(); }
    /// Takes what is there now and stops reading. The line as read, without its newline.
    std::string finish();

private:
    enum class ReadResult { quiet, more, ended };

    void wait();
    ReadResult read_some();

    boost::asio::posix::stream_descriptor pipe_;
    std::string line_;
    bool complete_ = false;
};

}  // namespace vitalwire::guest
