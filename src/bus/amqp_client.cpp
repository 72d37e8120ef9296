#include "bus/amqp_client.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <string_view>
#include <thread>
#include <utility>

#include "base/log.hpp"
#include "bus/messages.hpp"

namespace vitalwire::bus {

using base::Millis;
using base::Result;
using runtime::AmqpBroker;
using runtime::AmqpEvent;
using runtime::AmqpMessage;
using runtime::AmqpSession;

namespace {

/// The library answers for heartbeats only when it is called.
constexpr Millis kLongestSleep{500};
constexpr Millis kFirstPause{50};
constexpr Millis kLongestPause{2'000};
constexpr Millis kRenewEvery{5'000};
/// Events handed to the event loop at once, and the bytes that may wait there before the socket is left alone: while
/// a hundred agents send a full resync, others want to be served between two pieces.
constexpr std::size_t kBatch = 500;
constexpr std::size_t kBatchBytes = 64U << 10U;
constexpr std::size_t kMaxUndelivered = 512U << 10U;
/// What may wait for the socket; beyond it messages are dropped, and the reader of a stream notices the gap. It ends
/// with the connection, at the latest when the broker has been silent for two heartbeats.
constexpr std::size_t kMaxOutgoing = 64U << 20U;
/// Of a message that weighs little more than its properties.
constexpr std::size_t kEventOverhead = 256;

/// Names a queue that nobody else can have guessed.
std::string random_name() {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::random_device random;
    std::string name;
    for (int word = 0; word < 4; ++word) {
        std::uint32_t bits = random();
        for (int digit = 0; digit < 8; ++digit, bits >>= 4U)
            name += kDigits[bits & 0xFU];
    }
    return name;
}

std::size_t weight(const AmqpEvent& event) {
    return event.message.body.size() + kEventOverhead;
}

}  // namespace

class AmqpClient::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(boost::asio::io_context& io, Options options) : io_(io), options_(std::move(options)) {}

    void start(Handler& handler) {
        handler_ = &handler;
        thread_ = std::thread([this] { run(); });
    }

    void stop() {
        handler_ = nullptr;
        connection_ = 0;
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        bell_.ring();
        if (thread_.joinable()) thread_.join();
    }

    void use(std::vector<AmqpBroker> brokers, runtime::AmqpAccess access) {
        {
            const std::lock_guard lock(mutex_);
            options_.brokers = std::move(brokers);
            options_.access = std::move(access);
            ++changes_;
        }
        changed_.notify_all();
        bell_.ring();
    }

    void send(AmqpMessage message, std::function<void()> sent) {
        add({std::move(message), std::move(sent), 0, connection_});
    }
    void acknowledge(std::uint64_t tag) { add({{}, nullptr, tag, connection_}); }
    std::uint64_t dropped() const { return dropped_; }

private:
    /// Wakes up a thread that sleeps in poll().
    class Bell {
    public:
        Bell() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
        ~Bell() { ::close(fd_); }
        Bell(const Bell&) = delete;
        Bell& operator=(const Bell&) = delete;

        int fd() const { return fd_; }
        void ring() const { ::eventfd_write(fd_, 1); }
        void silence() const {
            eventfd_t count = 0;
            ::eventfd_read(fd_, &count);
        }

    private:
        int fd_;
    };

    struct Outgoing {
        AmqpMessage message;
        std::function<void()> sent;
        std::uint64_t acknowledged = 0;  ///< instead of a message
        std::uint64_t connection = 0;    ///< the one that it was meant for
    };

    void add(Outgoing outgoing) {
        if (connection_ == 0) return;
        bool first = false;
        bool full = false;
        {
            const std::lock_guard lock(mutex_);
            first = outgoing_.empty();
            full = outgoing_bytes_ > kMaxOutgoing;
            if (!full) {
                outgoing_bytes_ += outgoing.message.body.size() + kEventOverhead;
                outgoing_.push_back(std::move(outgoing));
            }
        }
        if (full) return note_full();
        if (first) bell_.ring();
    }

    void note_full() {
        ++dropped_;
        if (std::exchange(full_on_, connection_) == connection_) return;
        log::warning("the broker does not take what is sent to it, dropping messages",
                     {{"bytes_waiting", kMaxOutgoing}});
    }

    void run() {
        Millis backoff = kFirstPause;
        for (std::size_t turn = 0; !stopping(); ++turn) {
            const auto [broker, access] = next(turn);
            const std::string queue = options_.queue_prefix + random_name();
            AmqpSession session(access);
            auto result = session.open(broker);
            if (result) result = options_.prepare(session, queue);
            if (result) {
                const std::uint64_t connection = turn + 1;
                blocked_.clear();
                tell([this, queue, connection] {
                    connection_ = connection;
                    handler_->on_connected(queue);
                });
                const base::TimePoint connected_at = base::Clock::now();
                renewed_at_ = connected_at;
                result = talk(session, {connection, queue, broker});
                if (result) session.close();
                // One that is ended at once, again and again, is no better than none.
                if (base::Clock::now() - connected_at >= kLongestPause) backoff = kFirstPause;
            }
            if (stopping()) return;
            tell([this, why = "broker " + broker.where() + ": " + result.error().message] {
                connection_ = 0;
                handler_->on_lost(why);
            });
            pause(some_of(backoff));
            backoff = std::min(backoff * 2, kLongestPause);
        }
    }

    std::pair<AmqpBroker, runtime::AmqpAccess> next(std::size_t turn) {
        const std::lock_guard lock(mutex_);
        changes_seen_ = changes_;
        return {options_.brokers[turn % options_.brokers.size()], options_.access};
    }

    bool is_wanted(const AmqpBroker& broker) {
        const std::lock_guard lock(mutex_);
        return std::find(options_.brokers.begin(), options_.brokers.end(), broker) != options_.brokers.end();
    }

    struct Connection {
        std::uint64_t number;
        std::string queue;
        AmqpBroker broker;
    };

    /// Ends without an error when this client is to end.
    Result<void> talk(AmqpSession& session, const Connection& connection) {
        while (true) {
            const bool last = stopping();
            if (!is_wanted(connection.broker)) {
                session.close();
                return base::fail(base::Errc::unavailable, "it is no longer configured");
            }
            if (auto sent = send_waiting(session, connection.number); !sent || last) return sent;
            if (auto renewed = renew(session, connection.queue); !renewed) return renewed;
            const bool room = has_room();
            if (room) {
                auto more = receive(session);
                if (!more) return tl::make_unexpected(more.error());
                report_blocked(session);
                if (*more) continue;
            }
            sleep(session, room);
        }
    }

    /// A broker that takes nothing would not answer. What arrives before its answer is received after it.
    Result<void> renew(AmqpSession& session, const std::string& queue) {
        const base::TimePoint now = base::Clock::now();
        if (!options_.renew || !blocked_.empty() || now - renewed_at_ < kRenewEvery) return {};
        renewed_at_ = now;
        return options_.renew(session, queue);
    }

    Result<void> send_waiting(AmqpSession& session, std::uint64_t connection) {
        std::vector<Outgoing> waiting;
        {
            const std::lock_guard lock(mutex_);
            waiting.swap(outgoing_);
            outgoing_bytes_ = 0;
        }
        std::vector<std::function<void()>> sent;
        for (Outgoing& outgoing : waiting) {
            if (outgoing.connection != connection) continue;
            auto done = outgoing.acknowledged != 0 ? session.acknowledge(outgoing.acknowledged, false)
                                                   : session.publish(outgoing.message);
            if (!done) return done;
            if (outgoing.sent) sent.push_back(std::move(outgoing.sent));
        }
        if (sent.empty()) return {};
        tell([sent = std::move(sent)] {
            for (const auto& call : sent)
                call();
        });
        return {};
    }

    /// What has arrived; true when there may be more.
    Result<bool> receive(AmqpSession& session) {
        std::vector<AmqpEvent> events;
        std::size_t bytes = 0;
        while (events.size() < kBatch && bytes < kBatchBytes) {
            auto event = session.next(Millis(0), kMaxBusMessage);
            if (!event) return tl::make_unexpected(event.error());
            if (!*event) break;
            bytes += weight(**event);
            events.push_back(std::move(**event));
        }
        const bool more = events.size() == kBatch || bytes >= kBatchBytes;
        if (!events.empty()) hand_over(std::move(events), bytes);
        return more;
    }

    void report_blocked(const AmqpSession& session) {
        if (session.blocked() == blocked_) return;
        blocked_ = session.blocked();
        tell([this, why = blocked_] { handler_->on_blocked(why); });
    }

    void hand_over(std::vector<AmqpEvent> events, std::size_t bytes) {
        {
            const std::lock_guard lock(mutex_);
            undelivered_ += bytes;
        }
        boost::asio::post(io_, [self = shared_from_this(), events = std::move(events), bytes] {
            for (const AmqpEvent& event : events) {
                if (self->handler_ == nullptr) return;
                self->handler_->on_event(event);
            }
            self->delivered(bytes);
        });
    }

    void delivered(std::size_t bytes) {
        bool had_room = false;
        {
            const std::lock_guard lock(mutex_);
            had_room = undelivered_ < kMaxUndelivered;
            undelivered_ -= bytes;
        }
        if (!had_room) bell_.ring();
    }

    bool has_room() {
        const std::lock_guard lock(mutex_);
        return undelivered_ < kMaxUndelivered;
    }

    void sleep(const AmqpSession& session, bool read) {
        std::array<pollfd, 2> wait{{{bell_.fd(), POLLIN, 0}, {session.socket(), POLLIN, 0}}};
        ::poll(wait.data(), read ? 2 : 1, static_cast<int>(kLongestSleep.count()));
        bell_.silence();
    }

    /// So that a thousand agents do not come back in the same moment.
    Millis some_of(Millis time) {
        return Millis(std::uniform_int_distribution<Millis::rep>(time.count() / 2, time.count())(random_));
    }

    void pause(Millis time) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, time, [this] { return stopping_ || changes_ != changes_seen_; });
    }

    bool stopping() {
        const std::lock_guard lock(mutex_);
        return stopping_;
    }

    /// On the event loop, unless stopped by then.
    template <class Call>
    void tell(Call call) {
        boost::asio::post(io_, [self = shared_from_this(), call = std::move(call)]() mutable {
            if (self->handler_ != nullptr) call();
        });
    }

    boost::asio::io_context& io_;
    Options options_;  ///< brokers and access are of both threads
    // Of the event loop.
    Handler* handler_ = nullptr;
    std::uint64_t connection_ = 0;  ///< 0: none
    std::uint64_t full_on_ = 0;     ///< the last one that was told to be full
    std::uint64_t dropped_ = 0;
    // Of both threads.
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false;
    std::uint64_t changes_ = 0;       ///< of brokers and access
    std::uint64_t changes_seen_ = 0;  ///< by the thread, before its last attempt
    std::vector<Outgoing> outgoing_;
    std::size_t outgoing_bytes_ = 0;
    std::size_t undelivered_ = 0;
    Bell bell_;
    std::minstd_rand random_{std::random_device{}()};  ///< of the thread
    std::string blocked_;                              ///< of the thread: what the event loop knows
    base::TimePoint renewed_at_{};                     ///< of the thread
    std::thread thread_;
};

AmqpClient::AmqpClient(boost::asio::io_context& io, Options options)
    : impl_(std::make_shared<Impl>(io, std::move(options))) {}

AmqpClient::~AmqpClient() {
    impl_->stop();
}

void AmqpClient::start(Handler& handler) {
    impl_->start(handler);
}

void AmqpClient::stop() {
    impl_->stop();
}

void AmqpClient::use(std::vector<AmqpBroker> brokers, runtime::AmqpAccess access) {
    impl_->use(std::move(brokers), std::move(access));
}

void AmqpClient::publish(AmqpMessage message, std::function<void()> sent) {
    impl_->send(std::move(message), std::move(sent));
}

void AmqpClient::acknowledge(std::uint64_t tag) {
    impl_->acknowledge(tag);
}

std::uint64_t AmqpClient::dropped() const {
    return impl_->dropped();
}

}  // namespace vitalwire::bus
