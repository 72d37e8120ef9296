#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "bus/byte_stream.hpp"
#include "bus/messages.hpp"
#include "runtime/timer.hpp"
#include "wire/line_framer.hpp"

namespace vitalwire::bus {

/// One connection of a stream transport: lines out and in, a bounded queue, signs of life. Both sides send a ping when
/// they open and whenever they have said nothing for a while; a peer that says nothing is dead. No callback comes from
/// within a call, and none after on_closed, finish or close.
class StreamConnection : public std::enable_shared_from_this<StreamConnection> {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        /// The peer has said something for the first time.
        virtual void on_open() = 0;
        virtual void on_line(std::string_view line) = 0;
        virtual void on_closed(const std::string& why) = 0;
    };

    /// How often life is looked for, and how many times in vain. Counted in ticks of our own loop, not in time: when we
    /// stood still ourselves, the peer is not to blame.
    static constexpr base::Millis kTick{700};
    static constexpr int kSilentTicks = 4;

    StreamConnection(boost::asio::io_context& io, std::unique_ptr<ByteStream> stream, std::size_t max_queue,
                     Handler& handler);

    void open();
    /// `line` without its newline. Returns how many messages a full queue has lost with it: all that wait and this one,
    /// then the connection ends, and whatever else is sent before on_closed says so.
    std::size_t send(std::string_view line);
    /// Ends the connection when everything queued is sent; `send` does nothing from here on.
    void finish();
    void close();
    /// Ends it as on a failure: on_closed follows.
    void fail(const std::string& why);

    const ByteStream& stream() const { return *stream_; }

private:
    void on_handshake(const boost::system::error_code& error);
    void read();
    void on_read(const boost::system::error_code& error, std::size_t size);
    void take(std::string_view line);
    void append(std::string_view line);
    void write();
    void on_written(const boost::system::error_code& error);
    void tick();
    void on_tick();

    boost::asio::io_context& io_;
    std::unique_ptr<ByteStream> stream_;
    std::size_t max_queue_;
    Handler* handler_;  ///< null when nobody wants to hear from this connection any more
    runtime::Timer timer_;

    std::array<char, 16U << 10U> input_{};
    wire::LineFramer framer_{kMaxBusMessage};
    bool peer_spoke_ = false;
    int silent_ticks_ = 0;

    std::string queue_;                 ///< waits
    std::string writing_;               ///< is being written
    std::size_t waiting_messages_ = 0;  ///< in both, without signs of life
    std::size_t writing_messages_ = 0;  ///< of them being written
    bool full_ = false;                 ///< that ended us
    bool write_scheduled_ = false;
    bool said_something_ = false;
    bool ready_ = false;  ///< the handshake is done
    bool finishing_ = false;
    bool closed_ = false;
};

}  // namespace vitalwire::bus
