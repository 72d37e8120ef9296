#include "controller/openstack/notification_feed.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "base/result.hpp"
#include "controller/openstack/nova_records.hpp"

namespace vitalwire::controller {

using base::Millis;
using base::Result;
using runtime::AmqpBroker;
using runtime::AmqpSession;

namespace {

/// Messages the broker sends ahead of our acknowledgement.
constexpr std::uint16_t kPrefetch = 500;
/// Messages handed to the event loop at once; as many batches may wait there before the thread stops reading.
constexpr std::size_t kBatch = 200;
constexpr std::size_t kBatchBytes = 4U << 20U;
constexpr std::size_t kWaitingBatches = 5;
/// How long the thread waits for a message before it checks whether it is to end.
constexpr Millis kWaitForMessage{200};
/// Who deletes Nova's exchange, or a binding, ends what arrives here, and who reads the queue as well takes a part of
/// it: no consumer is told.
constexpr Millis kCheckEvery{10'000};
constexpr Millis kFirstPause{500};
constexpr Millis kLongestPause{30'000};

/// One connection to a broker, up to and including the subscription. Used by one thread; every call has a deadline.
class Subscription {
public:
    explicit Subscription(const NotificationFeedConfig& config) : config_(config), session_(config.access) {}

    Result<void> open(const AmqpBroker& broker) {
        if (auto opened = session_.open(broker); !opened) return opened;
        // An exchange that is not there is named as such, with nothing of ours at the broker.
        if (auto found = session_.expect_exchange(config_.exchange); !found) return found;
        if (auto declared = declare_queue(); !declared) return declared;
        if (auto bound = bind(); !bound) return bound;
        if (auto limited = session_.prefetch(kPrefetch); !limited) return limited;
        return session_.consume(config_.queue, "notifications", true);
    }

    /// Has no effect unless a binding is gone. Fails when the exchange is.
    Result<void> bind() {
        if (auto found = session_.expect_exchange(config_.exchange); !found) return found;
        for (const std::string& topic : config_.topics) {
            if (auto bound = session_.bind(config_.queue, config_.exchange, topic + ".*"); !bound) return bound;
        }
        return {};
    }

    bool is_due() const { return base::Clock::now() - checked_at_ >= kCheckEvery; }

    /// Binds again; returns how many read the queue.
    Result<std::size_t> check() {
        checked_at_ = base::Clock::now();
        if (auto bound = bind(); !bound) return tl::make_unexpected(bound.error());
        return session_.consumers(config_.queue);
    }

    /// Empties `bodies` into which messages come, waiting for the first one only. Fails when the connection is lost.
    Result<void> read(std::vector<std::string>& bodies) {
        bodies.clear();
        std::uint64_t last_tag = 0;
        std::size_t size = 0;
        while (bodies.size() < kBatch && size < kBatchBytes) {
            // Of a longer one its reader needs to see only that it is too long.
            auto event = session_.next(bodies.empty() ? kWaitForMessage : Millis(0), kMaxNotification + 1);
            if (!event) return tl::make_unexpected(event.error());
            if (!*event) break;
            bodies.push_back(std::move((*event)->message.body));
            size += bodies.back().size();
            last_tag = (*event)->tag;
        }
        if (last_tag == 0) return {};
        return session_.acknowledge(last_tag, true);
    }

    void close() { session_.close(); }

private:
    Result<void> declare_queue() {
        AmqpSession::Queue queue;
        queue.replace = true;  // another queue_length or queue_expiry; what was in it, the inventory's poll finds
        queue.arguments["x-expires"] = config_.queue_expiry.count();
        queue.arguments["x-max-length"] = std::int64_t{config_.queue_length};
        return session_.declare_queue(config_.queue, queue);
    }

    const NotificationFeedConfig& config_;
    AmqpSession session_;
    base::TimePoint checked_at_ = base::Clock::now();
};

}  // namespace

class NotificationFeed::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(boost::asio::io_context& io, NotificationFeedConfig config, Handler handler)
        : io_(io), config_(std::move(config)), handler_(std::move(handler)), access_(config_.access) {}

    void start() {
        if (config_.brokers.empty()) return;
        thread_ = std::thread([this] { run(); });
    }

    void use(runtime::AmqpAccess access) {
        const std::lock_guard lock(mutex_);
        access_ = std::move(access);
    }

    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        if (thread_.joinable()) thread_.join();
    }

private:
    void run() {
        Millis backoff = kFirstPause;
        for (std::size_t turn = 0; !stopping(); ++turn) {
            const AmqpBroker& broker = config_.brokers[turn % config_.brokers.size()];
            const NotificationFeedConfig config = current();
            Subscription subscription(config);
            auto result = subscription.open(broker);
            if (result) {
                backoff = kFirstPause;
                post([this] { handler_.on_connected(); });
                result = consume(subscription);
                if (result) subscription.close();
            }
            if (stopping()) return;
            post([this, why = broker.where() + ": " + result.error().message] { handler_.on_lost(why); });
            pause(backoff);
            backoff = std::min(backoff * 2, kLongestPause);
        }
    }

    Result<void> consume(Subscription& subscription) {
        std::vector<std::string> bodies;
        std::size_t known_readers = 1;
        while (!stopping()) {
            if (subscription.is_due()) {
                const auto readers = subscription.check();
                if (!readers) return tl::make_unexpected(readers.error());
                if (std::exchange(known_readers, *readers) != *readers)
                    post([this, readers = *readers] { handler_.on_readers(readers); });
            }
            if (auto read = subscription.read(bodies); !read) return read;
            if (bodies.empty()) continue;
            wait_for_room();
            post([this, messages = std::move(bodies)] {
                handler_.on_messages(messages);
                const std::lock_guard lock(mutex_);
                --waiting_;
                changed_.notify_all();
            });
        }
        return {};
    }

    NotificationFeedConfig current() {
        const std::lock_guard lock(mutex_);
        NotificationFeedConfig config = config_;
        config.access = access_;
        return config;
    }

    void wait_for_room() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || waiting_ < kWaitingBatches; });
        ++waiting_;
    }

    void pause(Millis time) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, time, [this] { return stopping_; });
    }

    /// On the event loop, unless stopped by then.
    template <class Call>
    void post(Call call) {
        boost::asio::post(io_, [self = shared_from_this(), call = std::move(call)]() mutable {
            if (!self->stopping()) call();
        });
    }

    bool stopping() {
        const std::lock_guard lock(mutex_);
        return stopping_;
    }

    boost::asio::io_context& io_;
    const NotificationFeedConfig config_;
    const Handler handler_;
    std::mutex mutex_;
    runtime::AmqpAccess access_;
    std::condition_variable changed_;
    bool stopping_ = false;
    std::size_t waiting_ = 0;  ///< batches on their way to the event loop
    std::thread thread_;
};

NotificationFeed::NotificationFeed(boost::asio::io_context& io, NotificationFeedConfig config, Handler handler)
    : impl_(std::make_shared<Impl>(io, std::move(config), std::move(handler))) {}

NotificationFeed::~NotificationFeed() {
    impl_->stop();
}

void NotificationFeed::start() {
    impl_->start();
}

void NotificationFeed::use(runtime::AmqpAccess access) {
    impl_->use(std::move(access));
}

void NotificationFeed::stop() {
    impl_->stop();
}

}  // namespace vitalwire::controller
