#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "guest/channel.hpp"

namespace vitalwire::guest {

/// One open, non-blocking descriptor of a channel: a virtio-serial port or a connected UNIX socket.
///
/// The descriptor sits in an epoll set of its own, edge-triggered, and the event loop waits for that set: a port
/// without a host is always "readable" (POLLHUP) and would keep any level-triggered loop busy, while the kernel still
/// tells the edge when a host comes back. Room to write is waited for only when that matters: otherwise each answer
/// that the host reads would wake the guest a second time.
class Stream : public std::enable_shared_from_this<Stream> {
public:
    struct Handler {
        std::function<void(std::string_view)> on_bytes;
        std::function<void()> on_open;     ///< a host is at the other end
        std::function<void()> on_hang_up;  ///< no host at the other end; a port may see one again
        std::function<void(int)> on_gone;  ///< errno: the descriptor is of no more use
    };

    /// What may wait to be written, one answer excepted: a host that does not read costs no more than this.
    static constexpr std::size_t kMaxQueued = 64UL * 1024;
    /// Of it, what messages of applications may take.
    static constexpr std::size_t kMaxBulk = 56UL * 1024;

    /// Takes ownership of `descriptor`, and closes it where it fails: the system is at a limit, or the descriptor is of
    /// a file, for which nobody can wait.
    static base::Result<std::shared_ptr<Stream>> make(boost::asio::io_context& io, int descriptor, Handler handler);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    void start();
    bool send(std::string message, Priority priority);
    /// Closes the descriptor; no handler is called after it.
    void close();

private:
    struct Message {
        std::string bytes;
        Priority priority;
    };
    enum class Host { unknown, there, away };
    enum class ReadResult { quiet, more, hung_up, gone };

    Stream(boost::asio::io_context& io, int descriptor, Handler handler);
    base::Result<void> make_edge_set();
    void wait();
    void look();
    ReadResult read_some();
    void opened();
    void hung_up();
    void flush();
    void watch_room();
    std::deque<Message>::iterator first_unbegun();
    void drop_earlier_answer();

    boost::asio::io_context& io_;
    int descriptor_;
    boost::asio::posix::stream_descriptor edges_;
    Handler handler_;
    Host host_ = Host::unknown;
    bool reading_ = false;
    bool watches_room_ = true;
    bool closed_ = false;
    int gone_ = 0;
    std::deque<Message> queue_;
    std::size_t queued_bytes_ = 0;
    std::size_t written_of_first_ = 0;
};

}  // namespace vitalwire::guest
