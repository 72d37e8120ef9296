#include "guest/lib/client.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/text.hpp"
#include "wire/inbound.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;
using base::Millis;
using base::Result;

namespace {

/// What a timer can be set to: zero would switch it off.
constexpr std::chrono::nanoseconds kAtOnce{1};
constexpr Millis kFirstRetry{100};
constexpr long kNanosPerSecond = 1'000'000'000;
constexpr Millis kLastRetry{2000};
constexpr Millis kLastRegistrationRetry{5000};
constexpr Millis kPatienceAtTheEnd{500};
/// In one call: the application's loop gets its turn, and is called again for the rest.
constexpr int kMessagesPerDispatch = 64;

tl::unexpected<base::Error> client_failure(const char* what) {
    return fail(Errc::io, std::string(what) + ": " + std::generic_category().message(errno));
}

}  // namespace

Result<std::unique_ptr<Client>> Client::open(std::string socket_path, Events& events) {
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) return client_failure("epoll_create1");
    const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = timer;
    if (timer < 0 || ::epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) != 0) {
        auto failure = client_failure("timerfd_create");
        if (timer >= 0) ::close(timer);
        ::close(epoll);
        return failure;
    }
    std::unique_ptr<Client> client(new Client(std::move(socket_path), events, epoll, timer));
    // From the first dispatch, so that callbacks come from there only.
    client->arm_timer();
    return client;
}

Client::Client(std::string socket_path, Events& events, int epoll, int timer)
    : socket_path_(std::move(socket_path)),
      events_(events),
      group_(events, app::kMaxSeq),
      epoll_(epoll),
      timer_(timer),
      retry_(kFirstRetry),
      connect_at_(base::Clock::now()),
      register_retry_(kFirstRetry) {}

Client::~Client() {
    if (connected() && is_own_process()) end_connection();
    if (connected()) ::close(socket_);
    ::close(timer_);
    ::close(epoll_);
}

bool Client::is_own_process() const {
    return process_.is_current();
}

Result<void> Client::dispatch(bool only_one) {
    for (int i = 0; i < (only_one ? 1 : kMessagesPerDispatch); ++i) {
        epoll_event event{};
        const int count = ::epoll_wait(epoll_, &event, 1, 0);
        if (count < 0 && errno != EINTR) return client_failure("epoll_wait");
        if (count <= 0) return {};
        if (event.data.fd == timer_) {
            timer_expired();
        } else if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
            receive();
        } else {
            flush();
        }
    }
    return {};
}

void Client::timer_expired() {
    // The answer may lie unread while this application was busy or stood still: nothing is judged before it is read.
    if (connected() && receive()) return;
    std::uint64_t expirations = 0;
    if (::read(timer_, &expirations, sizeof expirations) < 0) return;
    if (!connected()) return connect();
    if (registration_ && !sent_) want_registration();
    group_.tick(base::Clock::now());
    arm_timer();
}

void Client::connect() {
    const int descriptor = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return cannot_connect(errno);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_path_.data(), std::min(socket_path_.size(), sizeof address.sun_path - 1));
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int error = errno;
        ::close(descriptor);
        return cannot_connect(error);
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = descriptor;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        const int error = errno;
        ::close(descriptor);
        return cannot_connect(error);
    }
    socket_ = descriptor;
    watches_writable_ = false;
    socket_failed_ = false;
    sent_ = false;
    outbox_ = {};
    outbox_.subscribe = wish_.broadcasts || wish_.notifications;
    outbox_.actions = wants_actions_;
    outbox_.confirm = awaited_ != 0;
    want_registration();
    events_.connection_changed(true);
}

/// A vitalwired that may still come is waited for in silence. Nobody else can tell the application of what it would
/// wait for without end: a socket that is not for its user, descriptors that are used up.
void Client::cannot_connect(int error) {
    connect_later();
    const std::string why =
        "cannot connect to vitalwired on " + base::escape(socket_path_) + ": " + std::generic_category().message(error);
    const bool may_come = error == ENOENT || error == ECONNREFUSED || error == EAGAIN || error == EINTR;
    const bool is_new = !may_come && registration_ && std::exchange(refusal_, why) != why;
    events_.cannot_connect(why, is_new);
}

void Client::connect_later() {
    connect_at_ = base::Clock::now() + retry_;
    retry_ = std::min(2 * retry_, kLastRetry);
    arm_timer();
}

/// For what comes first: a connection, a registration that was refused, the end of a query.
void Client::arm_timer() {
    base::TimePoint next = connected() ? group_.next_deadline() : connect_at_;
    if (connected() && registration_ && !sent_ && !outbox_.register_) next = std::min(next, register_after_);
    if (next == base::kNever) return start_timer({});
    start_timer(std::max<std::chrono::nanoseconds>(next - base::Clock::now(), kAtOnce));
}

void Client::start_timer(std::chrono::nanoseconds time) {
    itimerspec when{};
    when.it_value.tv_sec = time.count() / kNanosPerSecond;
    when.it_value.tv_nsec = time.count() % kNanosPerSecond;
    ::timerfd_settime(timer_, 0, &when, nullptr);
}

/// Not by close() alone: a forked child's copy would keep the connection open, and a closed descriptor in the epoll
/// set.
void Client::end_connection() {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, socket_, nullptr);
    ::shutdown(socket_, SHUT_RDWR);
    ::close(std::exchange(socket_, -1));
}

void Client::disconnect() {
    end_connection();
    sent_ = is_registered_ = false;
    if (!registration_) awaited_ = 0;
    outbox_ = {};
    connect_later();
    events_.connection_changed(false);
    group_.connection_ended({Errc::disconnected, "the connection to vitalwired ended"});
}

bool Client::receive() {
    std::array<char, app::kMaxDatagram + 1> buffer;
    const ssize_t size = ::recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    // A daemon that left our words unread shows as ECONNRESET, once; its own last words still follow.
    if (size < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET)) return errno != EAGAIN;
    if (size <= 0) {
        disconnect();
        return true;
    }
    const std::string_view datagram(buffer.data(), static_cast<std::size_t>(size));
    if (datagram.starts_with('\n')) {
        receive_group(datagram);
    } else if (const auto event = app::decode_event(datagram)) {
        std::visit([this](const auto& each) { handle(each); }, *event);
    }
    // Else a newer vitalwired says more than this library knows.
    return true;
}

void Client::receive_group(std::string_view datagram) {
    datagram.remove_prefix(1);
    if (datagram.ends_with('\n')) datagram.remove_suffix(1);
    const auto inbound = wire::read_line(datagram, wire::ChannelKind::native, wire::Receiver::guest);
    retry_ = kFirstRetry;
    const auto* message = std::get_if<wire::GroupMessage>(&inbound);
    if (message == nullptr) return;
    group_.received(message->pdu);
    arm_timer();
}

void Client::subscribe(app::Subscribe wish) {
    wish_ = wish;
    outbox_.subscribe = true;
    flush();
}

void Client::want_actions(bool wanted) {
    wants_actions_ = wanted;
    outbox_.actions = true;
    flush();
}

Result<void> Client::vote(app::Vote vote) {
    if (!connected()) return fail(Errc::disconnected, "vitalwired is not connected");
    if (send(vote)) return {};
    if (socket_failed_) return fail(Errc::disconnected, "vitalwired went away");
    return fail(Errc::too_many, "vitalwired does not read");
}

Result<std::int64_t> Client::broadcast(std::string payload) {
    if (!connected()) return fail(Errc::disconnected, "vitalwired is not connected");
    const auto message = group_.broadcast(std::move(payload));
    if (!message) return tl::make_unexpected(message.error());
    return send_group(*message);
}

Result<std::int64_t> Client::query(Millis timeout) {
    if (!connected()) return fail(Errc::disconnected, "vitalwired is not connected");
    const auto sent = send_group(group_.query());
    if (!sent) return sent;
    group_.asked(*sent, base::Clock::now() + timeout);
    arm_timer();
    return sent;
}

Result<std::int64_t> Client::send_group(const group::MemberSession::Outgoing& message) {
    if (::send(socket_, message.line.data(), message.line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return message.seq;
    if (errno == EAGAIN || errno == ENOBUFS) return fail(Errc::too_many, "vitalwired does not read");
    return fail(Errc::disconnected, "vitalwired went away");
}

void Client::handle(const app::Registered& event) {
    // Of a registration that was taken back, or repeated since.
    if (!registration_ || event.id != registration_->id) return;
    retry_ = kFirstRetry;
    register_retry_ = kFirstRetry;
    refusal_.clear();
    is_registered_ = true;
    events_.registration({});
}

void Client::handle(const app::Status& answer) {
    if (awaited_ == 0 || answer.id != awaited_) return;
    awaited_ = 0;
    confirmed_ = true;
}

void Client::handle(const app::Refused& event) {
    if (!registration_) return;
    if (event.id && (!sent_ || event.id != registration_->id)) return;
    sent_ = is_registered_ = false;
    outbox_.register_ = outbox_.report = outbox_.deregister = false;
    outbox_.answer.reset();
    register_after_ = base::Clock::now() + register_retry_;
    register_retry_ = std::min(2 * register_retry_, kLastRegistrationRetry);
    arm_timer();
    if (std::exchange(refusal_, event.error.message) == event.error.message) return;
    events_.registration(tl::make_unexpected(event.error));
}

void Client::handle(const app::Query& event) {
    if (!registration_ || !ask_health()) return;
    outbox_.answer = event.id;
    flush();
}

/// False when the callback took the registration back, or made another.
bool Client::ask_health() {
    const std::uint64_t asked = registrations_;
    heartbeat::Health health = events_.health(registration_->health);
    if (!registration_ || registrations_ != asked) return false;
    registration_->health = std::move(health);
    return true;
}

void Client::register_application(app::Register registration, bool is_asked) {
    registration_ = std::move(registration);
    ++registrations_;
    is_registered_ = false;
    refusal_.clear();
    // Callbacks come from dispatch() only: the one that is asked how it is registers there.
    is_asked ? arm_timer() : want_registration();
}

/// Sends the registration, now or when a refused one may be repeated. It carries how the application is now: one that
/// starts again with the fault of its predecessor must not end that.
void Client::want_registration() {
    const bool is_due = registration_ && base::Clock::now() >= register_after_;
    if (!is_due || ask_health()) outbox_.register_ = is_due;
    arm_timer();
    flush();
}

void Client::report(heartbeat::Health health) {
    registration_->health = std::move(health);
    outbox_.report = true;
    flush();
}

void Client::deregister() {
    registration_.reset();
    outbox_.register_ = outbox_.report = false;
    outbox_.answer.reset();
    outbox_.deregister = outbox_.deregister || std::exchange(sent_, false);
    arm_timer();
    flush();
}

void Client::confirm() {
    confirmed_ = false;
    last_id_ = awaited_ = last_id_ % app::kMaxId + 1;
    outbox_.confirm = true;
    flush();
}

void Client::finish() {
    if (registration_) deregister();
    const auto end = base::Clock::now() + kPatienceAtTheEnd;
    while (connected() && outbox_.deregister && !socket_failed_) {
        const auto left = std::chrono::duration_cast<Millis>(end - base::Clock::now());
        pollfd writable{socket_, POLLOUT, 0};
        if (left <= Millis(0) || ::poll(&writable, 1, static_cast<int>(left.count())) <= 0) return;
        flush();
    }
}

void Client::flush() {
    if (!connected()) return;
    // Who is registered and wants to be asked is asked from then on: the wish goes first.
    const bool all_sent = send_deregistration() && send_want_actions() && send_registration() && send_health() &&
                          send_subscription() && send_confirm();
    if (watches_writable_ == !all_sent) return;
    watches_writable_ = !all_sent;
    watch_socket();
}

bool Client::send_deregistration() {
    if (outbox_.deregister) outbox_.deregister = !send(app::Deregister{});
    return !outbox_.deregister;
}

bool Client::send_registration() {
    if (!outbox_.register_) return true;
    // A new one each time: what is still under way about an earlier attempt is told apart.
    last_id_ = last_id_ % app::kMaxId + 1;
    registration_->id = last_id_;
    if (!send(*registration_)) return false;
    outbox_.register_ = false;
    outbox_.report = false;  // the registration has the health
    sent_ = true;
    return true;
}

bool Client::send_health() {
    if (!sent_) outbox_.report = false;  // the registration will have it
    if (!outbox_.report && !outbox_.answer) return true;
    if (!send(app::Report{registration_->health, outbox_.answer, registration_->id})) return false;
    outbox_.report = false;
    outbox_.answer.reset();
    return true;
}

bool Client::send_subscription() {
    if (outbox_.subscribe) outbox_.subscribe = !send(wish_);
    return !outbox_.subscribe;
}

bool Client::send_want_actions() {
    if (outbox_.actions) outbox_.actions = !send(app::WantActions{wants_actions_});
    return !outbox_.actions;
}

/// Requests are carried out in their order: an answer says that all before it were. Of a status no items are wanted.
bool Client::send_confirm() {
    if (outbox_.confirm) outbox_.confirm = !send(app::StatusRequest{app::kMaxId, awaited_});
    return !outbox_.confirm;
}

bool Client::send(const app::Request& request) {
    const std::string datagram = app::encode(request);
    if (::send(socket_, datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    socket_failed_ = errno != EAGAIN && errno != ENOBUFS && errno != EINTR;
    return false;
}

void Client::watch_socket() {
    epoll_event event{};
    event.events = EPOLLIN | (watches_writable_ ? EPOLLOUT : 0U);
    event.data.fd = socket_;
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, socket_, &event);
}

}  // namespace vitalwire::guest
