#include "guest/app_command.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/text.hpp"
#include "runtime/standard_output.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;
using nlohmann::json;

namespace {

constexpr int kFailure = 1;
constexpr int kNotWatched = 3;
constexpr int kPatienceMs = 5000;
constexpr const char* kDefaultSocket = "/run/vitalwire/guest.sock";

std::string socket_path(const std::string& given) {
    if (!given.empty()) return given;
    const char* from_environment = ::secure_getenv("VITALWIRE_SOCKET");
    return from_environment == nullptr ? kDefaultSocket : from_environment;
}

class Socket {
public:
    Socket() : descriptor_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
        // A vitalwired that stands still takes no connections: the queue of them is full at some time.
        const timeval patience{kPatienceMs / 1000, 0};
        ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    ~Socket() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    base::Result<void> connect(const std::string& path) const {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        if (path.empty() || path.size() >= sizeof address.sun_path)
            return fail(Errc::config, "the path of a socket has 1 to 107 bytes: " + base::escape(path));
        std::memcpy(address.sun_path, path.data(), path.size());
        if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return {};
        if (errno == EAGAIN) return fail(Errc::timeout, "vitalwired did not answer within 5 s");
        return fail(Errc::disconnected, "cannot connect to vitalwired on " + base::escape(path) + ": " +
                                            std::generic_category().message(errno));
    }
    /// A failure shows itself in receive(), behind the reason that the daemon may have given.
    void send(const std::string& datagram) const {
        ::send(descriptor_, datagram.data(), datagram.size(), MSG_NOSIGNAL);
    }
    base::Result<std::string> receive() const {
        std::array<char, app::kMaxDatagram> buffer;
        pollfd ready{descriptor_, POLLIN, 0};
        if (::poll(&ready, 1, kPatienceMs) != 1) return fail(Errc::timeout, "vitalwired did not answer within 5 s");
        ssize_t size = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
        // A daemon that left the request unread shows as ECONNRESET, once; its refusal still follows.
        if (size < 0 && errno == ECONNRESET) size = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
        if (size <= 0) return fail(Errc::disconnected, "vitalwired went away");
        return std::string(buffer.data(), static_cast<std::size_t>(size));
    }

private:
    int descriptor_;
};

base::Result<app::Status> ask_status(const std::string& socket) {
    app::Status status;
    do {
        const auto from = static_cast<std::int64_t>(status.items.size());
        auto event = ask_daemon(socket, app::StatusRequest{from});
        if (!event) return tl::make_unexpected(event.error());
        if (const auto* refused = std::get_if<app::Refused>(&*event)) return tl::make_unexpected(refused->error);
        auto* page = std::get_if<app::Status>(&*event);
        if (page == nullptr) return fail(Errc::malformed, "vitalwired sent another answer than a status");
        std::vector<app::Item> items = std::move(status.items);
        items.insert(items.end(), page->items.begin(), page->items.end());
        const bool was_empty = page->items.empty();
        status = std::move(*page);
        status.items = std::move(items);
        if (was_empty) break;
    } while (static_cast<std::int64_t>(status.items.size()) < status.total);
    return status;
}

json item_json(const app::Item& item) {
    json out = {{"kind", item.kind}, {"name", item.name}, {"state", item.state}, {"reason", item.reason}};
    if (item.pid) out["pid"] = *item.pid;
    if (item.uid) out["uid"] = *item.uid;
    return out;
}

void print(const std::string& text) {
    std::puts(text.c_str());
}

int end_printing(int status) {
    return runtime::finish_output("vitalwire-app", status);
}

int print_outcome(const base::Result<app::Event>& event) {
    if (!event) return complain(event.error().message);
    if (const auto* refused = std::get_if<app::Refused>(&*event)) return complain(refused->error.message);
    return 0;
}

}  // namespace

int complain(const std::string& what) {
    std::fprintf(stderr, "vitalwire-app: %s\n", what.c_str());
    return kFailure;
}

base::Result<app::Event> ask_daemon(const std::string& socket, const app::Request& request) {
    const Socket connection;
    if (const auto connected = connection.connect(socket_path(socket)); !connected)
        return tl::make_unexpected(connected.error());
    connection.send(app::encode(request));
    const auto answer = connection.receive();
    if (!answer) return tl::make_unexpected(answer.error());
    return app::decode_event(*answer);
}

int send_report(const AppCommand& command) {
    const std::string why = command.operands.size() > 2 ? command.operands[2] : "";
    return print_outcome(ask_daemon(
        command.socket, app::Set{command.operands[0], {command.operands[1] == "healthy", why}, command.every}));
}

int send_forget(const AppCommand& command) {
    return print_outcome(ask_daemon(command.socket, app::Forget{command.operands[0]}));
}

int print_list(const AppCommand& command) {
    const auto status = ask_status(command.socket);
    if (!status) return complain(status.error().message);
    for (const app::Item& item : status->items) {
        if (command.json) {
            print(wire::dump(item_json(item)));
        } else {
            print(item.kind + '\t' + base::escape(item.name) + '\t' + item.state + '\t' +
                  (item.reason.empty() ? "-" : base::escape(item.reason)));
        }
    }
    return end_printing(0);
}

int print_status(const AppCommand& command) {
    const auto status = ask_status(command.socket);
    if (!status) {
        const Errc code = status.error().code;
        const bool is_away = code == Errc::config || code == Errc::disconnected || code == Errc::timeout;
        complain(status.error().message);
        return is_away ? kNotWatched : kFailure;
    }
    if (command.json) {
        json items = json::array();
        for (const app::Item& item : status->items)
            items.push_back(item_json(item));
        print(wire::dump({{"registered", status->registered},
                          {"host", status->host},
                          {"healthy", status->health.healthy},
                          {"reason", status->health.reason},
                          {"items", std::move(items)}}));
    } else {
        print("host:     " + std::string(status->registered ? "watches this guest" : "does not watch this guest: ") +
              (status->registered ? "" : base::escape(status->host)));
        print("health:   " + std::string(status->health.healthy ? "healthy" : "unhealthy"));
        if (!status->health.reason.empty()) print("reason:   " + base::escape(status->health.reason));
        print("watched:  " + std::to_string(status->total) + ", see vitalwire-app list");
    }
    if (!status->registered) return end_printing(kNotWatched);
    return end_printing(status->health.healthy ? 0 : kFailure);
}

}  // namespace vitalwire::guest
