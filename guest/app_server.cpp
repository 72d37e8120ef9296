#include "guest/app_server.hpp"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>
#include <vector>

#include "base/log.hpp"
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

/// Of the local groups only: what a name service elsewhere says cannot be had from a program without dynamic libraries.
std::optional<gid_t> find_group(const std::string& name) {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/etc/group", "re"), std::fclose);
    if (!file) return std::nullopt;
    // Only this thread reads this file.
    while (const ::group* entry = ::fgetgrent(file.get())) {  // NOLINT(concurrency-mt-unsafe)
        if (name == entry->gr_name) return entry->gr_gid;
    }
    return std::nullopt;
}

}  // namespace

AppServer::AppServer(Judge& judge, HealthBoard& board, GroupApp& group, ApplicationSettings settings)
    : judge_(judge),
      board_(board),
      group_(group),
      settings_(std::move(settings)),
      listener_(judge.io()),
      retry_(judge.io()) {}

AppServer::~AppServer() {
    close();
}

void AppServer::start() {
    if (!settings_.socket.empty()) listen();
}

void AppServer::stop() {
    retry_.cancel();
    close();
}

void AppServer::close() {
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
        result = give_to_group();
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

base::Result<void> AppServer::give_to_group() {
    if (settings_.group.empty()) return {};
    const auto group = find_group(settings_.group);
    if (!group) return fail(Errc::config, "there is no local group '" + settings_.group + "'");
    if (::chown(settings_.socket.c_str(), static_cast<uid_t>(-1), *group) == 0) return {};
    return fail(Errc::io, "cannot give " + settings_.socket + " to group '" + settings_.group +
                              "': " + std::generic_category().message(errno));
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
    const auto connection = std::make_shared<AppConnection>(judge_, group_, descriptor, static_cast<Owner&>(*this));
    if (connections_.size() >= settings_.max) {
        connection->turn_away({Errc::too_many, "there are " + std::to_string(settings_.max) +
                                                   " applications already, [applications] max"});
    } else {
        connections_.insert(connection);
        connection->start();
    }
    wait();
}

void AppServer::retry(void (AppServer::*what)()) {
    retry_.expires_after(kListenRetry);
    retry_.async_wait([this, what](boost::system::error_code error) {
        if (!error) (this->*what)();
    });
}

void AppServer::forget_ended() {
    const auto ended = std::exchange(ended_, {});
    for (const auto& [name, uid] : ended)
        board_.remove(source_of(name));
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
    const auto ended = ended_.find(name);
    if (ended == ended_.end()) {
        if (names_.size() + ended_.size() >= settings_.max) {
            return fail(Errc::too_many, "there are " + std::to_string(settings_.max) +
                                            " applications already, those that ended without deregistering included");
        }
    } else {
        // Another user's application must not wipe out the trace of one that died.
        if (connection.uid() != 0 && connection.uid() != ended->second)
            return fail(Errc::in_use, "the application called '" + name + "' belonged to another user");
        ended_.erase(ended);
    }
    names_.emplace(name, &connection);
    return {};
}

void AppServer::health_changed(AppConnection& connection, const heartbeat::Health& health) {
    board_.set(source_of(connection.name()), health.healthy, health.reason);
}

void AppServer::deregistered(AppConnection& connection) {
    names_.erase(connection.name());
    board_.remove(source_of(connection.name()));
}

void AppServer::closed(AppConnection& connection) {
    if (!connection.name().empty()) {
        names_.erase(connection.name());
        ended_.emplace(connection.name(), connection.uid());
        board_.set(source_of(connection.name()), false, "ended without deregistering");
    }
    const auto same = [&](const auto& each) { return each.get() == &connection; };
    const auto found = std::find_if(connections_.begin(), connections_.end(), same);
    if (found != connections_.end()) connections_.erase(found);
}

}  // namespace vitalwire::guest
