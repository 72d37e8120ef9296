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
#include "base/text.hpp"
#include "guest/accounts.hpp"
#include "guest/descriptors.hpp"
#include "guest/reason.hpp"
#include "runtime/file.hpp"
#include "runtime/unix_listener.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;

namespace {

constexpr std::chrono::seconds kListenRetry{5};
constexpr mode_t kSocketMode = 0660;
constexpr mode_t kFolderMode = 0755;
constexpr int kApplicationsWaiting = 64;
constexpr std::size_t kMaxProgramName = 64;

/// Of an application whose registration gives no valid name.
std::string nameless_source(pid_t pid) {
    return application_source("pid-" + std::to_string(pid));
}

std::string name_of_program(pid_t pid) {
    const auto comm = runtime::read_file("/proc/" + std::to_string(pid) + "/comm", kMaxProgramName);
    return comm ? base::escape(comm->substr(0, comm->find('\n'))) : "unknown";
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
      file_(clock.io()),
      retry_(clock.io()),
      absent_(clock, board),
      unwatched_(clock, board),
      reports_(clock, board),
      services_(clock, board, settings_) {
    absent_.set_max(settings_.max, settings_.max_per_user);
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
    absent_.stop();
    unwatched_.stop();
    for (const auto& connection : connections_)
        connection->close();
    connections_.clear();
    names_.clear();
    if (!listener_.is_open()) return;
    boost::system::error_code ignored;
    listener_.close(ignored);
    file_.remove();
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
        file_.watch(settings_.socket, [this] { listen_again(); });
        return wait();
    }
    cannot_connect(result.error().message);
    boost::system::error_code ignored;
    listener_.close(ignored);
    retry(&AppServer::listen);
}

/// Those that are connected stay so.
void AppServer::listen_again() {
    retry_.cancel();
    boost::system::error_code ignored;
    listener_.close(ignored);
    listen();
}

void AppServer::cannot_connect(const std::string& why) {
    if (std::exchange(problem_, why) != problem_)
        log::error("applications cannot connect, trying again every 5 s", {{"why", problem_}});
}

void AppServer::wait() {
    listener_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
        if (!error) accept();
    });
}

void AppServer::accept() {
    const int descriptor = ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return wait();
        cannot_connect(std::generic_category().message(errno));
        return retry(&AppServer::wait);
    }
    problem_.clear();
    const auto connection = std::make_shared<AppConnection>(clock_, group_, descriptor, static_cast<Owner&>(*this));
    if (const auto room = make_room(connection->uid(), descriptor); !room) {
        turned_away(*connection, room.error());
        connection->turn_away(room.error());
    } else {
        connections_.push_back(connection);
        connection->start();
    }
    wait();
}

void AppServer::reconfigure(const ApplicationSettings& settings) {
    settings_.max = settings.max;
    settings_.max_per_user = settings.max_per_user;
    absent_.set_max(settings.max, settings.max_per_user);
    reports_.set_max_per_user(settings.max_per_user);
    services_.reconfigure(settings);
}

void AppServer::on_kept_changed(std::function<void()> changed) {
    services_.on_kept_changed(changed);
    kept_changed_ = std::move(changed);
}

void AppServer::keep(std::vector<Kept>& out) const {
    for (const auto& [name, connection] : names_) {
        const auto reason = board_.reason(application_source(name));
        const AppProcess process = connection->process();
        Kept kept{"application", name, process.uid, process.pid, process.started};
        kept.health = {!reason, reason.value_or("")};
        kept.time = connection->patience();
        out.push_back(std::move(kept));
    }
    absent_.keep(out);
    reports_.keep(out);
    services_.keep(out);
}

void AppServer::restore(const Kept& kept) {
    if (kept.kind == "application") absent_.restore(kept);
    if (kept.kind == "report") reports_.restore(kept);
    if (kept.kind == "service") services_.restore(kept);
}

/// For one that may only look or report: as many of them as of the others, which it cannot keep out, nor they it.
base::Result<void> AppServer::make_room(uid_t uid, int descriptor) {
    if (uid != 0 && count(true, uid) >= settings_.max_per_user) evict_idle(uid);
    if (count(true, std::nullopt) >= settings_.max) evict_idle(std::nullopt);
    if (!is_spare(descriptor) && !evict_idle(std::nullopt)) return fail(Errc::too_many, kTooFewDescriptors);
    return {};
}

base::Result<void> AppServer::take_place(const AppConnection& connection) {
    const uid_t uid = connection.uid();
    if (!connection.idle()) return {};
    if (uid != 0 && count(false, uid) >= settings_.max_per_user) {
        return fail(Errc::too_many, "user " + std::to_string(uid) + " has " + std::to_string(settings_.max_per_user) +
                                        " applications already, [applications] max_per_user");
    }
    if (count(false, std::nullopt) >= settings_.max) {
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

std::size_t AppServer::count(bool idle, std::optional<uid_t> uid) const {
    return static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(), [&](const auto& each) {
        return each->idle() == idle && (!uid || each->uid() == *uid);
    }));
}

void AppServer::retry(void (AppServer::*what)()) {
    retry_.after(kListenRetry, [this, what] { (this->*what)(); });
}

base::Result<void> AppServer::admit(AppConnection& connection, const std::string& name) {
    if (const auto holder = names_.find(name); holder != names_.end()) {
        if (!holder->second->hung_up())
            return fail(Errc::in_use, "an application called '" + name + "' is registered already");
        // Its end was not handled yet; what it sent before may deregister it.
        holder->second->process_ended();
    }
    if (auto place = take_place(connection); !place) return place;
    if (auto free = absent_.take_over(connection.process(), name); !free) return free;
    names_.emplace(name, &connection);
    unwatched_.remove(connection.uid(), application_source(name));
    unwatched_.remove(connection.uid(), nameless_source(connection.pid()));
    kept_changed_();
    return {};
}

void AppServer::refused(AppConnection& connection, const base::Error& error) {
    if (!may_log(connection)) return;
    log::info(
        "request of an application refused",
        {{"pid", connection.pid()}, {"uid", connection.uid()}, {"name", connection.name()}, {"why", error.message}});
}

void AppServer::turned_away(AppConnection& connection, const base::Error& error) {
    const uid_t uid = connection.uid();
    unwatched_.add(uid, "an application of user " + std::to_string(uid), "cannot connect", error);
}

void AppServer::not_watched(AppConnection& connection, const std::string& name, const base::Error& error) {
    const char* what = "wanted to be watched and is not";
    if (!name.empty()) return unwatched_.add(connection.uid(), application_source(name), what, error);
    const std::string why = error.message + ", in program " + name_of_program(connection.pid());
    unwatched_.add(connection.uid(), nameless_source(connection.pid()), what, {error.code, why});
}

std::vector<ActionVotes::Voter> AppServer::ask(const wire::ActionNotify& notify) {
    std::vector<Voter> voters;
    // One that does not read is closed, and erased, while it is asked.
    for (const auto& each : std::vector(connections_)) {
        if (each->ask(notify)) voters.push_back({each->id(), each->voter()});
    }
    return voters;
}

void AppServer::voted(AppConnection& connection, const app::Vote& vote) {
    votes_.vote({connection.id(), connection.voter()}, vote.action, vote.result, tidy_reason(vote.reason));
}

void AppServer::abstains(AppConnection& connection) {
    votes_.left(connection.id());
}

base::Result<void> AppServer::set(AppConnection& connection, const app::Set& report) {
    kept_changed_();
    return reports_.set(connection.uid(), report);
}

base::Result<void> AppServer::forget(AppConnection& connection, const std::string& name) {
    kept_changed_();
    // What another user left under that name keeps nobody from forgetting what is theirs.
    const auto ended = absent_.forget(connection.uid(), name);
    if (ended || services_.forget(connection.uid(), name)) return {};
    const auto report = reports_.forget(connection.uid(), name);
    return report || ended.error().code == Errc::not_found ? report : ended;
}

app::Status AppServer::status(std::int64_t from) {
    app::Status status = overview_();
    std::vector<app::Item>& items = status.items;
    for (const auto& [name, connection] : names_) {
        const auto reason = board_.reason(application_source(name));
        items.push_back({"application", name, reason ? "unhealthy" : "healthy", reason.value_or(""), connection->pid(),
                         connection->uid()});
    }
    for (app::Item& each : absent_.list())
        items.push_back(std::move(each));
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

bool AppServer::may_log(const AppConnection& connection) {
    return log_limit_.take(clock_.now(), "user " + std::to_string(connection.uid()));
}

void AppServer::health_changed(AppConnection& connection, const heartbeat::Health& health) {
    board_.set(application_source(connection.name()), health.healthy, health.reason);
}

void AppServer::deregistered(AppConnection& connection) {
    names_.erase(connection.name());
    board_.remove(application_source(connection.name()));
    kept_changed_();
}

void AppServer::closed(AppConnection& connection) {
    abstains(connection);
    if (!connection.name().empty()) {
        names_.erase(connection.name());
        absent_.add_ended(connection.name(), connection.process());
    }
    const auto same = [&](const auto& each) { return each.get() == &connection; };
    const auto found = std::find_if(connections_.begin(), connections_.end(), same);
    if (found != connections_.end()) connections_.erase(found);
}

}  // namespace vitalwire::guest
