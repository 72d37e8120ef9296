#include "controller/openstack/notification_feed.hpp"

#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <sys/time.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "base/log.hpp"
#include "base/result.hpp"
#include "base/text.hpp"
#include "controller/openstack/nova_records.hpp"

namespace vitalwire::controller {

using base::Errc;
using base::fail;
using base::Millis;
using base::Result;

namespace {

constexpr amqp_channel_t kChannel = 1;
constexpr int kHeartbeatSeconds = 10;
/// Messages the broker sends ahead of our acknowledgement.
constexpr std::uint16_t kPrefetch = 500;
/// Messages handed to the event loop at once; as many batches may wait there before the thread stops reading.
constexpr std::size_t kBatch = 200;
constexpr std::size_t kBatchBytes = 4U << 20U;
constexpr std::size_t kWaitingBatches = 5;
/// How long the thread waits for a message before it looks whether it is to end.
constexpr Millis kWaitForMessage{200};
constexpr std::size_t kShownWords = 200;
constexpr Millis kFirstPause{500};
constexpr Millis kLongestPause{30'000};

timeval to_timeval(Millis time) {
    timeval out{};
    out.tv_sec = time.count() / 1000;
    out.tv_usec = (time.count() % 1000) * 1000;
    return out;
}

amqp_bytes_t bytes(const std::string& text) {
    return {text.size(), const_cast<char*>(text.data())};
}

std::string_view view(const amqp_bytes_t& text) {
    return {static_cast<const char*>(text.bytes), text.len};
}

/// What a broker said when it closed a channel or a connection.
std::string closing_words(const amqp_method_t& method) {
    if (method.id == AMQP_CHANNEL_CLOSE_METHOD)
        return base::escape(view(static_cast<const amqp_channel_close_t*>(method.decoded)->reply_text), kShownWords);
    if (method.id == AMQP_CONNECTION_CLOSE_METHOD)
        return base::escape(view(static_cast<const amqp_connection_close_t*>(method.decoded)->reply_text), kShownWords);
    return "the broker closed the connection";
}

/// Empty when the call went well.
std::string problem_of(const amqp_rpc_reply_t& reply) {
    const auto& [type, method, error] = reply;
    if (type == AMQP_RESPONSE_NORMAL) return {};
    if (type == AMQP_RESPONSE_LIBRARY_EXCEPTION) return amqp_error_string2(error);
    return type == AMQP_RESPONSE_SERVER_EXCEPTION ? closing_words(method) : "the broker closed the connection";
}

/// One connection to a broker, up to and including the subscription. Used by one thread; every call has a deadline.
class Subscription {
public:
    explicit Subscription(const NotificationFeedConfig& config) : config_(config), state_(amqp_new_connection()) {}
    ~Subscription() { amqp_destroy_connection(state_); }
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

    Result<void> open(const Broker& broker) {
        const timeval timeout = to_timeval(config_.timeout);
        amqp_set_handshake_timeout(state_, &timeout);
        amqp_set_rpc_timeout(state_, &timeout);
        if (auto connected = connect(broker, timeout); !connected) return connected;
        if (auto in = log_in(broker); !in) return in;
        return subscribe();
    }

    /// Empties `bodies` into which messages come, waiting for the first one only. Fails when the connection is lost.
    Result<void> read(std::vector<std::string>& bodies) {
        bodies.clear();
        std::uint64_t last_tag = 0;
        std::size_t size = 0;
        while (bodies.size() < kBatch && size < kBatchBytes) {
            const timeval wait = to_timeval(bodies.empty() ? kWaitForMessage : Millis(0));
            amqp_envelope_t envelope;
            amqp_maybe_release_buffers(state_);
            const amqp_rpc_reply_t reply = amqp_consume_message(state_, &envelope, &wait, 0);
            if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
                // Of a longer one its reader needs to see only that it is too long.
                bodies.emplace_back(view(envelope.message.body).substr(0, kMaxNotification + 1));
                size += bodies.back().size();
                last_tag = envelope.delivery_tag;
                amqp_destroy_envelope(&envelope);
                continue;
            }
            const auto& [type, method, error] = reply;
            const bool ours = type == AMQP_RESPONSE_LIBRARY_EXCEPTION;
            if (ours && error == AMQP_STATUS_TIMEOUT) break;
            // Something that is no message, such as the broker taking our queue away: no more will come.
            if (ours && error == AMQP_STATUS_UNEXPECTED_STATE)
                return fail(Errc::unavailable, "the broker ended the subscription");
            return fail(Errc::unavailable, problem_of(reply));
        }
        if (last_tag != 0 && amqp_basic_ack(state_, kChannel, last_tag, 1) != AMQP_STATUS_OK)
            return fail(Errc::unavailable, "the connection was lost");
        return {};
    }

    /// The orderly end of a connection that works.
    void close() { amqp_connection_close(state_, AMQP_REPLY_SUCCESS); }

private:
    Result<void> connect(const Broker& broker, const timeval& timeout) {
        amqp_socket_t* socket = broker.tls ? amqp_ssl_socket_new(state_) : amqp_tcp_socket_new(state_);
        if (socket == nullptr) return fail(Errc::io, "no socket");
        if (broker.tls) {
            if (auto equipped = equip(socket); !equipped) return equipped;
        }
        const int status = amqp_socket_open_noblock(socket, broker.host.c_str(), broker.port, &timeout);
        if (status != AMQP_STATUS_OK) return fail(Errc::unavailable, amqp_error_string2(status));
        return {};
    }

    Result<void> equip(amqp_socket_t* socket) {
        amqp_ssl_socket_set_verify_peer(socket, config_.insecure ? 0 : 1);
        amqp_ssl_socket_set_verify_hostname(socket, config_.insecure ? 0 : 1);
        amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
        const std::string ca = config_.ca_file.empty() ? "/etc/ssl/certs/ca-certificates.crt" : config_.ca_file;
        if (!config_.insecure && amqp_ssl_socket_set_cacert(socket, ca.c_str()) != AMQP_STATUS_OK)
            return fail(Errc::config, ca + ": no usable certificates");
        if (!config_.certificate.empty() &&
            amqp_ssl_socket_set_key(socket, config_.certificate.c_str(), config_.key.c_str()) != AMQP_STATUS_OK)
            return fail(Errc::config, config_.certificate + ", " + config_.key + ": no usable certificate and key");
        return {};
    }

    Result<void> log_in(const Broker& broker) {
        const std::string problem =
            problem_of(amqp_login(state_, broker.vhost.c_str(), 1, AMQP_DEFAULT_FRAME_SIZE, kHeartbeatSeconds,
                                  AMQP_SASL_METHOD_PLAIN, broker.user.c_str(), config_.password.c_str()));
        if (!problem.empty()) return fail(Errc::permission, "not let in: " + problem);
        amqp_channel_open(state_, kChannel);
        return checked("no channel");
    }

    Result<void> subscribe() {
        amqp_exchange_declare(state_, kChannel, bytes(config_.exchange), bytes(kTopic), 1, 0, 0, 0, amqp_empty_table);
        if (auto found = checked("exchange '" + config_.exchange + "'"); !found) return found;
        if (auto declared = declare_queue(); !declared) return declared;
        for (const std::string& topic : config_.topics) {
            const std::string key = topic + ".*";
            amqp_queue_bind(state_, kChannel, bytes(config_.queue), bytes(config_.exchange), bytes(key),
                            amqp_empty_table);
            if (auto bound = checked("binding to " + key); !bound) return bound;
        }
        amqp_basic_qos(state_, kChannel, 0, kPrefetch, 0);
        if (auto limited = checked("prefetch"); !limited) return limited;
        amqp_basic_consume(state_, kChannel, bytes(config_.queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
        return checked("subscription to '" + config_.queue + "'");
    }

    Result<void> declare_queue() {
        amqp_table_entry_t arguments[2];
        arguments[0].key = amqp_cstring_bytes("x-expires");
        arguments[0].value.kind = AMQP_FIELD_KIND_I64;
        arguments[0].value.value.i64 = config_.queue_expiry.count();
        arguments[1].key = amqp_cstring_bytes("x-max-length");
        arguments[1].value.kind = AMQP_FIELD_KIND_I64;
        arguments[1].value.value.i64 = config_.queue_length;
        amqp_table_t table;
        table.num_entries = 2;
        table.entries = arguments;
        amqp_queue_declare(state_, kChannel, bytes(config_.queue), 0, 0, 0, 0, table);
        return checked("queue '" + config_.queue + "'");
    }

    /// How the last call went.
    Result<void> checked(const std::string& what) {
        const std::string problem = problem_of(amqp_get_rpc_reply(state_));
        if (problem.empty()) return {};
        return fail(Errc::unavailable, what + ": " + problem);
    }

    inline static const std::string kTopic = "topic";

    const NotificationFeedConfig& config_;
    amqp_connection_state_t state_;
};

}  // namespace

class NotificationFeed::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(boost::asio::io_context& io, NotificationFeedConfig config, Handler handler)
        : io_(io), config_(std::move(config)), handler_(std::move(handler)) {}

    void start() {
        if (config_.brokers.empty()) return;
        thread_ = std::thread([this] { run(); });
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
            const Broker& broker = config_.brokers[turn % config_.brokers.size()];
            const std::string where = broker.host + ":" + std::to_string(broker.port);
            Subscription subscription(config_);
            auto result = subscription.open(broker);
            if (result) {
                backoff = kFirstPause;
                tell([this] { handler_.on_connected(); });
                result = consume(subscription);
                if (result) subscription.close();
            }
            if (stopping()) return;
            tell([this, why = where + ": " + result.error().message] { handler_.on_lost(why); });
            pause(backoff);
            backoff = std::min(backoff * 2, kLongestPause);
        }
    }

    Result<void> consume(Subscription& subscription) {
        std::vector<std::string> bodies;
        while (!stopping()) {
            if (auto read = subscription.read(bodies); !read) return read;
            if (bodies.empty()) continue;
            wait_for_room();
            tell([this, messages = std::move(bodies)] {
                handler_.on_messages(messages);
                const std::lock_guard lock(mutex_);
                --waiting_;
                changed_.notify_all();
            });
        }
        return {};
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
    void tell(Call call) {
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

void NotificationFeed::stop() {
    impl_->stop();
}

}  // namespace vitalwire::controller
