#include "guest/notify_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "guest/accounts.hpp"
#include "guest/reason.hpp"
#include "runtime/file.hpp"
#include "runtime/unix_listener.hpp"

namespace vitalwire::guest {

namespace {

constexpr std::chrono::seconds kNotifyRetry{5};
constexpr mode_t kNotifyMode = 0660;
constexpr std::size_t kMaxComm = 256;
constexpr std::size_t kMaxStat = 4096;
constexpr std::size_t kMaxCgroup = 8192;
constexpr std::size_t kMaxCommandLine = 8192;
constexpr int kMostGenerations = 8;
constexpr std::size_t kMaxNotification = 4096;
constexpr std::int64_t kLargestWatchdogUsec = 3'600'000'000;
constexpr std::size_t kMaxProgram = 512;
constexpr std::string_view kEnded = "ended ";
constexpr const char* kEndedWithout = "ended without STOPPING=1";
constexpr const char* kEndedUnseen = "ended while vitalwired was not there, in order or not";

/// What the service manager's protocol says in one datagram.
struct Notification {
    bool ready = false;
    bool watchdog = false;
    bool trigger = false;
    bool stopping = false;
    std::optional<std::string> status;
    std::optional<base::Millis> watchdog_time;
    std::optional<pid_t> main_pid;  ///< 0: none that can be
};

template <class Number>
std::optional<Number> parse_whole(std::string_view digits) {
    Number value = 0;
    const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || rest != digits.data() + digits.size()) return std::nullopt;
    return value;
}

Notification parse_notification(std::string_view message) {
    Notification out;
    while (!message.empty()) {
        const std::size_t end = std::min(message.find('\n'), message.size());
        const std::string_view line = message.substr(0, end);
        message.remove_prefix(std::min(end + 1, message.size()));
        if (line == "READY=1") out.ready = true;
        if (line == "WATCHDOG=1") out.watchdog = true;
        if (line == "WATCHDOG=trigger") out.trigger = true;
        if (line == "STOPPING=1") out.stopping = true;
        if (line.starts_with("STATUS=")) out.status = tidy_reason(line.substr(7));
        if (line.starts_with("MAINPID=")) out.main_pid = parse_whole<pid_t>(line.substr(8)).value_or(0);
        if (!line.starts_with("WATCHDOG_USEC=")) continue;
        const auto usec = parse_whole<std::int64_t>(line.substr(14));
        if (usec && *usec >= 1000 && *usec <= kLargestWatchdogUsec) out.watchdog_time = base::Millis(*usec / 1000);
    }
    return out;
}

/// The name of a process's program, as far as it is a plain name.
std::string program_of(pid_t pid) {
    const auto comm = runtime::read_file("/proc/" + std::to_string(pid) + "/comm", kMaxComm);
    const std::string name = comm ? comm->substr(0, comm->find('\n')) : "";
    return base::is_plain_name(name, app::kMaxName) ? name : "pid-" + std::to_string(pid);
}

/// What a process runs in, when it is a service of the service manager; else empty.
std::string unit_of(pid_t pid) {
    const auto text = runtime::read_file("/proc/" + std::to_string(pid) + "/cgroup", kMaxCgroup);
    if (!text) return {};
    for (std::size_t at = 0; at < text->size();) {
        const std::size_t end = std::min(text->find('\n', at), text->size());
        const std::string line = text->substr(at, end - at);
        at = end + 1;
        if (line.ends_with(".service")) return line.substr(line.find('/') + 1);
    }
    return {};
}

/// What stays the same when a service is started again, and is no other's: several may run the same program.
std::string identity_of(pid_t pid, uid_t uid) {
    const std::string process = "/proc/" + std::to_string(pid);
    if (const std::string unit = unit_of(pid); !unit.empty())
        return std::to_string(uid) + " " + base::escape(unit, kMaxProgram) + " " + program_of(pid);
    std::error_code none;
    const auto program = std::filesystem::read_symlink(process + "/exe", none);
    const std::string arguments = runtime::read_file(process + "/cmdline", kMaxCommandLine).value_or("");
    return std::to_string(uid) + " " + base::escape(program.string(), kMaxProgram) + " " +
           std::to_string(std::hash<std::string>{}(arguments));
}

bool belongs_to(pid_t pid, uid_t uid) {
    struct stat found {};
    return pid > 0 && ::stat(("/proc/" + std::to_string(pid)).c_str(), &found) == 0 && found.st_uid == uid;
}

/// 0 when it is not known.
pid_t parent_of(pid_t pid) {
    const auto text = runtime::read_file("/proc/" + std::to_string(pid) + "/stat", kMaxStat);
    if (!text) return 0;
    // The name before it may hold anything: "PID (NAME) STATE PARENT ...".
    const std::size_t name_end = text->rfind(") ");
    if (name_end == std::string::npos || name_end + 4 >= text->size()) return 0;
    const std::string_view rest = std::string_view(*text).substr(name_end + 4);
    return parse_whole<pid_t>(rest.substr(0, rest.find(' '))).value_or(0);
}

std::string service_source(const std::string& name) {
    return "service " + name;
}

}  // namespace

NotifySocket::NotifySocket(MonitorClock& clock, HealthBoard& board, ApplicationSettings settings)
    : clock_(clock),
      board_(board),
      settings_(std::move(settings)),
      socket_(clock.io()),
      retry_(clock.io()),
      unwatched_(clock, board) {}

NotifySocket::~NotifySocket() {
    stop();
}

void NotifySocket::start() {
    if (settings_.notify_socket.empty()) return;
    const auto opened = open();
    if (opened) {
        problem_.clear();
        return wait();
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
    if (!socket_.is_open()) return;
    boost::system::error_code ignored;
    socket_.close(ignored);
    ::unlink(settings_.notify_socket.c_str());
}

base::Result<void> NotifySocket::open() {
    const auto descriptor = runtime::open_unix_listener(settings_.notify_socket, SOCK_DGRAM, kNotifyMode, 0);
    if (!descriptor) return tl::make_unexpected(descriptor.error());
    socket_.assign(*descriptor);
    const int on = 1;
    ::setsockopt(*descriptor, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    return give_to_group(settings_.notify_socket, settings_.group);
}

void NotifySocket::wait() {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
        if (error) return;
        receive();
        wait();
    });
}

void NotifySocket::receive() {
    std::array<char, kMaxNotification> buffer;
    alignas(cmsghdr) std::array<char, 256> control;
    iovec part{buffer.data(), buffer.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket_.native_handle(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return;
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
}

void NotifySocket::handle(pid_t pid, uid_t uid, std::string_view message) {
    const Notification told = parse_notification(message);
    Service* service = find(pid, uid);
    if (told.main_pid && (service == nullptr || service->pid != *told.main_pid)) {
        if (uid != 0 ? !belongs_to(*told.main_pid, uid)
                     : ProcessWatch::is_gone(*told.main_pid) || *told.main_pid <= 0) {
            if (may_log(uid))
                log::warning("notification dropped, its MAINPID is no process of its user",
                             {{"pid", pid}, {"uid", uid}, {"main_pid", *told.main_pid}});
            return;
        }
        service = service == nullptr ? find(*told.main_pid, uid) : move(*service, *told.main_pid);
        pid = *told.main_pid;
    }
    if (service == nullptr && (told.ready || told.watchdog)) service = adopt(pid, uid);
    if (service == nullptr) return;
    if (told.status) service->status = *told.status;
    if (told.watchdog_time && std::exchange(service->own_watchdog, told.watchdog_time) != told.watchdog_time)
        kept_changed_();
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

void NotifySocket::set_stopping(Service& service, bool stopping) {
    service.unfed = stopping;
    if (std::exchange(service.stopping, stopping) != stopping) kept_changed_();
}

/// The service for which a process notifies: its own, or that of the process which started it (systemd-notify(1) in a
/// script).
NotifySocket::Service* NotifySocket::find(pid_t pid, uid_t uid) {
    for (int generation = 0; pid > 1 && generation < kMostGenerations; ++generation, pid = parent_of(pid)) {
        const auto known = services_.find(pid);
        if (known == services_.end()) continue;
        // The process itself may have become another user since.
        return generation == 0 || known->second.uid == uid ? &known->second : nullptr;
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
    service.process->start(pid, [this, &service] { ended(service.pid); });
}

/// That of its program, where no other has it or is missed by it.
std::string NotifySocket::free_name(pid_t pid) const {
    const std::string name = program_of(pid);
    const bool is_taken =
        std::any_of(services_.begin(), services_.end(), [&](const auto& each) { return each.second.name == name; }) ||
        std::any_of(ended_.begin(), ended_.end(), [&](const Ended& each) { return each.name == name; });
    return is_taken ? name.substr(0, app::kMaxName - 11) + "-" + std::to_string(pid) : name;
}

NotifySocket::Service* NotifySocket::adopt(pid_t pid, uid_t uid) {
    const auto mine =
        std::count_if(services_.begin(), services_.end(), [&](const auto& each) { return each.second.uid == uid; });
    const bool user_is_full = uid != 0 && static_cast<std::size_t>(mine) >= settings_.max_per_user;
    if (user_is_full || services_.size() >= settings_.max) {
        unwatched_.add(service_source(program_of(pid)), "wanted to be watched and is not",
                       {base::Errc::too_many, user_is_full ? "its user has too many, [applications] max_per_user"
                                                           : "there are too many, [applications] max"});
        return nullptr;
    }
    Service service;
    service.identity = identity_of(pid, uid);
    // Its own fault of an earlier life ends here, and no other's.
    const auto earlier = std::find_if(ended_.begin(), ended_.end(),
                                      [&](const Ended& each) { return each.identity == service.identity; });
    service.name = earlier == ended_.end() ? free_name(pid) : earlier->name;
    if (earlier != ended_.end()) erase(earlier);
    unwatched_.remove(service_source(service.name));
    service.pid = pid;
    service.uid = uid;
    if (may_log(uid)) log::info("service is watched", {{"name", service.name}, {"pid", pid}});
    Service& adopted = add(std::move(service));
    kept_changed_();
    return &adopted;
}

NotifySocket::Service& NotifySocket::add(Service service) {
    service.timer = std::make_unique<MonitorTimer>(clock_);
    service.process = std::make_unique<ProcessWatch>(clock_.io());
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

void NotifySocket::await_next(Service& service) {
    service.timer->arm(service.fed + watchdog_of(service), [this, &service] {
        // What it has sent may lie unread while this daemon was busy.
        if (ProcessWatch::is_gone(service.pid)) return ended(service.pid);
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
    for (auto& [pid, service] : services_) {
        // One that is overdue stays so until it sends the next one.
        const bool is_awaited = service.fed != base::kNever && !service.unfed && !service.own_watchdog;
        if (new_watchdog && is_awaited && !board_.reason(service_source(service.name))) await_next(service);
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
    add_ended({kept.name, kept.identity, kept.uid, why, !was_well});
}

void NotifySocket::ended(pid_t pid) {
    auto found = services_.extract(pid);
    if (found.empty()) return;
    const Service& service = found.mapped();
    if (may_log(service.uid))
        log::info("service ended", {{"name", service.name}, {"pid", pid}, {"in_order", service.stopping}});
    kept_changed_();
    if (service.stopping) return board_.remove(service_source(service.name));
    add_ended({service.name, service.identity, service.uid, kEndedWithout});
}

void NotifySocket::add_ended(Ended gone) {
    // The oldest of the same user makes room: the guest stays unhealthy by the rest.
    const auto mine = [&](const Ended& each) { return each.uid == gone.uid; };
    if (static_cast<std::size_t>(std::count_if(ended_.begin(), ended_.end(), mine)) >= settings_.max_per_user)
        erase(std::find_if(ended_.begin(), ended_.end(), mine));
    const std::string source = service_source(gone.name);
    gone.is_fault ? board_.set(source, false, gone.why) : board_.warn(source, gone.why);
    ended_.push_back(std::move(gone));
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

std::vector<app::Item> NotifySocket::list() const {
    std::vector<app::Item> items;
    for (const auto& [pid, service] : services_) {
        const auto reason = board_.reason(service_source(service.name));
        items.push_back({"service", service.name, reason ? "unhealthy" : "healthy", reason.value_or(service.status),
                         pid, service.uid});
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
