#include "bus/amqp_acceptor.hpp"

#include <boost/asio/post.hpp>

#include "base/log.hpp"
#include "bus/amqp_names.hpp"

namespace vitalwire::bus {

namespace {
/// All agents of a cloud may come at once; one that is turned away comes again.
constexpr std::size_t kMaxWaiting = 10'000;
constexpr base::Millis kPresenceEvery{3'000};
/// A controller that restarted finds what it sent in its life before: only one that stays is another.
constexpr base::Millis kNamesakeStays{2'000};
constexpr base::Millis kNamesakeGone{15'000};

std::string urls_of(const Access& access) {
    std::string urls;
    for (const std::string& url : access.brokers)
        urls += (urls.empty() ? "" : " ") + url;
    return urls;
}
}  // namespace

AmqpAcceptor::AmqpAcceptor(boost::asio::io_context& io, const Access& access, AmqpStreams::Options streams,
                           AmqpStreams::Remake remake)
    : io_(io),
      url_(urls_of(access)),
      remake_(remake),
      streams_(std::make_shared<AmqpStreams>(io, std::move(streams))),
      name_(access.broker.name),
      presence_(io) {}

AmqpAcceptor::~AmqpAcceptor() {
    close();
}

base::Result<std::string> AmqpAcceptor::open() {
    streams_->start(*this);
    return url_;
}

base::Result<std::string> AmqpAcceptor::use(const Access& access) {
    if (auto used = streams_->use(remake_, access); !used) return tl::make_unexpected(used.error());
    url_ = urls_of(access);
    return url_;
}

void AmqpAcceptor::accept(Accepted accepted) {
    accepted_ = std::move(accepted);
    if (waiting_.empty()) return;
    boost::asio::post(io_, [this, alive = std::weak_ptr(alive_)] {
        if (!alive.expired()) hand_out();
    });
}

void AmqpAcceptor::close() {
    accepted_ = nullptr;
    waiting_.clear();
    presence_.cancel();
    streams_->stop();
}

void AmqpAcceptor::on_connected() {
    log::info("broker connected");
    problem_.clear();
    send_presence();
}

/// Twice: where two read in turns, each gets one of it.
void AmqpAcceptor::send_presence() {
    for (int copy = 0; copy < 2; ++copy)
        streams_->say(kPresence, controller_presence_queue(name_));
    presence_.after(kPresenceEvery, [this] { send_presence(); });
}

void AmqpAcceptor::note_presence(const std::string& queue) {
    if (queue == streams_->queue()) return;
    const base::TimePoint now = base::Clock::now();
    if (!namesake_ || namesake_->queue != queue) namesake_ = Namesake{queue, now, now};
    namesake_->last = now;
}

std::string AmqpAcceptor::conflict() const {
    if (!namesake_ || namesake_->last - namesake_->first < kNamesakeStays) return {};
    if (base::Clock::now() - namesake_->last > kNamesakeGone) return {};
    return "the broker has another controller " + name_ + " (queue " + namesake_->queue +
           "): give each a name of its own, [controller] host";
}

void AmqpAcceptor::on_lost(const std::string& why) {
    if (std::exchange(problem_, why) != why) log::warning("broker lost, retrying", {{"why", why}});
}

void AmqpAcceptor::on_blocked(const std::string& why) {
    problem_ = why.empty() ? "" : "the broker takes no messages: " + why;
    if (why.empty()) return log::info("broker takes messages again");
    log::warning("broker takes no messages", {{"why", why}});
}

void AmqpAcceptor::on_word(const std::string& word, const std::string&, const std::string& queue) {
    if (word == kPresence) return note_presence(queue);
    if (word == kSeek && !streams_->has_stream_to(queue)) streams_->say(kHere, queue);
}

void AmqpAcceptor::on_stream(std::unique_ptr<ByteStream> stream, const std::string& name) {
    if (waiting_.size() >= kMaxWaiting) {
        ++turned_away_;
        return;
    }
    waiting_.emplace_back(std::move(stream), name);
    hand_out();
}

void AmqpAcceptor::hand_out() {
    if (waiting_.empty() || !accepted_) return;
    auto [stream, name] = std::move(waiting_.front());
    waiting_.pop_front();
    std::exchange(accepted_, nullptr)(std::move(stream), "broker user " + name);
}

}  // namespace vitalwire::bus
