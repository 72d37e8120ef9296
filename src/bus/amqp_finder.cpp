#include "bus/amqp_finder.hpp"

#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.hpp"
#include "bus/amqp_names.hpp"
#include "bus/stream_link.hpp"

namespace vitalwire::bus {

namespace {
constexpr base::Millis kSeekEvery{700};
/// A controller keeps its name when it restarts; many more than that are somebody's mistake.
constexpr std::size_t kMaxControllers = 64;
}  // namespace

/// One controller, by its name.
struct AmqpFinder::Place {
    std::string queue;  ///< where it was last heard; empty once that was tried
    Dialer::Dialed waiting;
};

/// Opens a stream as soon as the controller is heard.
class AmqpFinder::Way final : public Dialer {
public:
    Way(AmqpFinder& finder, std::string name, std::shared_ptr<Place> place)
        : finder_(finder), name_(std::move(name)), place_(std::move(place)) {}

    void dial(Dialed dialed) override {
        place_->waiting = std::move(dialed);
        if (place_->queue.empty()) return finder_.seek();
        boost::asio::post(finder_.io_, [streams = finder_.streams_, name = name_, place = std::weak_ptr(place_)] {
            if (const auto there = place.lock()) meet(*streams, name, *there);
        });
    }
    void cancel() override { place_->waiting = nullptr; }
    base::Result<void> use(const Access&) override { return {}; }  // the streams are the finder's

    static void meet(AmqpStreams& streams, const std::string& name, Place& place) {
        if (!place.waiting || place.queue.empty()) return;
        const Dialed dialed = std::exchange(place.waiting, nullptr);
        dialed(streams.open(std::exchange(place.queue, {}), name));
    }

private:
    AmqpFinder& finder_;
    std::string name_;
    std::shared_ptr<Place> place_;
};

AmqpFinder::AmqpFinder(boost::asio::io_context& io, AmqpStreams::Options streams, AmqpStreams::Remake remake,
                       const TransportOptions& options)
    : io_(io),
      options_(options),
      remake_(remake),
      streams_(std::make_shared<AmqpStreams>(io, std::move(streams))),
      timer_(io) {}

AmqpFinder::~AmqpFinder() {
    stop();
}

void AmqpFinder::start(Found found, Reached reached) {
    found_ = std::move(found);
    reached_ = std::move(reached);
    streams_->start(*this);
}

void AmqpFinder::stop() {
    timer_.cancel();
    streams_->stop();
}

void AmqpFinder::on_connected() {
    log::info("broker connected");
    problem_.clear();
    reached_();
    seek();
}

void AmqpFinder::on_lost(const std::string& why) {
    timer_.cancel();
    for (const auto& [name, place] : places_)
        place->queue.clear();
    if (std::exchange(problem_, why) != why) log::warning("broker lost, retrying", {{"why", why}});
}

void AmqpFinder::leave_at_broker(const Faults& faults) {
    streams_->leave_at_broker(kFaultsKey, encode(faults));
}

void AmqpFinder::seek() {
    streams_->say(kSeek, kEveryController);
    if (streams_->connected()) timer_.after(kSeekEvery, [this] { seek(); });
}

void AmqpFinder::on_blocked(const std::string& why) {
    problem_ = why.empty() ? "" : "the broker takes no messages: " + why;
    if (why.empty()) return log::info("broker takes messages again");
    log::warning("broker takes no messages", {{"why", why}});
}

void AmqpFinder::on_word(const std::string& word, const std::string& name, const std::string& queue) {
    if (word != kHere) return;  // of a later release
    auto known = places_.find(name);
    if (known == places_.end()) {
        if (places_.size() >= kMaxControllers) return;
        known = places_.emplace(name, std::make_shared<Place>()).first;
        known->second->queue = queue;
        auto way = std::make_unique<Way>(*this, name, known->second);
        return found_(std::make_unique<StreamLink>(io_, "amqp:" + name, std::move(way), options_));
    }
    known->second->queue = queue;
    Way::meet(*streams_, name, *known->second);
}

}  // namespace vitalwire::bus
