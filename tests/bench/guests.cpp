// bench_guests DIRECTORY COUNT INTERVAL_MS [DETECTION_TIME_MS]: so many guests in one process, on the sockets QEMU
// would have in DIRECTORY. They do as little as a guest can, so that the CPU is left to whom is measured. Acked on
// standard input:
//   silence NUMBER   the guest answers no more; printed when it does not, for the first time: silent NAME NANOSECONDS
//   stop NUMBER MS   the guest stands still for so long, and then answers what it was sent
//   count            prints: beats SO_MANY, STOPS that are over
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sockets.hpp"

namespace {

using namespace vitalwire::bench;

struct Guest {
    int descriptor = -1;  ///< of the socket it listens at, then of its only connection
    bool connected = false;
    bool silent = false;
    bool noted = false;    ///< that it is silent
    bool stopped = false;  ///< for a while
};

class Guests {
public:
    /// With a detection time they speak revision 1 of the protocol, and the interval only spreads their registration.
    Guests(const std::string& directory, std::size_t count, int interval_ms, const std::string& detection_time)
        : guests_(count), interval_(interval_ms) {
        times_ = ",\"heartbeat_interval_ms\":" + std::to_string(interval_ms);
        if (!detection_time.empty()) times_ += ",\"revision\":1,\"detection_time_ms\":" + detection_time;
        for (std::size_t i = 0; i < count; ++i)
            listen(directory, i);
        watch(STDIN_FILENO, count);
    }

    void run() {
        std::cout << "listening" << std::endl;
        std::array<epoll_event, 512> events{};
        while (true) {
            const bool waits = waiting_.empty() && stopped_.empty();
            const int ready = ::epoll_wait(epoll_, events.data(), events.size(), waits ? -1 : 1);
            if (ready < 0 && errno != EINTR) give_up("epoll_wait");
            for (int i = 0; i < ready; ++i) {
                const std::size_t number = events.at(static_cast<std::size_t>(i)).data.u64;
                if (number == guests_.size()) {
                    if (!obey()) return;
                } else if (guests_[number].connected) {
                    read(number);
                } else {
                    accept(number);
                }
            }
            register_those_due();
            wake_those_due();
        }
    }

private:
    void watch(int descriptor, std::size_t number) {
        epoll_event event{EPOLLIN, {.u64 = number}};
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) give_up("epoll_ctl");
    }

    void listen(const std::string& directory, std::size_t number) {
        const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (descriptor < 0) give_up("socket");
        const std::string path = channel_path(directory, number);
        const sockaddr_un address = address_of(path);
        if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) give_up(path);
        if (::listen(descriptor, 1) != 0) give_up("listen");
        guests_[number].descriptor = descriptor;
        watch(descriptor, number);
    }

    /// The host connects once: a guest that loses its connection is missed by the host for the rest of the run.
    void accept(std::size_t number) {
        Guest& guest = guests_[number];
        const int connection = ::accept4(guest.descriptor, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection < 0) give_up("accept");
        ::close(guest.descriptor);
        guest.descriptor = connection;
        guest.connected = true;
        watch(connection, number);
    }

    void read(std::size_t number) {
        const ssize_t got = ::recv(guests_[number].descriptor, buffer_.data(), buffer_.size(), 0);
        if (got <= 0) {
            ::close(guests_[number].descriptor);
            return;
        }
        std::string_view bytes(buffer_.data(), static_cast<std::size_t>(got));
        while (!bytes.empty()) {
            const std::size_t end = std::min(bytes.find('\n'), bytes.size());
            hear(number, bytes.substr(0, end));
            bytes.remove_prefix(std::min(end + 1, bytes.size()));
        }
    }

    /// The host's messages fit into one read, and it writes no spaces.
    void hear(std::size_t number, std::string_view line) {
        const std::string_view challenge = value_of(line, "\"heartbeat_challenge\":");
        if (!challenge.empty()) return answer(number, challenge, value_of(line, "\"session_id\":"));
        if (line.find("\"no_session\"") != std::string_view::npos) waiting_.push_back(number);
    }

    /// One after the other over an interval: the machines of a host do not start in step, so they do not beat in step.
    void register_those_due() {
        const auto now = std::chrono::steady_clock::now();
        if (registered_ == 0) began_ = now;
        for (; !waiting_.empty() && now >= began_ + interval_ * registered_ / guests_.size(); ++registered_) {
            register_with_host(waiting_.front());
            waiting_.pop_front();
        }
    }

    void watch_again(std::size_t number, std::uint32_t events) const {
        epoll_event event{events, {.u64 = number}};
        if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, guests_[number].descriptor, &event) != 0) give_up("epoll_ctl");
    }

    void stop(std::size_t number, int milliseconds) {
        Guest& guest = guests_.at(number);
        if (std::exchange(guest.stopped, true)) return;
        watch_again(number, 0);
        stopped_.emplace(std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds), number);
    }

    void wake_those_due() {
        for (const auto now = std::chrono::steady_clock::now(); !stopped_.empty() && stopped_.begin()->first <= now;) {
            const std::size_t number = stopped_.begin()->second;
            stopped_.erase(stopped_.begin());
            guests_[number].stopped = false;
            watch_again(number, EPOLLIN);
            ++stops_;
        }
    }

    static std::string_view value_of(std::string_view line, std::string_view key) {
        const std::size_t at = line.find(key);
        if (at == std::string_view::npos) return {};
        const std::string_view rest = line.substr(at + key.size());
        return rest.substr(0, rest.find_first_of(",}"));
    }

    void register_with_host(std::size_t number) {
        send(number, {"\"msg_type\":\"init\",\"invocation_id\":1,\"name\":\"", guest_name(number), "\"", times_});
    }

    void answer(std::size_t number, std::string_view challenge, std::string_view session) {
        Guest& guest = guests_[number];
        if (!guest.silent) {
            ++beats_;
            return send(number, {"\"msg_type\":\"challenge_response\",\"session_id\":", session,
                                 ",\"heartbeat_response\":", challenge, ",\"healthy\":true"});
        }
        if (guest.noted) return;
        guest.noted = true;
        std::cout << "silent " << guest_name(number) << " "
                  << std::chrono::steady_clock::now().time_since_epoch().count() << std::endl;
    }

    void send(std::size_t number, std::initializer_list<std::string_view> fields) {
        message_ =
            "\n{\"version\":2,\"source_addr\":\"vitalwire.heartbeat\",\"dest_addr\":\"vitalwire.heartbeat\","
            "\"data\":{\"version\":1,";
        for (const std::string_view field : fields)
            message_ += field;
        message_ += "}}\n";
        if (::send(guests_[number].descriptor, message_.data(), message_.size(), MSG_NOSIGNAL) < 0) give_up("send");
    }

    /// False at the end of the input.
    bool obey() {
        const ssize_t got = ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
        if (got <= 0) return false;
        input_.append(buffer_.data(), static_cast<std::size_t>(got));
        for (std::size_t end = input_.find('\n'); end != std::string::npos; end = input_.find('\n')) {
            obey(std::string_view(input_).substr(0, end));
            input_.erase(0, end + 1);
        }
        return true;
    }

    void obey(std::string_view command) {
        if (command == "count") {
            std::cout << "beats " << beats_ << " " << stops_ << std::endl;
            return;
        }
        std::istringstream words{std::string(command)};
        std::string verb;
        std::size_t number = guests_.size();
        words >> verb >> number;
        if (verb == "silence") guests_.at(number).silent = true;
        int milliseconds = 0;
        if (verb == "stop" && words >> milliseconds) stop(number, milliseconds);
    }

    int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<Guest> guests_;
    std::chrono::milliseconds interval_;
    std::string times_;                ///< of an init
    std::deque<std::size_t> waiting_;  ///< to register
    std::size_t registered_ = 0;
    std::chrono::steady_clock::time_point began_{};
    std::array<char, 65536> buffer_{};
    std::string message_;
    std::string input_;
    std::uint64_t beats_ = 0;
    std::multimap<std::chrono::steady_clock::time_point, std::size_t> stopped_;  ///< until when, and who
    std::uint64_t stops_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4 && argc != 5) {
        std::cerr << "usage: bench_guests DIRECTORY COUNT INTERVAL_MS [DETECTION_TIME_MS]\n";
        return 2;
    }
    raise_file_limit();
    Guests guests(argv[1], std::stoul(argv[2]), std::stoi(argv[3]), argc == 5 ? argv[4] : "");
    guests.run();
}
