#include "relay.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>

#include "sockets.hpp"

namespace vitalwire::bench {

namespace {

std::array<int, 2> pair_of_sockets() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) give_up("socketpair");
    return ends;
}

void write_all(int descriptor, const std::string& text) {
    if (::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) ::_exit(1);
}

/// The next message; they come one at a time, as a rare broadcast does. Ends the process with its peer.
nlohmann::json read_message(int descriptor) {
    std::string line;
    std::array<char, 8192> buffer{};
    while (line.size() < 2 || line.back() != '\n') {
        const ssize_t got = ::recv(descriptor, buffer.data(), buffer.size(), 0);
        if (got <= 0) ::_exit(0);
        line.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return nlohmann::json::parse(line);
}

}  // namespace

Relay::Relay(std::size_t guests) {
    for (std::size_t i = 0; i < guests; ++i) {
        const auto [guest, host] = pair_of_sockets();
        guests_.push_back(guest);
        host_.push_back(host);
    }
    const auto [host, service] = pair_of_sockets();
    const auto begin = [this](auto run) {
        const int process = ::fork();
        if (process != 0) return processes_.push_back(process);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        run();
        ::_exit(0);
    };
    begin([this, end = host] { run_host(end); });
    begin([this, end = service] { run_service(end); });
    ::close(host);
    ::close(service);
}

Relay::~Relay() {
    for (const int process : processes_) {
        ::kill(process, SIGKILL);
        ::waitpid(process, nullptr, 0);
    }
    for (const int descriptor : guests_)
        ::close(descriptor);
    for (const int descriptor : host_)
        ::close(descriptor);
}

void Relay::run_host(int service) const {
    std::vector<pollfd> waiting;
    for (const int guest : host_)
        waiting.push_back({guest, POLLIN, 0});
    while (::poll(waiting.data(), waiting.size(), -1) > 0) {
        for (std::size_t i = 0; i < waiting.size(); ++i) {
            if (waiting[i].revents == 0) continue;
            const nlohmann::json message = read_message(waiting[i].fd);
            write_all(service, nlohmann::json{{"from", i}, {"message", message}}.dump() + "\n");
        }
    }
}

void Relay::run_service(int host) const {
    while (true) {
        nlohmann::json message = read_message(host);
        const auto from = message["from"].get<std::size_t>();
        message["message"]["data"]["source_instance"] = guest_name(from);
        for (std::size_t i = 0; i < host_.size(); ++i) {
            if (i != from) write_all(host_[i], "\n" + message["message"].dump() + "\n");
        }
    }
}

}  // namespace vitalwire::bench
