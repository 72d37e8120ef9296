#include "runtime/admission.hpp"

#include <boost/asio/post.hpp>
#include <list>
#include <utility>

#include "runtime/timer.hpp"

namespace vitalwire::runtime {

namespace asio = boost::asio;
using base::Result;
using boost::system::error_code;

class Admission::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(asio::io_context& io, Listener listener) : io_(io), listener_(std::move(listener)), silence_(io) {}

    void start() {
        listener_.accept([this, weak = weak_from_this()](Socket socket, std::string peer) {
            if (weak.expired()) return;
            take(std::move(socket), std::move(peer));
            start();
        });
    }

    void accept(Accepted accepted) {
        accepted_ = std::move(accepted);
        asio::post(io_, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->hand_over();
        });
    }

    void close() {
        listener_.close();
        silence_.cancel();
        accepted_ = nullptr;
        waiting_.clear();
    }

    const Listener& listener() const { return listener_; }
    std::uint64_t refused() const { return refused_; }

private:
    struct Waiting {
        Socket socket;
        std::string peer;
        base::TimePoint since;
        std::uint64_t number;
        bool ready = false;
    };
    using Place = std::list<Waiting>::iterator;

    void take(Socket socket, std::string peer) {
        waiting_.push_back({std::move(socket), std::move(peer), base::Clock::now(), ++last_number_});
        const auto place = std::prev(waiting_.end());
        place->socket.async_wait(asio::socket_base::wait_read,
                                 [weak = weak_from_this(), number = last_number_](error_code error) {
                                     if (const auto self = weak.lock(); self && !error) self->on_readable(number);
                                 });
        if (waiting_.size() > kMaxWaiting) refuse_one();
        if (waiting_.size() == 1) watch_silence();
    }

    void refuse_one() {
        waiting_.erase(oldest_of_busiest(waiting_, [](const Waiting& one) { return one.peer; }));
        ++refused_;
    }

    void on_readable(std::uint64_t number) {
        for (Waiting& one : waiting_) {
            if (one.number == number) one.ready = true;
        }
        hand_over();
    }

    void hand_over() {
        if (!accepted_) return;
        const auto next = next_in_turn();
        if (next == waiting_.end()) return;
        Waiting one = std::move(*next);
        waiting_.erase(next);
        last_peer_ = one.peer;
        std::exchange(accepted_, nullptr)(std::move(one.socket), std::move(one.peer));
    }

    /// The oldest that is ready, of the address that comes after the last one served.
    Place next_in_turn() {
        Place later = waiting_.end();
        Place first = waiting_.end();
        for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
            if (!at->ready) continue;
            Place& best = at->peer > last_peer_ ? later : first;
            if (best == waiting_.end() || at->peer < best->peer) best = at;
        }
        return later != waiting_.end() ? later : first;
    }

    void watch_silence() {
        if (waiting_.empty()) return;
        silence_.after(kMaxSilence / 6, [this] {
            const auto limit = base::Clock::now() - kMaxSilence;
            refused_ += std::erase_if(waiting_, [&](const Waiting& one) { return !one.ready && one.since < limit; });
            watch_silence();
        });
    }

    asio::io_context& io_;
    Listener listener_;
    Timer silence_;
    Accepted accepted_;
    std::list<Waiting> waiting_;  ///< in order of arrival
    std::uint64_t last_number_ = 0;
    std::string last_peer_;
    std::uint64_t refused_ = 0;
};

Result<Admission> Admission::open(asio::io_context& io, const std::string& address) {
    auto listener = Listener::open(io, address);
    if (!listener) return tl::make_unexpected(listener.error());
    auto impl = std::make_shared<Impl>(io, std::move(*listener));
    impl->start();
    return Admission(std::move(impl));
}

Admission::Admission(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Admission::~Admission() {
    if (impl_) impl_->close();
}
void Admission::accept(Accepted accepted) {
    impl_->accept(std::move(accepted));
}
const std::string& Admission::address() const {
    return impl_->listener().address();
}
const std::string& Admission::problem() const {
    return impl_->listener().problem();
}
std::uint64_t Admission::refused() const {
    return impl_->refused();
}
void Admission::close() {
    impl_->close();
}

}  // namespace vitalwire::runtime
