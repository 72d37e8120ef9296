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
#include "bus/transport.hpp"
#include "runtime/timer.hpp"
#include "wire/line_framer.hpp"

namespace vitalwire::bus {

/// One connection of a stream transport: lines out and in, a bounded queue, keep-alives. Both sides send a ping when
/// they open and regularly after it. A ping tells the peer after how much silence it is taken for gone, and the peer
/// pings three times in that. Who judges a silence is above us; here the connection of a peer that is silent for much
/// longer is closed. However much a peer sends, it is handled by a bounded part in each turn of the loop. No callback
/// comes from within a call, and none after on_closed, finish or close.
class StreamConnection : public std::enable_shared_from_this<StreamConnection> {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        /// The peer has said something for the first time.
        virtual void on_open() = 0;
        virtual void on_line(std::string_view line) = 0;
        virtual void on_closed(const std::string& why) = 0;
        /// Something came from a peer that keeps alive as often as it was asked to.
        virtual void on_alive() {}
    };

    /// How often the peer is looked for, and how many times in vain. Counted in ticks of our own loop, not in time:
    /// when we stood still ourselves, the peer is not to blame.
    static constexpr base::Millis kTick{700};
    static constexpr int kSilentTicks = 4;

    StreamConnection(boost::asio::io_context& io, std::unique_ptr<ByteStream> stream, const TransportOptions& options,
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
    void handle();
    void take(std::string_view line);
    void append(std::string_view line);
    void write();
    void on_written(const boost::system::error_code& error);
    void tick();
    void on_tick();
    void keep_alive();
    void on_ping(base::Millis silence);

    boost::asio::io_context& io_;
    std::unique_ptr<ByteStream> stream_;
    std::size_t max_queue_;
    std::string ping_;         ///< ours
    base::Millis ping_every_;  ///< as the peer asks for
    Handler* handler_;         ///< null when nobody wants to hear from this connection any more
    runtime::Timer timer_;
    runtime::Timer ping_timer_;
    runtime::Timer turn_timer_;

    std::array<char, 16U << 10U> input_{};
    std::string_view unread_;  ///< of it, not handled yet
    wire::LineFramer framer_{kMaxBusMessage};
    bool peer_spoke_ = false;
    bool peer_keeps_alive_ = false;
    int silent_ticks_ = 0;

    std::string queue_;                 ///< waits
    std::string writing_;               ///< is being written
    std::size_t waiting_messages_ = 0;  ///< in both, without signs of life
    std::size_t writing_messages_ = 0;  ///< of them being written
    bool full_ = false;                 ///< that ended us
    bool write_scheduled_ = false;
    bool ready_ = false;  ///< the handshake is done
    bool finishing_ = false;
    bool closed_ = false;
};

}  // namespace vitalwire::bus
