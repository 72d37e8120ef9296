#pragma once

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <cstdlib>
#include <functional>
#include <utility>

namespace vitalwire::bench {

/// Of a program on an event loop whose only command is to say how far it is: `answer` for each line on standard input.
/// The program ends with that input.
class Commands {
public:
    Commands(boost::asio::io_context& io, std::function<void()> answer)
        : answer_(std::move(answer)), input_(io, ::dup(STDIN_FILENO)) {
        await();
    }

private:
    void await() {
        boost::asio::async_read_until(input_, lines_, '\n', [this](const auto& error, std::size_t size) {
            if (error) std::exit(0);  // nobody asks any more
            lines_.consume(size);
            answer_();
            await();
        });
    }

    std::function<void()> answer_;
    boost::asio::posix::stream_descriptor input_;
    boost::asio::streambuf lines_;
};

}  // namespace vitalwire::bench
