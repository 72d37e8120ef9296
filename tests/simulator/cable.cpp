#include "cable.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace vitalwire::simulator {

namespace {

constexpr Millis kRedial{500};
constexpr Millis kSignOfLife{300};
// How long an end takes nothing for an answer.
constexpr seconds kShortestPatience{3};
constexpr seconds kLongestPatience{12};
// How many messages of a later release are of a type that only such a one knows.
constexpr double kUnknown = 0.1;

/// As the ends of a stream take it: absent when it is of a later release.
template <class Message>
std::optional<Message> known(base::Result<Message> message) {
    if (!message && message.error().code == base::Errc::unknown_msg_type) return std::nullopt;
    return std::move(message.value());
}

}  // namespace

void CableLink::start(Handler& handler) {
    handler_ = &handler;
    cable_.link_ = this;
    cable_.dial(this);
}

void CableLink::stop() {
    if (handler_ == nullptr) return;
    handler_ = nullptr;
    up_ = false;
    cable_.hang_up();
}

void CableLink::send(const bus::ToController& message) {
    if (up_) cable_.send(Cable::kToController, bus::encode(message));
}

/// Tries until it works.
void Cable::dial(CableLink* link) {
    world_.after(kRedial, [this, link] {
        if (link_ != link || agent_end_) return;
        const bool reachable = cut_ == 0 && server_ != nullptr && world_.now() >= unbound_until_;
        if (!reachable || world_.now() < redial_from_) return dial(link);
        // A new connection of the same agent replaces one that the controller still believes in.
        server_loses();
        ++connection_;
        for (auto& waiting : held_up_)
            waiting.clear();
        for (bool& deleted : deleted_)
            deleted = false;
        agent_end_ = true;
        link_->up_ = true;
        link_->handler_->on_up(*link_);
        if (keep_alive_) keep_alive();
    });
}

void Cable::keep_alive() {
    within_connection(kSignOfLife, [this] {
        const auto send = [this](Direction direction) {
            return [this, direction, connection = connection_] {
                if (connection == connection_) sign_of_life(direction);
            };
        };
        if (agent_end_) link_->run_(send(kToController));
        if (server_end_) server_->run(send(kToAgent));
        keep_alive();
    });
}

void Cable::sign_of_life(Direction direction) {
    if (has_no_reader(direction)) return return_to_sender(direction);
    within_connection(world_.between(std::chrono::microseconds(100), Millis(8)), [this, direction] {
        if (cut_ == 0) alive(direction);
    });
}

void Cable::alive(Direction direction) {
    if (!keep_alive_) return;
    if (direction == kToAgent && agent_end_) link_->handler_->on_alive(*link_);
    if (direction == kToController && server_end_) server_->agent_alive(*this, served_);
}

void Cable::hang_up() {
    link_ = nullptr;
    agent_end_ = false;
    within_connection(world_.between(Millis(0), Millis(5)), [this] {
        if (cut_ == 0) server_loses();
    });
}

void Cable::serve(CableServer* server) {
    server_ = server;
}

void Cable::server_died() {
    server_ = nullptr;
    server_end_ = false;
    within_connection(world_.between(Millis(0), Millis(5)), [this] {
        if (cut_ == 0) agent_loses("connection reset");
    });
}

void Cable::cut() {
    if (cut_++ > 0) return;
    const std::uint64_t cut = ++cuts_;
    within_connection(world_.between(kShortestPatience, kLongestPatience), [this, cut] {
        if (cut_ > 0 && cuts_ == cut) agent_loses("no sign of life");
    });
    within_connection(world_.between(kShortestPatience, kLongestPatience), [this, cut] {
        if (cut_ > 0 && cuts_ == cut) server_loses();
    });
}

void Cable::heal() {
    if (cut_ == 0 || --cut_ > 0) return;
    whole_since_ = std::max(whole_since_, world_.now());
    if (!agent_end_ || !server_end_ || deleted_[kToAgent] || deleted_[kToController]) {
        // The end that still believes in the connection learns otherwise by its first packet.
        agent_loses("connection reset");
        return server_loses();
    }
    for (const Direction direction : {kToController, kToAgent}) {
        for (const std::string& line : std::exchange(held_up_[direction], {}))
            deliver(direction, line);
    }
}

void Cable::heal_all() {
    cut_ = std::min(cut_, 1);
    heal();
}

void Cable::send_to_agent(const bus::ToAgent& message) {
    if (server_end_) send(kToAgent, bus::encode(message));
}

void Cable::send(Direction direction, const std::string& line) {
    const Release writer = releases_[direction];
    const std::string sent = as_sent(line, writer, releases_[direction == kToAgent ? kToController : kToAgent]);
    if (!sent.empty()) transmit(direction, sent);
    if (writer == Release::after && world_.chance(kUnknown)) transmit(direction, std::string(kOfLaterRelease));
}

void Cable::delete_queue(Direction direction) {
    whole_since_ = std::max(whole_since_, world_.now());
    ++queues_[direction];
    held_up_[direction].clear();
    deleted_[direction] = true;
    within_connection(world_.between({}, Millis(8)), [this, direction] {
        if (cut_ == 0) lose(direction, "the queue is gone");
    });
    // Who sends nothing, not even signs of life, is told nothing.
    lose_in_time(direction == kToAgent ? kToController : kToAgent);
}

void Cable::unbind(TimePoint until) {
    unbound_until_ = std::max(unbound_until_, until);
    whole_since_ = std::max(whole_since_, unbound_until_);
    // The agent cannot even tell that its end is over.
    lose_in_time(kToController);
}

bool Cable::has_no_reader(Direction direction) const {
    return deleted_[direction] || (direction == kToController && world_.now() < unbound_until_);
}

void Cable::return_to_sender(Direction direction) {
    within_connection(world_.between({}, Millis(8)), [this, direction] {
        if (cut_ == 0) lose(direction == kToAgent ? kToController : kToAgent, "it has left the broker");
    });
}

/// The end that reads that direction gives up.
void Cable::lose(Direction read, const std::string& why) {
    read == kToAgent ? agent_loses(why) : server_loses();
}

/// Where it finds out by nothing but silence, unless the ends agree by then.
void Cable::lose_in_time(Direction read) {
    within_connection(world_.between(kShortestPatience, kLongestPatience), [this, read] {
        if (agent_end_ && server_end_ && !deleted_[kToAgent] && !deleted_[kToController]) return;
        lose(read, "no sign of life");
    });
}

void Cable::transmit(Direction direction, std::string line) {
    if (has_no_reader(direction)) return return_to_sender(direction);
    const TimePoint arrival =
        std::max(last_arrival_[direction], world_.now() + world_.between(std::chrono::microseconds(100), Millis(8)));
    last_arrival_[direction] = arrival;
    within_connection(arrival - world_.now(), [this, direction, line = std::move(line), queue = queues_[direction]] {
        if (queue == queues_[direction]) arrive(direction, line);
    });
}

void Cable::arrive(Direction direction, const std::string& line) {
    if (cut_ > 0) {
        held_up_[direction].push_back(line);
    } else {
        deliver(direction, line);
    }
}

void Cable::deliver(Direction direction, const std::string& line) {
    alive(direction);
    if (direction == kToAgent) {
        const auto message = known(bus::decode_to_agent(line));
        if (!message || !agent_end_) return;
        if (std::holds_alternative<bus::Welcome>(*message) && releases_[kToController] == Release::other_version)
            world_.violated(name() + ": an agent of another version of the protocol is welcome");
        link_->handler_->on_message(*link_, *message);
        return;
    }
    if (server_ == nullptr) return;
    const auto message = known(bus::decode_to_controller(line));
    if (!message) return;
    if (server_end_) return server_->message(*this, served_, *message);
    const auto* hello = std::get_if<bus::Hello>(&*message);
    if (hello == nullptr) return;
    server_end_ = true;
    connected_since_ = world_.now();
    served_ = hello->host;
    server_->agent_up(*this, *hello);
}

void Cable::reject(const bus::Rejected& rejected) {
    server_end_ = false;
    redial_from_ = world_.now() + rejected.retry_after;
    send(kToAgent, bus::encode(rejected));
    within_connection(Millis(20), [this] {
        if (cut_ == 0) agent_loses("rejected");
    });
}

void Cable::agent_loses(const std::string& why) {
    if (!std::exchange(agent_end_, false)) return;
    CableLink* const link = link_;
    link->up_ = false;
    dial(link);
    link->handler_->on_down(*link, why);
}

void Cable::server_loses() {
    if (std::exchange(server_end_, false) && server_ != nullptr) server_->agent_down(*this, served_);
}

/// Later, unless another connection has begun by then.
void Cable::within_connection(Duration delay, std::function<void()> call) {
    world_.after(delay, [this, connection = connection_, call = std::move(call)] {
        if (connection_ == connection) call();
    });
}

}  // namespace vitalwire::simulator
