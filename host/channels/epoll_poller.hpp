#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

struct epoll_event;

namespace vitalwire::host {

/// Reads from very many sockets and tells when there is room to write, all of them with one wait of the loop's: a wait
/// of Asio's for each would cost two system calls more for each beat of each guest. Those that are ready together are
/// read before the first of them is told, and what is to be written soon is written together: code that runs once
/// between two system calls costs several times what it costs in a row. Level-triggered: what is not read is told in
/// the next turn. There is one for each io_context, `boost::asio::use_service<EpollPoller>(io)`; on the loop's thread
/// only.
class EpollPoller : public boost::asio::execution_context::service {
public:
    static boost::asio::execution_context::id id;
    /// Of one descriptor at once.
    static constexpr std::size_t kReadSize = 64UL * 1024;

    class Watcher {
    public:
        /// What has arrived, valid during the call. Nothing: the other side has ended (0), or this is broken (errno).
        virtual void on_read(std::string_view bytes, int error) = 0;
        virtual void on_writable() = 0;

    protected:
        ~Watcher() = default;
    };

    struct Interest {
        bool read = false;
        bool write = false;
        friend bool operator==(const Interest&, const Interest&) = default;
    };

    /// What has arrived; nothing in it: the other side has ended (0), or this is broken (errno).
    struct Got {
        std::string_view bytes;
        int error = 0;
    };

    explicit EpollPoller(boost::asio::execution_context& context);

    /// Reads into `into`, which has room for kReadSize, without waiting; absent when nothing has arrived.
    static std::optional<Got> read(int fd, char* into);

    /// Tells `watcher` from now on, until `forget`, which has to come before the descriptor is closed. Called again it
    /// changes the interest. Without any interest it is forgotten: an end would be reported again and again. The errno,
    /// or 0.
    int watch(int fd, Interest interest, std::weak_ptr<Watcher> watcher);
    void forget(int fd);
    /// Tells the watcher at the end of this turn that it may write, with all others that asked; without a wait for
    /// room.
    void write_soon(int fd);

private:
    void shutdown() override;
    void arm();
    void serve_ready();
    std::size_t serve(std::span<const epoll_event> events);
    void write_together();

    /// One descriptor, for as long as it is watched: its number may be another's in the same turn.
    struct Watch {
        int fd;
        std::uint64_t serial;
    };
    struct Reading {
        Watch watch;
        std::optional<Got> got;
        bool writable;
    };
    struct Watched {
        std::weak_ptr<Watcher> watcher;
        std::uint64_t serial = 0;  ///< 0: not watched
        Interest interest;
    };

    const Watched* watched(int fd) const;
    std::shared_ptr<Watcher> watcher(Watch watch) const;
    Reading read_ready(const epoll_event& event, char* into) const;

    boost::asio::io_context& io_;
    boost::asio::posix::stream_descriptor epoll_;
    std::vector<Watched> by_fd_;  ///< the kernel gives the lowest numbers that are free
    std::unique_ptr<char[]> buffer_;
    std::vector<Reading> readings_;
    std::vector<Watch> to_write_;
    std::vector<Watch> writing_;  ///< those of before; kept for its memory
    std::uint64_t last_serial_ = 0;
    std::size_t watched_ = 0;
    bool armed_ = false;
};

}  // namespace vitalwire::host
