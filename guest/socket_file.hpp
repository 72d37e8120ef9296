#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>

#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// The file of a socket that listens: where it is removed, as a cleaner of /run does, nobody can connect, and the one
/// that listens is not told. So it is looked for every two seconds.
class SocketFile {
public:
    explicit SocketFile(boost::asio::io_context& io) : look_(io) {}

    /// It was just made at `path`. `on_lost` is called once, when it is not there any more.
    void watch(std::string path, std::function<void()> on_lost);
    /// Removes it, where nobody has put another one in its place.
    void remove();

private:
    bool is_there() const;
    void look();

    runtime::Timer look_;
    std::string path_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    std::function<void()> on_lost_;
};

}  // namespace vitalwire::guest
