#include "guest/sdk_application.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/log.hpp"
#include "guest/reason.hpp"
#include "wire/limits.hpp"

namespace vitalwire::guest {

using base::Millis;
using sdk::RecordType;

namespace {

constexpr std::size_t kReadAtOnce = 8 * sdk::kRecordSize;
constexpr int kReadsBeforeDeadline = 8;
/// An application registers again as soon as it has read a refusal.
constexpr std::chrono::seconds kRefusalDelay{1};

// Offsets in the bodies of records.
constexpr std::size_t kInitInterval = sdk::kMaxApplicationName;
constexpr std::size_t kInitAction = kInitInterval + 20;
constexpr std::size_t kAnswerHealthy = 4;
constexpr std::size_t kAnswerAction = 8;
constexpr std::size_t kAnswerMessage = 12;
constexpr std::size_t kVoteResult = 12;
constexpr std::size_t kVoteMessage = 16;

// Values of the SDK (guest_heartbeat_api.h); its events are in the order of ours, the first is 1, and end
// before those of a maintenance.
constexpr std::uint32_t kRevocable = 1;
constexpr std::uint32_t kIrrevocable = 2;
constexpr std::array kVotes = {model::VoteResult::error, model::VoteResult::accept, model::VoteResult::reject,
                               model::VoteResult::complete};

}  // namespace

SdkApplication::SdkApplication(MonitorClock& clock, int descriptor, Owner& owner)
    : clock_(clock), socket_(clock.io(), descriptor), owner_(owner), timer_(clock), refusal_(clock) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
    uid_ = peer.uid;
    pid_ = peer.pid;
}

void SdkApplication::close() {
    timer_.cancel();
    refusal_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
}

bool SdkApplication::hung_up() {
    pollfd state{socket_.native_handle(), POLLIN, 0};
    return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

void SdkApplication::wait() {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](boost::system::error_code error) {
                           if (error || !self->socket_.is_open()) return;
                           // One read a turn: an application that floods waits for all others each time.
                           self->receive();
                           if (self->socket_.is_open()) self->wait();
                       });
}

bool SdkApplication::receive() {
    std::array<char, kReadAtOnce> buffer;
    const ssize_t size = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (size <= 0) {
        end("closed its connection");
        return false;
    }
    reader_.add({buffer.data(), static_cast<std::size_t>(size)});
    handle_records();
    return socket_.is_open();
}

void SdkApplication::handle_records() {
    while (socket_.is_open()) {
        const auto record = reader_.next();
        if (!record) break;
        handle(*record);
    }
    if (reader_.skipped() == 0 || told_malformed_) return;
    told_malformed_ = true;
    owner_.malformed(*this);
}

void SdkApplication::handle(const sdk::Record& record) {
    switch (static_cast<RecordType>(record.type())) {
        case RecordType::init:
            return register_it(record);
        case RecordType::final:
            return deregister(tidy_reason(record.text(0, sdk::kMaxLogMessage)));
        case RecordType::challenge_response:
            return take_answer(record);
        case RecordType::action_response:
            return take_vote(record);
        default:
            // What only a daemon sends means nothing here.
            return;
    }
}

void SdkApplication::register_it(const sdk::Record& init) {
    const std::string wanted = tidy_reason(init.text(0, sdk::kMaxApplicationName));
    const Millis interval(init.number(kInitInterval));
    if (interval < wire::kCgcsMinInterval || interval > wire::kMaxInterval) {
        return refuse(wanted, {base::Errc::bad_field, "heartbeat_interval_ms is " + std::to_string(interval.count()) +
                                                          ", expected 400 to 3600000"});
    }
    // A second one replaces the first, whose name is free for it, if it is not refused.
    const std::string earlier = std::exchange(name_, {});
    const auto admitted = owner_.admit(*this, wanted);
    name_ = admitted.value_or(earlier);
    if (!admitted) return refuse(wanted, admitted.error());
    if (!earlier.empty()) owner_.registered_again(*this, earlier);
    interval_ = interval;
    action_ = init.action(kInitAction);
    if (owner_.may_log(*this))
        log::info("application of the guest SDK registered",
                  {{"name", name_}, {"pid", pid_}, {"interval_ms", interval_.count()}});
    refusing_ = awaits_answer_ = false;
    refusal_.cancel();
    answered_at_ = asked_at_ = clock_.now();
    timer_.arm(asked_at_ + interval_, [this] { ask(); });
    send(RecordType::init_ack, {1});
}

void SdkApplication::refuse(const std::string& name, const base::Error& error) {
    owner_.refused(*this, name, error);
    if (std::exchange(refusing_, true)) return;
    refusal_.arm(clock_.now() + kRefusalDelay, [this] {
        refusing_ = false;
        send(RecordType::init_ack, {0});
    });
}

void SdkApplication::take_answer(const sdk::Record& answer) {
    if (name_.empty() || !awaits_answer_ || answer.number(0) != challenge_) return;
    awaits_answer_ = false;
    answered_at_ = clock_.now();
    // An answer may come late by any time.
    timer_.arm(std::max(asked_at_ + interval_, answered_at_), [this] { ask(); });
    const std::string reason(answer.text(kAnswerMessage, sdk::kMaxLogMessage));
    owner_.health_changed(*this, {answer.number(kAnswerHealthy) != 0, reason, answer.action(kAnswerAction)});
}

bool SdkApplication::ask(const wire::ActionNotify& notify) {
    // The SDK has no event for it.
    if (name_.empty() || model::is_maintenance(notify.event)) return false;
    send(RecordType::action_notify,
         {static_cast<std::uint32_t>(notify.invocation_id), static_cast<std::uint32_t>(notify.event) + 1,
          notify.revocable ? kRevocable : kIrrevocable});
    return !name_.empty();
}

void SdkApplication::take_vote(const sdk::Record& answer) {
    if (name_.empty()) return;
    const std::uint32_t result = answer.number(kVoteResult);
    const std::string reason = tidy_reason(answer.text(kVoteMessage, sdk::kMaxLogMessage));
    owner_.voted(*this, answer.number(0), result < kVotes.size() ? kVotes.at(result) : model::VoteResult::error,
                 reason);
}

void SdkApplication::deregister(const std::string& why) {
    if (name_.empty()) return;
    timer_.cancel();
    owner_.deregistered(*this);
    if (owner_.may_log(*this))
        log::info("application of the guest SDK deregistered", {{"name", name_}, {"pid", pid_}, {"why", why}});
    name_.clear();
}

void SdkApplication::ask() {
    asked_at_ = clock_.now();
    awaits_answer_ = true;
    timer_.arm(answered_at_ + 2 * interval_, [this] { unanswered(); });
    send(RecordType::challenge, {++challenge_});
}

void SdkApplication::unanswered() {
    const auto self = shared_from_this();
    // The answer may lie unread while this daemon was busy or stood still.
    for (int i = 0; i < kReadsBeforeDeadline && awaits_answer_; ++i) {
        if (!receive()) break;
    }
    if (!socket_.is_open() || name_.empty() || !awaits_answer_) return;
    // It is asked again when it has answered.
    owner_.health_changed(*this,
                          {false, "did not answer within " + std::to_string((2 * interval_).count()) + " ms", action_});
}

void SdkApplication::send(RecordType type, std::initializer_list<std::uint32_t> numbers) {
    const std::string record = sdk::encode(type, ++sequence_, numbers);
    const ssize_t sent = ::send(socket_.native_handle(), record.data(), record.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    // It has hundreds of records to read, and nothing that is cut off could follow them.
    if (sent != static_cast<ssize_t>(record.size())) end("does not read what it is sent");
}

void SdkApplication::end(const std::string& why) {
    if (!socket_.is_open()) return;
    deregister(why);
    close();
    owner_.closed(*this);
}

}  // namespace vitalwire::guest
