#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/token_bucket.hpp"
#include "host/channels/epoll_poller.hpp"
#include "runtime/timer.hpp"
#include "wire/line_framer.hpp"

namespace vitalwire::host {

/// Lines over a connection to a UNIX stream socket on which somebody else (QEMU) listens. Connects, again and again
/// with back-off, until closed. Everything is bounded: the length of a line, what is read in one turn of the loop, what
/// is read a second (beyond four times its rate the connection is not read for a while, which stops the sender too),
/// what waits to be written. All calls and callbacks are on the loop's thread; no callback comes from inside a call,
/// except from `read_now`, and `on_not_read` from `send`.
class LineConnection final : public EpollPoller::Watcher, public std::enable_shared_from_this<LineConnection> {
public:
    struct Limits {
        std::size_t max_line = 4096;
        double bytes_per_second = 256.0 * 1024;  ///< burst: one turn's reading, or twice this
        std::size_t queue = 64UL * 1024;         ///< bytes that wait to be written
    };

    class Handler {
    public:
        virtual ~Handler() = default;
        virtual void on_up() = 0;
        virtual void on_down(const std::string& why) = 0;
        /// A try to connect failed with this errno; the next comes by itself.
        virtual void on_unreachable(int error) = 0;
        virtual void on_line(std::string_view line) = 0;
        virtual void on_overlong_lines(std::uint64_t count) = 0;
        /// The peer sends so much that it is not read for a while.
        virtual void on_throttled() = 0;
        /// The peer does not read: so many of our messages were given up.
        virtual void on_not_read(std::uint64_t messages) = 0;
        /// All that waited to be written is written.
        virtual void on_drained() {}
    };

    /// A message that another one makes pointless (a challenge) waits in the queue at most once. It waits for the end
    /// of the turn, when those of all connections are written together.
    enum class Keep : std::uint8_t { all, latest };

    ~LineConnection();
    LineConnection(const LineConnection&) = delete;
    LineConnection& operator=(const LineConnection&) = delete;
    static std::shared_ptr<LineConnection> make(boost::asio::io_context& io, std::string path, Limits limits,
                                                Handler& handler);

    void start();
    void set_bytes_per_second(double bytes_per_second);
    /// Ends it for good; the handler is not called any more.
    void close();
    /// Connects to this socket only (FileIdentity::text), and waits while another one, or none, is at its path. Empty:
    /// to whichever is there.
    void accept_only(std::string socket) { only_ = std::move(socket); }
    /// Connects at once instead of after the back-off: the socket was made again. A connection to the one before it is
    /// given up: who was there is not there any more, though it may not have ended (it hangs).
    void retry_now();
    /// Writes a whole message, its newlines included. When the queue is full the oldest messages give way.
    void send(std::string message, Keep keep = Keep::all);
    /// Reads now what has arrived, without waiting for the loop or for the end of a pause.
    void read_now();
    /// The peer has sent more than `bytes_per_second` lately: what it is not to be judged by need not be read.
    bool above_rate() const { return above_rate_; }

    bool up() const { return fd_ >= 0; }
    /// Nothing waits to be written.
    bool idle() const { return queue_.empty(); }
    const std::string& path() const { return path_; }
    /// The socket to which it is, or was last, connected.
    const std::string& socket() const { return connected_to_; }

private:
    LineConnection(boost::asio::io_context& io, std::string path, Limits limits, Handler& handler);

    struct Message {
        std::string bytes;
        Keep keep;
    };

    void connect();
    void back_off(int error);
    void on_read(std::string_view bytes, int error) override;
    void on_writable() override;
    void update_interest();
    void deliver(std::string_view bytes);
    void pause_reading(base::Duration pause);
    void flush();
    bool write_some(std::string_view bytes, std::size_t& written);
    void enqueue(std::string message, Keep keep);
    void drop(const std::string& why);
    void drop_later(const std::string& why);
    void hear_out(const std::string& why);
    void reset();

    EpollPoller& poller_;
    int fd_ = -1;
    std::string connected_to_;  ///< FileIdentity::text
    std::string only_;
    boost::asio::io_context& io_;
    runtime::Timer timer_;  ///< back-off while down, pause of reading while up
    std::string path_;
    Limits limits_;
    Handler* handler_;
    wire::LineFramer framer_;
    base::TokenBucket bytes_;
    base::TokenBucket read_bytes_;  ///< beyond it, it is not read
    std::vector<Message> queue_;    ///< the first may be written in part
    std::size_t queued_bytes_ = 0;
    std::size_t written_ = 0;  ///< of the first message
    std::uint64_t overlong_told_ = 0;
    std::uint64_t connection_ = 0;  ///< which one: handlers of an earlier one do nothing
    base::Millis retry_after_;
    base::TimePoint up_since_{};
    bool closed_ = false;
    bool paused_ = false;
    bool above_rate_ = false;
};

}  // namespace vitalwire::host
