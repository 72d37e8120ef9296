#include "guest/notify_socket.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.hpp"
#include "guest/absent.hpp"
#include "guest/accounts.hpp"
#include "guest/notification.hpp"
#include "guest/process_info.hpp"
#include "runtime/unix_listener.hpp"

namespace vitalwire::guest {

namespace {

constexpr std::chrono::seconds kNotifyRetry{5};
constexpr mode_t kNotifyMode = 0660;
/// By which time a helper has ended that notified for its script.
constexpr base::Millis kHelperTime{1000};
constexpr std::string_view kHelper = "systemd-notify";
constexpr std::size_t kMaxNotification = 4096;
/// More than a queue of datagrams holds with the kernel's bound, or with the service manager's larger one.
constexpr int kMostUnread = 1024;
constexpr std::string_view kEnded = "ended ";
constexpr std::string_view kEndAlone = "feeds no watchdog, is watched for its end alone";
constexpr const char* kEndedWithout = "ended without STOPPING=1";
constexpr const char* kEndedUnknown = "ended before it was known which service it was";
constexpr const char* kEndedUnseen = "ended while vitalwired was not there, in order or not";

std::string service_source(const std::string& name) {
    return "service " + name;
}

}  // namespace

NotifySocket::NotifySocket(MonitorClock& clock, HealthBoard& board, ApplicationSettings settings)
    : clock_(clock),
      board_(board),
      settings_(std::move(settings)),
      socket_(clock.io()),
      earlier_(clock.io()),
      file_(clock.io()),
      retry_(clock.io()),
      unwatched_(clock, board) {
    early_.set_max_per_user(settings_.max_per_user);
}

NotifySocket::~NotifySocket() {
    stop();
}

void NotifySocket::start() {
    if (settings_.notify_socket.empty()) return;
    const auto opened = open();
    if (opened) {
        problem_.clear();
        file_.watch(settings_.notify_socket, [this] { open_again(); });
        return wait(socket_);
    }
    if (std::exchange(problem_, opened.error().message) != problem_)
        log::error("services cannot notify, trying again every 5 s", {{"why", problem_}});
    boost::system::error_code ignored;
    socket_.close(ignored);
    retry_.after(kNotifyRetry, [this] { start(); });
}

void NotifySocket::stop() {
    retry_.cancel();
    unwatched_.stop();
    services_.clear();
    boost::system::error_code ignored;
    earlier_.close(ignored);
    if (!socket_.is_open()) return;
    socket_.close(ignored);
    file_.remove();
}

void NotifySocket::open_again() {
    boost::system::error_code ignored;
    socket_.cancel(ignored);
    earlier_ = std::move(socket_);
    wait(earlier_);
    start();
}

base::Result<void> NotifySocket::open() {
    const auto descriptor = runtime::open_unix_listener(settings_.notify_socket, SOCK_DGRAM, kNotifyMode, 0);
    if (!descriptor) return tl::make_unexpected(descriptor.error());
    socket_.assign(*descriptor);
    const int on = 1;
    ::setsockopt(*descriptor, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    return give_to_group(settings_.notify_socket, settings_.group);
}

void NotifySocket::wait(boost::asio::posix::stream_descriptor& socket) {
    socket.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [this, &socket](boost::system::error_code error) {
                          if (error) return;
                          // One datagram a turn: a service that floods waits for all others each time.
                          receive(socket);
                          wait(socket);
                      });
}

bool NotifySocket::receive(boost::asio::posix::stream_descriptor& socket) {
    if (!socket.is_open()) return false;
    std::array<char, kMaxNotification> buffer;
    alignas(cmsghdr) std::array<char, 256> control;
    iovec part{buffer.data(), buffer.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket.native_handle(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return errno == EINTR;
    ucred sender{};
    for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
        if (each->cmsg_level != SOL_SOCKET) continue;
        if (each->cmsg_type == SCM_CREDENTIALS) std::memcpy(&sender, CMSG_DATA(each), sizeof sender);
        // FDSTORE=1 is for a service manager: what comes with it is closed.
        if (each->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t i = 0; CMSG_LEN(i + sizeof(int)) <= each->cmsg_len; i += sizeof(int)) {
            int descriptor = -1;
            std::memcpy(&descriptor, CMSG_DATA(each) + i, sizeof descriptor);
            ::close(descriptor);
        }
    }
    if ((header.msg_flags & MSG_TRUNC) == 0 && sender.pid > 0)
        handle(sender.pid, sender.uid, {buffer.data(), static_cast<std::size_t>(size)});
    return true;
}

void NotifySocket::handle(pid_t pid, uid_t uid, std::string_view message) {
    Notification told = parse_notification(message);
    if (!services_.contains(pid) && program_of(pid) == kHelper) {
        pid = script_of(pid, uid);
        if (pid == 0) return;
    }
    Service* service = find(pid, uid);
    // A worker with fewer rights than its service feeds that one's watchdog, and says nothing else for it.
    if (service != nullptr && service->pid != pid && service->uid != uid) {
        if (told.watchdog && !told.ready) return feed(*service);
        service = nullptr;
    }
    pid_t main = 0;
    if (told.main_pid) {
        main = main_process(pid, uid, *told.main_pid);
        if (main == 0) {
            if (may_log(uid))
                log::warning("notification dropped, its MAINPID is no process of its user",
                             {{"pid", pid}, {"uid", uid}, {"main_pid", *told.main_pid}});
            return;
        }
    }
    const bool starts = told.ready || told.watchdog;
    if (service == nullptr && starts) main = early_.recall(pid, uid, main, told);
    const pid_t sender = pid;
    if (main != 0) {
        if (service == nullptr)
            service = find(main, uid);
        else if (service->pid != main)
            service = move(*service, main);
        pid = main;
    }
    // What says that it has started is a service by itself. A helper of the one that started it ends at once.
    if (service != nullptr && service->pid != pid && told.ready) {
        if (Service* own = adopt(pid, uid, service)) service = own;
    }
    if (service == nullptr && starts) service = adopt(pid, uid);
    if (service == nullptr) return early_.remember(sender, uid, main, told);
    if (told.status) service->status = *told.status;
    if (told.bad_watchdog_time && may_log(uid))
        log::warning("a service's WATCHDOG_USEC= is no time, the earlier one stays",
                     {{"name", service->name}, {"watchdog_ms", watchdog_of(*service).count()}});
    if (told.watchdog_time && std::exchange(service->own_watchdog, told.watchdog_time) != told.watchdog_time) {
        kept_changed_();
        await_again(*service);
    }
    // It has started again in place.
    if (told.ready && service->pid == pid) set_stopping(*service, false);
    // A worker that ends does not take its service's watch with it.
    if (told.stopping && (service->pid == pid || told.main_pid)) {
        set_stopping(*service, true);
        service->timer->cancel();
    }
    if (told.trigger)
        board_.set(service_source(service->name), false,
                   "triggered its watchdog" + (service->status.empty() ? "" : ": " + service->status));
    if (told.watchdog) feed(*service);
}

/// The process for which systemd-notify(1) was started: it notifies as itself where it is not root's. 0 when that one
/// is not known.
pid_t NotifySocket::script_of(pid_t helper, uid_t uid) {
    const pid_t script = parent_of(helper);
    if (script > 1 && belongs_to(script, uid)) return script;
    if (may_log(uid))
        log::warning("notification dropped, systemd-notify needs --pid= here: nobody knows for whom it notifies",
                     {{"pid", helper}, {"uid", uid}});
    return 0;
}

/// The process that `sender` names as `number`; 0 when it may not, or none is it.
pid_t NotifySocket::main_process(pid_t sender, uid_t uid, pid_t number) {
    const pid_t main = meant_by(sender, number);
    if (main == sender) return main;
    // The first process is no service. One that is gone cannot be asked what it means: root's word counts for any
    // process.
    if (main <= 1 || ProcessWatch::is_gone(main) || (uid == 0 && ProcessWatch::is_gone(sender))) return 0;
    return uid == 0 || belongs_to(main, uid) ? main : 0;
}

void NotifySocket::set_stopping(Service& service, bool stopping) {
    service.unfed = stopping;
    if (std::exchange(service.stopping, stopping) != stopping) kept_changed_();
}

/// The service for which a process notifies: its own, or that of the process which started it (systemd-notify(1) in a
/// script).
NotifySocket::Service* NotifySocket::find(pid_t pid, uid_t uid) {
    const pid_t sender = pid;
    for (int generation = 0; generation < kMostGenerations; ++generation, pid = parent_of(pid)) {
        // All whose parents have ended are the first process's, which is not their service.
        if (pid < 1 || (pid == 1 && generation > 0)) break;
        const auto known = services_.find(pid);
        if (known == services_.end()) continue;
        // The process itself may have become another user since, and so may a worker of root's service: that is of its
        // session, which a user who logs in below it is not.
        const bool is_worker = known->second.uid == 0 && ::getsid(sender) > 0 && ::getsid(sender) == ::getsid(pid);
        return generation == 0 || known->second.uid == uid || is_worker ? &known->second : nullptr;
    }
    return nullptr;
}

/// Another process is the service's main one from now on.
NotifySocket::Service* NotifySocket::move(Service& service, pid_t pid) {
    if (services_.contains(pid)) return &services_.at(pid);
    if (may_log(service.uid)) log::info("service has another main process", {{"name", service.name}, {"pid", pid}});
    auto node = services_.extract(service.pid);
    node.key() = pid;
    Service& moved = services_.insert(std::move(node)).position->second;
    watch(moved, pid);
    kept_changed_();
    return &moved;
}

void NotifySocket::watch(Service& service, pid_t pid) {
    service.pid = pid;
    service.started = ProcessWatch::start_time_of(pid);
    service.process->start(pid, [this, &service] { process_ended(service, kMostUnread); });
}

/// That of its program, where no other has it or is missed by it.
std::string NotifySocket::free_name(pid_t pid) const {
    const std::string name = program_of(pid);
    const bool is_taken =
        std::any_of(services_.begin(), services_.end(), [&](const auto& each) { return each.second.name == name; }) ||
        std::any_of(ended_.begin(), ended_.end(), [&](const Ended& each) { return each.name == name; });
    return is_taken ? name.substr(0, app::kMaxName - 11) + "-" + std::to_string(pid) : name;
}

/// `starter`: the service that has started it.
NotifySocket::Service* NotifySocket::adopt(pid_t pid, uid_t uid, const Service* starter) {
    const auto mine =
        std::count_if(services_.begin(), services_.end(), [&](const auto& each) { return each.second.uid == uid; });
    const bool user_is_full = uid != 0 && static_cast<std::size_t>(mine) >= settings_.max_per_user;
    if (user_is_full || services_.size() >= settings_.max) {
        unwatched_.add(uid, service_source(program_of(pid)), "wanted to be watched and is not",
                       {base::Errc::too_many, user_is_full ? "its user has too many, [applications] max_per_user"
                                                           : "there are too many, [applications] max"});
        return nullptr;
    }
    Service service;
    service.identity = identity_of(pid, uid);
    // Its own fault of an earlier life ends here, and no other's.
    const auto earlier = std::find_if(ended_.begin(), ended_.end(), [&](const Ended& each) {
        return !service.identity.empty() && each.identity == service.identity;
    });
    service.name = earlier == ended_.end() ? free_name(pid) : earlier->name;
    if (earlier != ended_.end()) erase(earlier);
    unwatched_.remove(uid, service_source(service.name));
    service.pid = pid;
    service.uid = uid;
    service.adopted = clock_.now();
    const std::string unit = unit_of(pid);
    const pid_t parent = unit.empty() ? 0 : parent_of(pid);
    if (starter != nullptr) {
        service.script = starter->pid;
        service.script_started = starter->started;
    } else if (parent > 1 && belongs_to(parent, uid) && unit_of(parent) == unit) {
        service.script = parent;
        service.script_started = ProcessWatch::start_time_of(parent);
    }
    if (may_log(uid)) log::info("service is watched", {{"name", service.name}, {"pid", pid}});
    Service& adopted = add(std::move(service));
    kept_changed_();
    return &adopted;
}

NotifySocket::Service& NotifySocket::add(Service service) {
    service.timer = std::make_unique<MonitorTimer>(clock_);
    service.process = std::make_unique<ProcessWatch>(clock_.io());
    service.judging = std::make_unique<runtime::Timer>(clock_.io());
    const pid_t pid = service.pid;
    Service& added = services_.insert_or_assign(pid, std::move(service)).first->second;
    watch(added, pid);
    return added;
}

void NotifySocket::feed(Service& service) {
    if (service.unfed) return;
    board_.set(service_source(service.name), true, {});
    if (std::exchange(service.fed, clock_.now()) == base::kNever) kept_changed_();
    await_next(service);
}

/// With another time. One that is overdue stays so until it sends the next one.
void NotifySocket::await_again(Service& service) {
    const bool is_awaited = service.fed != base::kNever && !service.unfed;
    if (is_awaited && !board_.reason(service_source(service.name))) await_next(service);
}

void NotifySocket::await_next(Service& service) {
    service.timer->arm(service.fed + watchdog_of(service), [this, &service] {
        if (ProcessWatch::is_gone(service.pid)) return process_ended(service, kMostUnread);
        board_.set(service_source(service.name), false,
                   "sent no WATCHDOG=1 within " + std::to_string(watchdog_of(service).count()) + " ms" +
                       (service.status.empty() ? "" : ": " + service.status));
    });
}

void NotifySocket::reconfigure(const ApplicationSettings& settings) {
    const bool new_watchdog = settings.watchdog != settings_.watchdog;
    settings_.max = settings.max;
    settings_.max_per_user = settings.max_per_user;
    settings_.watchdog = settings.watchdog;
    early_.set_max_per_user(settings.max_per_user);
    for (auto& [pid, service] : services_) {
        if (new_watchdog && !service.own_watchdog) await_again(service);
    }
}

void NotifySocket::keep(std::vector<Kept>& out) const {
    for (const auto& [pid, service] : services_) {
        Kept kept{"service", service.name, service.uid, pid, service.started, service.identity};
        const auto reason = board_.reason(service_source(service.name));
        kept.health = {!reason, reason.value_or("")};
        kept.stopping = service.stopping;
        if (service.fed != base::kNever) kept.time = watchdog_of(service);
        kept.own_time = service.own_watchdog.value_or(base::Millis(0));
        out.push_back(std::move(kept));
    }
    for (const Ended& each : ended_) {
        Kept kept{"service", each.name, each.uid, 0, {}, each.identity, true};
        kept.health = {!each.is_fault, each.why};
        kept.left_out = each.left_out;
        out.push_back(std::move(kept));
    }
}

void NotifySocket::restore(const Kept& kept) {
    const std::string started = kept.pid > 0 ? ProcessWatch::start_time_of(kept.pid) : "";
    if (!kept.ended && !started.empty() && started == kept.started) {
        Service service;
        service.name = kept.name;
        service.identity = kept.identity;
        service.pid = kept.pid;
        service.uid = kept.uid;
        service.stopping = kept.stopping;
        // What it sent while nobody was there is lost: one that was stopping may have started again in place, and is
        // awaited once it feeds its watchdog.
        if (kept.time > base::Millis(0) && !kept.stopping) service.fed = clock_.now();
        if (kept.own_time > base::Millis(0)) service.own_watchdog = kept.own_time;
        Service& known = add(std::move(service));
        if (!kept.health.healthy) return board_.set(service_source(kept.name), false, kept.health.reason);
        if (known.fed != base::kNever) await_next(known);
        return;
    }
    if (kept.stopping) return;
    const bool was_well = kept.health.healthy;
    std::string why = kept.health.reason;
    if (!kept.ended) why = was_well ? kEndedUnseen : why + ", and ended while vitalwired was not there";
    add_ended({kept.name, kept.identity, kept.uid, why, !was_well, kept.left_out});
}

/// What it sent before its end still counts: it may say that it stops, or name another main process.
void NotifySocket::process_ended(Service& service, int most_reads) {
    const pid_t pid = service.pid;
    const bool may_be_more = most_reads > 0 && receive();
    if (service.pid != pid) return;
    if (!may_be_more) return ended(service);
    service.judging->after(base::Millis(0), [this, &service, most_reads] { process_ended(service, most_reads - 1); });
}

void NotifySocket::ended(const Service& service) {
    const auto node = services_.extract(service.pid);  // the service lives as long
    if (may_log(service.uid))
        log::info("service ended", {{"name", service.name}, {"pid", service.pid}, {"in_order", service.stopping}});
    kept_changed_();
    if (service.stopping) return board_.remove(service_source(service.name));
    if (was_helper(service)) {
        board_.remove(service_source(service.name));
        const auto known = services_.find(service.script);
        if (Service* script = known == services_.end() ? adopt(service.script, service.uid) : &known->second) {
            if (!service.status.empty()) script->status = service.status;
            if (service.own_watchdog) script->own_watchdog = service.own_watchdog;
            // One that was watched for its end alone stays so: it may have been a service that crashed.
            if (service.fed != base::kNever && (known == services_.end() || script->fed != base::kNever)) feed(*script);
        }
        return;
    }
    if (!service.identity.empty()) return add_ended({service.name, service.identity, service.uid, kEndedWithout});
    // It may have been a helper that notified for another process, or the service itself.
    board_.remove(service_source(service.name));
    add_ended({service.name, service.identity, service.uid, kEndedUnknown, false});
}

/// True when it ended right after its first words and has left the script that started it: it notified for that one.
bool NotifySocket::was_helper(const Service& service) {
    return service.script != 0 && clock_.now() < service.adopted + kHelperTime &&
           ProcessWatch::start_time_of(service.script) == service.script_started;
}

void NotifySocket::add_ended(Ended gone) {
    make_room(gone.uid);
    show_ended(gone);
    ended_.push_back(std::move(gone));
}

/// The oldest of the same user makes room, a fault only where all are, and is counted then: nothing but a person can
/// end it without its name.
void NotifySocket::make_room(uid_t uid) {
    const auto mine = [&](const Ended& each) { return each.uid == uid && each.left_out == 0; };
    const auto count = std::count_if(ended_.begin(), ended_.end(), mine);
    if (static_cast<std::size_t>(count) < (uid == 0 ? settings_.max : settings_.max_per_user)) return;
    const auto spare =
        std::find_if(ended_.begin(), ended_.end(), [&](const Ended& each) { return mine(each) && !each.is_fault; });
    if (spare != ended_.end()) return erase(spare);
    auto others = std::find_if(ended_.begin(), ended_.end(),
                               [&](const Ended& each) { return each.uid == uid && each.left_out > 0; });
    if (others == ended_.end()) others = ended_.insert(others, {others_of(uid), {}, uid, {}});
    others->why = std::string(kEndedWithout) + ": " + others_reason(++others->left_out);
    show_ended(*others);
    const auto oldest = std::find_if(ended_.begin(), ended_.end(), mine);
    log::warning("the name of an ended service is dropped, too many have ended",
                 {{"name", oldest->name}, {"uid", uid}, {"dropped", others->left_out}});
    erase(oldest);
}

void NotifySocket::show_ended(const Ended& gone) {
    const std::string source = service_source(gone.name);
    gone.is_fault ? board_.set(source, false, gone.why) : board_.warn(source, gone.why);
}

void NotifySocket::erase(std::vector<Ended>::iterator ended) {
    const std::string source = service_source(ended->name);
    ended_.erase(ended);
    board_.remove(source);
    board_.withdraw_warning(source);
}

bool NotifySocket::may_log(uid_t uid) {
    return log_limit_.take(clock_.now(), "user " + std::to_string(uid));
}

/// A hang of one that feeds no watchdog goes unnoticed: the list says so.
std::string NotifySocket::healthy_words(const Service& service) const {
    if (service.fed != base::kNever && watchdog_of(service) != kNoWatchdog) return service.status;
    return service.status + (service.status.empty() ? "" : "; ") + std::string(kEndAlone);
}

std::vector<app::Item> NotifySocket::list() const {
    std::vector<app::Item> items;
    for (const auto& [pid, service] : services_) {
        const auto reason = board_.reason(service_source(service.name));
        items.push_back({"service", service.name, reason ? "unhealthy" : "healthy",
                         reason.value_or(healthy_words(service)), pid, service.uid});
    }
    for (const Ended& each : ended_)
        items.push_back({"service",
                         each.name,
                         "ended",
                         each.why.starts_with(kEnded) ? each.why.substr(kEnded.size()) : each.why,
                         {},
                         each.uid});
    for (app::Item& each : unwatched_.list())
        items.push_back(std::move(each));
    return items;
}

bool NotifySocket::forget(uid_t uid, const std::string& name) {
    const auto ended = std::find_if(ended_.begin(), ended_.end(), [&](const Ended& each) { return each.name == name; });
    if (ended == ended_.end() || (uid != 0 && uid != ended->uid)) return false;
    erase(ended);
    return true;
}

}  // namespace vitalwire::guest
