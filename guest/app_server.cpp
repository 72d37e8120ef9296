#include "guest/app_server.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "guest/accounts.hpp"
#include "guest/reason.hpp"
#include "runtime/unix_listener.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;

namespace {

constexpr std::chrono::seconds kListenRetry{5};
constexpr mode_t kSocketMode = 0660;
constexpr mode_t kFolderMode = 0755;
constexpr int kApplicationsWaiting = 64;

std::string source_of(const std::string& name) {
    return "application " + name;
}

}  // namespace

AppServer::AppServer(MonitorClock& clock, HealthBoard& board, GroupApp& group, ApplicationSettings settings,
                     ActionVotes& votes)
    : clock_(clock),
      board_(board),
      group_(group),
      votes_(votes),
      settings_(std::move(settings)),
      listener_(clock.io()),
      retry_(clock.io()),
      unwatched_(clock, board),
      reports_(clock, board),
      services_(clock, board, settings_) {
    reports_.set_max_per_user(settings_.max_per_user);
}

AppServer::~AppServer() {
    close();
}

void AppServer::start() {
    if (!settings_.socket.empty()) listen();
    services_.start();
}

void AppServer::stop() {
    retry_.cancel();
    services_.stop();
    close();
}

void AppServer::close() {
    unwatched_.stop();
    for (const auto& connection : connections_)
        connection->close();
    connections_.clear();
    names_.clear();
    if (!listener_.is_open()) return;
    boost::system::error_code ignored;
    listener_.close(ignored);
    ::unlink(settings_.socket.c_str());
}

void AppServer::listen() {
    // Made by the service manager where there is one.
    const std::size_t slash = settings_.socket.rfind('/');
    if (slash > 0) ::mkdir(settings_.socket.substr(0, slash).c_str(), kFolderMode);
    const auto listener =
        runtime::open_unix_listener(settings_.socket, SOCK_SEQPACKET, kSocketMode, kApplicationsWaiting);
    base::Result<void> result = {};
    if (!listener) result = tl::make_unexpected(listener.error());
    if (listener) {
        listener_.assign(*listener);
        result = give_to_group(settings_.socket, settings_.group);
    }
    if (result) {
        problem_.clear();
        return wait();
    }
    if (std::exchange(problem_, result.error().message) != problem_)
        log::error("applications cannot connect, trying again every 5 s", {{"why", problem_}});
    boost::system::error_code ignored;
    listener_.close(ignored);
    retry(&AppServer::listen);
}

void AppServer::wait() {
    listener_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
        if (!error) accept();
    });
}

void AppServer::accept() {
    const int descriptor = ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
        const bool passing = errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
        return passing ? wait() : retry(&AppServer::wait);
    }
    const auto connection = std::make_shared<AppConnection>(clock_, group_, descriptor, static_cast<Owner&>(*this));
    if (const auto room = make_room(connection->uid()); !room) {
        refused(*connection, {}, room.error());
        connection->turn_away(room.error());
    } else {
        connections_.push_back(connection);
        connection->start();
    }
    wait();
}

void AppServer::set_limits(std::size_t max, std::size_t max_per_user) {
    settings_.max = max;
    settings_.max_per_user = max_per_user;
    reports_.set_max_per_user(max_per_user);
}

base::Result<void> AppServer::make_room(uid_t uid) {
    if (uid != 0 && connections_of(uid) >= settings_.max_per_user && !evict_idle(uid)) {
        return fail(Errc::too_many, "user " + std::to_string(uid) + " has " + std::to_string(settings_.max_per_user) +
                                        " applications already, [applications] max_per_user");
    }
    if (connections_.size() >= settings_.max && !evict_idle(std::nullopt)) {
        return fail(Errc::too_many,
                    "there are " + std::to_string(settings_.max) + " applications already, [applications] max");
    }
    return {};
}

bool AppServer::evict_idle(std::optional<uid_t> uid) {
    const auto idle = std::find_if(connections_.begin(), connections_.end(),
                                   [&](const auto& each) { return each->idle() && (!uid || each->uid() == *uid); });
    if (idle == connections_.end()) return false;
    const auto evicted = *idle;
    connections_.erase(idle);
    log::debug("idle connection of an application closed to make room", {{"pid", evicted->pid()}});
    evicted->turn_away({Errc::too_many, "closed to make room: nothing was registered"});
    return true;
}

std::size_t AppServer::connections_of(uid_t uid) const {
    return static_cast<std::size_t>(
        std::count_if(connections_.begin(), connections_.end(), [&](const auto& each) { return each->uid() == uid; }));
}

void AppServer::retry(void (AppServer::*what)()) {
    retry_.after(kListenRetry, [this, what] { (this->*what)(); });
}

void AppServer::forget_ended() {
    const auto ended = std::exchange(ended_, {});
    for (const Ended& each : ended)
        board_.remove(source_of(each.name));
}

std::vector<AppServer::Ended>::iterator AppServer::find_ended(const std::string& name) {
    return std::find_if(ended_.begin(), ended_.end(), [&](const Ended& each) { return each.name == name; });
}

base::Result<void> AppServer::admit(AppConnection& connection, const std::string& name) {
    if (const auto holder = names_.find(name); holder != names_.end()) {
        if (!holder->second->hung_up())
            return fail(Errc::in_use, "an application called '" + name + "' is registered already");
        // Its end was not handled yet.
        AppConnection& old = *holder->second;
        old.close();
        closed(old);
    }
    if (const auto ended = find_ended(name); ended != ended_.end()) {
        // Another user's application must not wipe out the trace of one that died.
        if (connection.uid() != 0 && connection.uid() != ended->uid)
            return fail(Errc::in_use, "the application called '" + name + "' belonged to another user");
        ended_.erase(ended);
    }
    names_.emplace(name, &connection);
    unwatched_.remove(source_of(name));
    return {};
}

void AppServer::add_ended(const std::string& name, uid_t uid) {
    // They take no place of a living one. The oldest of the same user makes room: the guest stays unhealthy by the
    // rest.
    const auto mine = [&](const Ended& each) { return each.uid == uid; };
    const auto count = std::count_if(ended_.begin(), ended_.end(), mine);
    if (static_cast<std::size_t>(count) >= settings_.max_per_user) {
        const auto oldest = std::find_if(ended_.begin(), ended_.end(), mine);
        board_.remove(source_of(oldest->name));
        ended_.erase(oldest);
    }
    const std::string last_words = board_.reason(source_of(name)).value_or("");
    const std::string how = "without deregistering" + (last_words.empty() ? "" : ": " + last_words);
    ended_.push_back({name, uid, how});
    board_.set(source_of(name), false, "ended " + how);
}

void AppServer::refused(AppConnection& connection, const std::string& name, const base::Error& error) {
    if (!name.empty()) return unwatched_.add(source_of(name), "wanted to be watched and is not", error);
    if (error.code == Errc::too_many)
        return unwatched_.add("an application of user " + std::to_string(connection.uid()), "cannot connect", error);
    log_refusal(connection, connection.name(), error.message);
}

std::vector<std::string> AppServer::ask(const wire::ActionNotify& notify) {
    std::vector<std::string> names;
    // One that does not read is closed, and erased, while it is asked.
    for (const auto& each : std::vector(connections_)) {
        if (each->ask(notify)) names.push_back(each->voter());
    }
    return names;
}

void AppServer::voted(AppConnection& connection, const app::Vote& vote) {
    votes_.vote(connection.voter(), vote.action, vote.result, tidy_reason(vote.reason));
}

void AppServer::abstains(AppConnection& connection) {
    votes_.left(connection.voter());
}

base::Result<void> AppServer::set(AppConnection& connection, const app::Set& report) {
    return reports_.set(connection.uid(), report);
}

base::Result<void> AppServer::forget(AppConnection& connection, const std::string& name) {
    const auto ended = find_ended(name);
    if (ended == ended_.end()) {
        if (services_.forget(connection.uid(), name)) return {};
        return reports_.forget(connection.uid(), name);
    }
    if (connection.uid() != 0 && connection.uid() != ended->uid)
        return fail(Errc::in_use, "the application called '" + name + "' belonged to another user");
    ended_.erase(ended);
    board_.remove(source_of(name));
    return {};
}

app::Status AppServer::status(std::int64_t from) {
    app::Status status = overview_();
    std::vector<app::Item>& items = status.items;
    for (const auto& [name, connection] : names_) {
        const auto reason = board_.reason(source_of(name));
        items.push_back({"application", name, reason ? "unhealthy" : "healthy", reason.value_or(""), connection->pid(),
                         connection->uid()});
    }
    for (const Ended& each : ended_)
        items.push_back({"application", each.name, "ended", each.how, {}, each.uid});
    for (app::Item& each : unwatched_.list())
        items.push_back(std::move(each));
    for (app::Item& each : reports_.list())
        items.push_back(std::move(each));
    for (app::Item& each : services_.list())
        items.push_back(std::move(each));
    status.total = static_cast<std::int64_t>(items.size());
    items.erase(items.begin(), items.begin() + std::min(from, status.total));
    return status;
}

void AppServer::log_refusal(const AppConnection& connection, const std::string& name, const std::string& why) {
    if (!may_log(connection)) return;
    log::info("request of an application refused",
              {{"pid", connection.pid()}, {"uid", connection.uid()}, {"name", name}, {"why", why}});
}

bool AppServer::may_log(const AppConnection& connection) {
    return log_limit_.take(clock_.now(), "user " + std::to_string(connection.uid()));
}

void AppServer::health_changed(AppConnection& connection, const heartbeat::Health& health) {
    board_.set(source_of(connection.name()), health.healthy, health.reason);
}

void AppServer::deregistered(AppConnection& connection) {
    names_.erase(connection.name());
    board_.remove(source_of(connection.name()));
}

void AppServer::closed(AppConnection& connection) {
    abstains(connection);
    if (!connection.name().empty()) {
        names_.erase(connection.name());
        add_ended(connection.name(), connection.uid());
    }
    const auto same = [&](const auto& each) { return each.get() == &connection; };
    const auto found = std::find_if(connections_.begin(), connections_.end(), same);
    if (found != connections_.end()) connections_.erase(found);
}

}  // namespace vitalwire::guest
