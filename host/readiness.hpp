#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstddef>
#include <memory>
#include <vector>

namespace vitalwire::host {

/// Tells which of very many descriptors are ready, all of them with one wait of the loop's: a wait of Asio's for each
/// would cost two system calls more for each beat of each guest. Level-triggered: what is not read is told again in the
/// next turn. There is one for each io_context, `boost::asio::use_service<Readiness>(io)`; on the loop's thread only.
class Readiness : public boost::asio::execution_context::service {
public:
    static boost::asio::execution_context::id id;

    class Watcher {
    public:
        /// The other side's end counts as readable.
        virtual void on_ready(bool readable, bool writable) = 0;

    protected:
        ~Watcher() = default;
    };

    struct Interest {
        bool read = false;
        bool write = false;
    };

    explicit Readiness(boost::asio::execution_context& context);

    /// Tells `watcher` from now on, until `forget`, which has to come before the descriptor is closed. Called again it
    /// changes the interest. Without any interest it is forgotten: an end would be told again and again. The errno, or
    /// 0.
    int watch(int fd, Interest interest, std::weak_ptr<Watcher> watcher);
    void forget(int fd);

private:
    void shutdown() override;
    void arm();
    void tell();

    bool watches(int fd) const;

    struct Watched {
        std::weak_ptr<Watcher> watcher;
        bool watched = false;
    };

    boost::asio::posix::stream_descriptor epoll_;
    std::vector<Watched> by_fd_;  ///< the kernel gives the lowest numbers that are free
    std::size_t watched_ = 0;
    bool armed_ = false;
};

}  // namespace vitalwire::host
