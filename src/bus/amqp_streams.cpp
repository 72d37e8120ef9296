#include "bus/amqp_streams.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <vector>

#include "base/log.hpp"
#include "base/text.hpp"

namespace vitalwire::bus {

namespace asio = boost::asio;
using boost::system::error_code;
using runtime::AmqpEvent;
using runtime::AmqpMessage;

namespace {
// Types of messages; whatever else there is, is a word.
constexpr const char* kData = "data";
constexpr const char* kEnd = "end";
/// Small enough that one stream's full resync does not delay the others' keep-alives.
constexpr std::size_t kPiece = 64U << 10U;
constexpr std::size_t kShownReason = 256;  // of an end

/// Its place in its stream.
std::optional<std::uint64_t> number_of(const AmqpMessage& message) {
    std::uint64_t number = 0;
    const std::string& text = message.message_id;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace

class AmqpStreams::Stream final : public ByteStream {
public:
    Stream(std::shared_ptr<AmqpStreams> streams, Key key, std::string name)
        : io_(streams->io_), streams_(std::move(streams)), key_(std::move(key)), name_(std::move(name)) {}
    ~Stream() override { leave(); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    void handshake(Done done) override {
        asio::post(io_, [done = std::move(done)] { done(error_code()); });
    }

    void read_some(asio::mutable_buffer into, Transferred done) override {
        into_ = into;
        reading_ = std::move(done);
        asio::post(io_, [this, alive = std::weak_ptr(alive_)] {
            if (!alive.expired()) feed();
        });
    }

    void write_all(asio::const_buffer from, Transferred done) override {
        writing_ = std::move(done);
        if (ended_) return;  // the reader is told, and closes
        const std::string_view text(static_cast<const char*>(from.data()), from.size());
        for (std::size_t at = 0; at < text.size(); at += kPiece) {
            const bool last = at + kPiece >= text.size();
            send_piece(text.substr(at, kPiece), last ? std::optional(text.size()) : std::nullopt);
        }
    }

    void finish_sending() override { send(kEnd, {}); }

    void close() override {
        leave();
        abandon(reading_);
        abandon(writing_);
    }

    std::string explain(const error_code& error) const override {
        return error == asio::error::eof ? why_ : error.message();
    }
    bool authenticated() const override { return true; }
    std::vector<std::string> certified_names() const override { return {name_}; }
    std::string credential() const override { return "broker user"; }

    void receive(const AmqpMessage& message) {
        if (ended_) return;
        const auto number = number_of(message);
        if (number != received_) {
            const std::uint64_t missed = number > received_ ? *number - received_ : 1;
            streams_->missed_ += missed;
            const std::string why = "the broker dropped " + std::to_string(missed) + " messages on the way";
            send(kEnd, why);
            return end(why);
        }
        ++received_;
        input_ += message.body;
        feed();
    }

    /// The end of what can be read; the other side knows. May destroy this.
    void end(const std::string& why) {
        if (std::exchange(ended_, true)) return;
        why_ = why;
        feed();
    }

private:
    void send_piece(std::string_view piece, std::optional<std::size_t> whole) {
        AmqpMessage message = streams_->message_to(key_.first, kData);
        message.correlation_id = key_.second;
        message.message_id = std::to_string(sent_++);
        message.mandatory = true;
        message.body = piece;
        if (!whole) return streams_->client_.publish(std::move(message));
        streams_->client_.publish(std::move(message), [this, size = *whole, alive = std::weak_ptr(alive_)] {
            if (!alive.expired()) complete(writing_, error_code(), size);
        });
    }

    void send(const char* type, const std::string& body) {
        AmqpMessage message = streams_->message_to(key_.first, type);
        message.correlation_id = key_.second;
        message.body = body;
        streams_->client_.publish(std::move(message));
    }

    /// The last thing that is done in a call: it may destroy this.
    void feed() {
        if (!reading_) return;
        if (input_.empty()) {
            if (ended_) complete(reading_, asio::error::eof, 0);
            return;
        }
        const std::size_t size = asio::buffer_copy(into_, asio::buffer(input_));
        input_.erase(0, size);
        complete(reading_, error_code(), size);
    }

    static void complete(Transferred& handler, const error_code& error, std::size_t size) {
        if (const Transferred call = std::exchange(handler, nullptr)) call(error, size);
    }

    void abandon(Transferred& handler) {
        if (!handler) return;
        asio::post(io_, [call = std::exchange(handler, nullptr)] { call(asio::error::operation_aborted, 0); });
    }

    void leave() {
        if (streams_->streams_.erase(key_) > 0 && !ended_) send(kEnd, {});
        ended_ = true;
    }

    asio::io_context& io_;
    std::shared_ptr<AmqpStreams> streams_;
    Key key_;
    std::string name_;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
    std::string input_;
    asio::mutable_buffer into_;
    Transferred reading_;
    Transferred writing_;
    bool ended_ = false;
    std::string why_;
    std::shared_ptr<char> alive_ = std::make_shared<char>();  ///< for what was posted and may run after the end
};

AmqpStreams::AmqpStreams(asio::io_context& io, Options options)
    : io_(io), options_(std::move(options)), client_(io, options_.client) {}

AmqpStreams::~AmqpStreams() = default;

void AmqpStreams::start(Handler& handler) {
    handler_ = &handler;
    client_.start(*this);
}

void AmqpStreams::stop() {
    handler_ = nullptr;
    client_.stop();
    queue_.clear();
    // A connection that waits for its peer's end, and its stream, hold each other.
    end_all([](const Key&) { return true; }, "stopped");
}

base::Result<void> AmqpStreams::use(Remake remake, const Access& access) {
    auto options = remake(access);
    if (!options) return tl::make_unexpected(options.error());
    options_ = std::move(*options);
    client_.use(options_.client.brokers, options_.client.access);
    return {};
}

std::unique_ptr<ByteStream> AmqpStreams::open(const std::string& queue, const std::string& name) {
    return make({queue, std::to_string(++last_number_)}, name);
}

std::unique_ptr<AmqpStreams::Stream> AmqpStreams::make(const Key& key, const std::string& name) {
    auto stream = std::make_unique<Stream>(shared_from_this(), key, name);
    streams_[key] = stream.get();
    return stream;
}

AmqpMessage AmqpStreams::message_to(const std::string& key, const std::string& type) const {
    AmqpMessage message;
    message.exchange = options_.exchange;
    message.key = key;
    message.type = type;
    message.user_id = options_.user;
    message.reply_to = queue_;
    return message;
}

void AmqpStreams::say(const std::string& word, const std::string& key) {
    client_.publish(message_to(key, word));
}

void AmqpStreams::leave_at_broker(const std::string& key, std::string body) {
    AmqpMessage message = message_to(key, "deposit");
    message.persistent = true;
    message.body = std::move(body);
    client_.publish(std::move(message));
}

bool AmqpStreams::has_stream_to(const std::string& queue) const {
    const auto at = streams_.lower_bound({queue, {}});
    return at != streams_.end() && at->first.first == queue;
}

void AmqpStreams::on_connected(const std::string& queue) {
    queue_ = queue;
    refusing_ = false;
    handler_->on_connected();
}

void AmqpStreams::on_lost(const std::string& why) {
    queue_.clear();
    end_all([](const Key&) { return true; }, why);
    if (handler_ != nullptr) handler_->on_lost(why);
}

void AmqpStreams::on_blocked(const std::string& why) {
    if (handler_ != nullptr) handler_->on_blocked(why);
}

void AmqpStreams::on_event(const AmqpEvent& event) {
    const AmqpMessage& message = event.message;
    if (event.returned)
        return end_all([&](const Key& key) { return key.first == message.key; }, "it has left the broker");
    const auto name = options_.sender(message);
    if (!name) return refuse(message);
    if (message.type == kData) return received(message, *name);
    if (message.type == kEnd) {
        const std::string why = base::escape(message.body, kShownReason);
        return end({message.reply_to, message.correlation_id}, why.empty() ? "closed by the peer" : why);
    }
    handler_->on_word(message.type, *name, message.reply_to);
}

void AmqpStreams::received(const AmqpMessage& message, const std::string& name) {
    const Key key{message.reply_to, message.correlation_id};
    const auto known = streams_.find(key);
    if (known != streams_.end()) return known->second->receive(message);
    if (!options_.accepts || message.message_id != "0") {
        // Of a stream that has ended here.
        AmqpMessage answer = message_to(key.first, kEnd);
        answer.correlation_id = key.second;
        return client_.publish(std::move(answer));
    }
    auto stream = make(key, name);
    Stream& made = *stream;
    made.receive(message);  // nobody reads yet: it is kept
    handler_->on_stream(std::move(stream), name);
}

void AmqpStreams::end_all(const std::function<bool(const Key&)>& which, const std::string& why) {
    std::vector<Key> keys;
    for (const auto& [key, stream] : streams_) {
        if (which(key)) keys.push_back(key);
    }
    for (const Key& key : keys)
        end(key, why);
}

void AmqpStreams::end(const Key& key, const std::string& why) {
    const auto at = streams_.find(key);
    if (at != streams_.end()) at->second->end(why);
}

/// Logged once in each connection.
void AmqpStreams::refuse(const AmqpMessage& message) {
    ++refused_;
    if (std::exchange(refusing_, true)) return;
    log::warning("the bus refuses messages whose sender is not what it says",
                 {{"broker_user", message.user_id}, {"queue", message.reply_to}});
}

}  // namespace vitalwire::bus
