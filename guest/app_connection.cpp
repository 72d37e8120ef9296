#include "guest/app_connection.hpp"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/log.hpp"
#include "wire/group_codec.hpp"
#include "wire/inbound.hpp"

namespace vitalwire::guest {

namespace {

/// More than a socket holds of the smallest messages; a child of the application may go on sending.
constexpr int kReadsBeforeJudging = 1024;
/// What may wait for an application beside what the kernel holds.
constexpr std::size_t kMaxWaiting = 64UL * 1024;
/// Of messages that lie unread, with what the kernel adds: a question waits behind them, and its answer has a deadline.
constexpr int kMaxUnread = 4096;
constexpr base::Millis kUnreadRetry{10};
/// Answers that wait for the state file, which is written whole: one application cannot have that done all the time.
constexpr double kKeptFirstPerSecond = 5;
constexpr double kKeptFirstAtOnce = 20;

bool has_room(int descriptor) {
    pollfd state{descriptor, POLLOUT, 0};
    return ::poll(&state, 1, 0) == 1 && (state.revents & POLLOUT) != 0;
}

std::optional<std::int64_t> seq_of(const wire::GroupPdu& request) {
    if (const auto* broadcast = std::get_if<wire::Broadcast>(&request)) return broadcast->seq;
    if (const auto* query = std::get_if<wire::StatusQuery>(&request)) return query->seq;
    return std::nullopt;
}

}  // namespace

AppConnection::AppConnection(MonitorClock& clock, GroupApp& group, int descriptor, Owner& owner)
    : clock_(clock),
      group_(group),
      socket_(clock.io(), descriptor),
      process_(clock.io()),
      owner_(owner),
      timer_(clock),
      waiting_(wire::Dialect::native, kMaxWaiting),
      room_(clock.io()),
      kept_first_(kKeptFirstPerSecond, kKeptFirstAtOnce) {
    static std::uint64_t connections = 0;
    id_ = "connection " + std::to_string(++connections);
    const int on = 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
    uid_ = peer.uid;
    pid_ = peer.pid;
    started_ = ProcessWatch::start_time_of(pid_);
}

void AppConnection::turn_away(const base::Error& why) {
    const std::string datagram = app::encode(app::Refused{why});
    ::send(socket_.native_handle(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    close();
}

void AppConnection::close() {
    timer_.cancel();
    room_.cancel();
    process_.stop();
    group_.leave(*this);
    boost::system::error_code ignored;
    socket_.close(ignored);
}

bool AppConnection::hung_up() {
    if (ProcessWatch::is_gone(pid_)) return true;
    pollfd state{socket_.native_handle(), POLLIN, 0};
    return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

void AppConnection::wait() {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](boost::system::error_code error) {
                           if (error || !self->socket_.is_open()) return;
                           // One datagram a turn: an application that floods waits for all others each time.
                           if (self->receive() != Read::end) self->wait();
                       });
}

AppConnection::Read AppConnection::receive() {
    std::array<char, app::kMaxDatagram + 1> buffer;
    // Room for the credentials and for nothing after them: descriptors that are sent along are not taken.
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control;
    iovec part{buffer.data(), buffer.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket_.native_handle(), &header, MSG_DONTWAIT);
    // An end that left our words unread shows as ECONNRESET, once; its own last words still follow.
    if (size < 0 && (errno == EINTR || errno == ECONNRESET)) return Read::some;
    if (size < 0 && errno == EAGAIN) return Read::nothing;
    // The end of the connection has no credentials; a datagram of no bytes has.
    if (size < 0 || (size == 0 && header.msg_controllen == 0)) {
        end();
        return Read::end;
    }
    const std::string_view datagram(buffer.data(), static_cast<std::size_t>(size));
    if (datagram.size() > app::kMaxDatagram) {
        refuse({base::Errc::too_large, "a message may have " + std::to_string(app::kMaxDatagram) + " bytes"}, {});
    } else if (datagram.starts_with('\n')) {
        receive_group(datagram);
    } else if (const auto request = app::decode_request(datagram)) {
        std::visit([this](const auto& each) { handle(each); }, *request);
    } else if (const auto origin = app::origin_of(datagram); origin.registers) {
        refuse_registration(request.error(), origin);
    } else {
        refuse(request.error(), origin.id);
    }
    return socket_.is_open() ? Read::some : Read::end;
}

/// Reads what lies in the socket, as far as it is wanted. False when the connection has ended with it.
bool AppConnection::drain(const std::function<bool()>& is_enough) {
    for (int i = 0; i < kReadsBeforeJudging && !is_enough(); ++i) {
        const Read read = receive();
        if (read == Read::nothing) return true;
        if (read == Read::end) return false;
    }
    return true;
}

void AppConnection::handle(const app::Register& request) {
    const app::Origin origin{request.id, true, request.name};
    if (!name_.empty())
        return refuse_registration({base::Errc::in_use, "this connection is registered as " + name_ + " already"},
                                   origin);
    const auto admitted = owner_.admit(*this, request.name);
    if (!admitted) return refuse_registration(admitted.error(), origin);
    name_ = request.name;
    interval_ = request.interval;
    timeout_ = request.timeout;
    if (owner_.may_log(*this))
        log::info("application registered", {{"name", name_}, {"pid", pid_}, {"interval_ms", interval_.count()}});
    if (!send(app::Registered{request.id})) return;
    // The end of the process that registered counts, not that of the last one that has the connection: a child that it
    // has forked holds a copy.
    process_.start(pid_, [self = weak_from_this()] {
        if (const auto here = self.lock()) here->process_ended();
    });
    owner_.health_changed(*this, request.health);
    awaits_answer_ = false;
    asked_at_ = clock_.now();
    timer_.arm(asked_at_ + interval_, [this] { ask(); });
}

void AppConnection::process_ended() {
    const auto self = shared_from_this();
    // What it sent before its end still counts. Behind a deregistration it is read in its turn.
    if (drain([this] { return name_.empty(); }) && !name_.empty()) end();
}

void AppConnection::handle(const app::Report& request) {
    if (name_.empty()) return refuse({base::Errc::no_session, "register before reporting"}, request.id);
    if (request.query == last_query_ && awaits_answer_) {
        awaits_answer_ = false;
        timer_.arm(asked_at_ + interval_, [this] { ask(); });
    } else if (request.query) {
        return;  // came too late to say anything about now; the next question finds out
    }
    owner_.health_changed(*this, request.health);
}

void AppConnection::handle(const app::Deregister&) {
    if (name_.empty()) return;
    timer_.cancel();
    owner_.deregistered(*this);
    if (owner_.may_log(*this)) log::info("application deregistered", {{"name", name_}, {"pid", pid_}});
    name_.clear();
    process_.stop();
}

void AppConnection::handle(const app::Subscribe& request) {
    if ((request.broadcasts || request.notifications) && !take_place()) return;
    uses_group_ = request.broadcasts || request.notifications;
    group_.join(*this, {request.broadcasts, request.notifications});
}

void AppConnection::handle(const app::Set& request) {
    answer(owner_.set(*this, request), request.id);
}

void AppConnection::handle(const app::Forget& request) {
    answer(owner_.forget(*this, request.name), request.id);
}

void AppConnection::handle(const app::StatusRequest& request) {
    app::Status status = owner_.status(request.from);
    status.id = request.id;
    keep_first();
    send(status);
}

void AppConnection::handle(const app::WantActions& request) {
    if (request.wanted && !take_place()) return;
    if (wants_actions_ && !request.wanted) owner_.abstains(*this);
    wants_actions_ = request.wanted;
}

bool AppConnection::ask(const wire::ActionNotify& notify) {
    if (!wants_actions_) return false;
    // A child that it has forked may hold a copy of the connection; nobody waits for that one.
    if (ProcessWatch::is_gone(pid_)) {
        process_ended();
        if (socket_.is_open()) end();
        return false;
    }
    return send(app::Action{notify.invocation_id, std::string(model::to_string(notify.event)), notify.revocable,
                            notify.timeout});
}

void AppConnection::answer(const base::Result<void>& outcome, std::optional<std::int64_t> id) {
    if (!outcome) return refuse(outcome.error(), id);
    keep_first();
    send(app::Done{id});
}

void AppConnection::keep_first() {
    if (kept_first_.take(clock_.now())) owner_.before_told();
}

void AppConnection::receive_group(std::string_view datagram) {
    while (datagram.starts_with('\n'))
        datagram.remove_prefix(1);
    while (datagram.ends_with('\n'))
        datagram.remove_suffix(1);
    auto inbound = wire::read_line(datagram, wire::ChannelKind::native, wire::Receiver::host);
    if (const auto* message = std::get_if<wire::GroupMessage>(&inbound)) return handle_group(message->pdu);
    if (const auto* refused = std::get_if<wire::Refused>(&inbound)) return deliver(group::Outgoing(refused->nack));
    refuse({base::Errc::malformed, "expected a message of the server group"}, {});
}

void AppConnection::handle_group(const wire::GroupPdu& request) {
    if (!take_place()) return;
    uses_group_ = true;
    const auto seq = seq_of(request);
    if (seq.value_or(0) <= app::kMaxSeq) return group_.send(*this, request);
    const base::Error error{base::Errc::bad_field, "key 'seq': expected 0 to " + std::to_string(app::kMaxSeq)};
    deliver(group::Outgoing(wire::make_nack(request, error)));
}

void AppConnection::deliver(const group::Outgoing& message) {
    const std::uint64_t before = waiting_.dropped();
    waiting_.push(message);
    if (waiting_.dropped() > before) tell_slow(true);
    write_waiting();
}

void AppConnection::tell_slow(bool slow) {
    if (std::exchange(told_slow_, slow) == slow || !owner_.may_log(*this)) return;
    if (slow) return log::warning("application does not read its messages, the oldest are dropped", {{"pid", pid_}});
    log::info("application reads its messages again", {{"pid", pid_}, {"dropped", waiting_.dropped()}});
}

/// The kernel calls a socket writable while a quarter of its buffer is taken at most: the rest is left to the
/// heartbeat's words, which do not queue. One that is asked how it is has less to read before it comes to the question.
bool AppConnection::may_write() {
    if (!has_room(socket_.native_handle())) return false;
    int unread = 0;
    return name_.empty() || ::ioctl(socket_.native_handle(), SIOCOUTQ, &unread) != 0 || unread < kMaxUnread;
}

void AppConnection::write_waiting() {
    while (!waiting_.empty() && socket_.is_open() && may_write()) {
        const std::string datagram = waiting_.pop();
        const ssize_t sent =
            ::send(socket_.native_handle(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) waiting_.add_lost(1);
    }
    if (waiting_.empty()) tell_slow(false);
    if (waiting_.empty() || awaits_room_ || !socket_.is_open()) return;
    awaits_room_ = true;
    if (has_room(socket_.native_handle())) {
        return room_.after(kUnreadRetry, [this] {
            awaits_room_ = false;
            write_waiting();
        });
    }
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                       [self = shared_from_this()](boost::system::error_code error) {
                           self->awaits_room_ = false;
                           if (!error) self->write_waiting();
                       });
}

void AppConnection::ask() {
    const auto self = shared_from_this();
    if (ProcessWatch::is_gone(pid_)) return process_ended();
    asked_at_ = clock_.now();
    awaits_answer_ = true;
    timer_.arm(asked_at_ + timeout_, [this] { unanswered(); });
    // One that does not read cannot be asked: the same as no answer.
    const std::string question = app::encode(app::Query{++last_query_});
    ::send(socket_.native_handle(), question.data(), question.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void AppConnection::unanswered() {
    const auto self = shared_from_this();  // what it reads may end the connection
    // The answer may lie unread while this daemon was busy or stood still.
    if (!drain([this] { return !awaits_answer_; }) || !std::exchange(awaits_answer_, false)) return;
    owner_.health_changed(*this, {false, "did not answer within " + std::to_string(timeout_.count()) + " ms"});
    timer_.arm(asked_at_ + interval_, [this] { ask(); });
}

/// These requests have no answer of their own: the end of the connection is one, and a library repeats them after it.
bool AppConnection::take_place() {
    const auto place = owner_.take_place(*this);
    if (place) return true;
    owner_.turned_away(*this, place.error());
    if (send(app::Refused{place.error()})) end();
    return false;
}

void AppConnection::refuse(const base::Error& error, std::optional<std::int64_t> id) {
    owner_.refused(*this, error);
    send(app::Refused{error, id});
}

void AppConnection::refuse_registration(const base::Error& error, const app::Origin& origin) {
    // It is watched under that name already, and stays so.
    if (!name_.empty() && origin.name == name_) return refuse(error, origin.id);
    owner_.not_watched(*this, origin.name, error);
    send(app::Refused{error, origin.id});
}

bool AppConnection::send(const app::Event& event) {
    const std::string datagram = app::encode(event);
    const ssize_t sent = ::send(socket_.native_handle(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    // One that has closed its end is read to it: what it sent before counts.
    if (sent >= 0 || errno == EPIPE || errno == ECONNRESET) return true;
    // An application that lets hundreds of answers lie is not worth a queue of ours.
    end();
    return false;
}

void AppConnection::end() {
    if (!socket_.is_open()) return;
    close();
    owner_.closed(*this);
}

}  // namespace vitalwire::guest
