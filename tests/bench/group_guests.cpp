// bench_group_guests DIRECTORY COUNT: so many guests in one process, on the sockets QEMU would have in DIRECTORY, that
// only talk to their server groups. Acked on standard input:
//   throughput SECONDS   guest 0 broadcasts to a group of all of them, as fast as its peers hear it; prints: delivered
//                        MESSAGES NANOSECONDS
//   latency COUNT        guest 0 broadcasts to guest 1, one at a time; prints: latency MEDIAN_NS P99_NS
//   rare COUNT           guest 0 broadcasts to a group of all of them, now and then; prints: rare MEDIAN_NS, until the
//                        last of them has it
//   relay COUNT          the same by a Relay; prints: relay MEDIAN_NS
//   unread COUNT         every second guest broadcasts so often to the other of its pair, and nobody reads; prints:
//                        unread COUNT
//   hops COUNT           a byte to another process and back, twice; prints: hops MEDIAN_NS
//   bare COUNT           sends a message of a delivery's size to COUNT sockets; prints: bare MESSAGES CPU_NANOSECONDS
//   refusal COUNT        guest 0 broadcasts and waits for what it is answered, one at a time; prints: refusal MEDIAN_NS
//                        WORST_NS
//   flood BYTES          guest 2 writes broadcasts of so many bytes as fast as its channel takes them, at the same
//   time; 0
//                        ends it
#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "relay.hpp"
#include "sockets.hpp"

namespace {

using namespace vitalwire::bench;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kPayload = 200;
/// Broadcasts that no peer has to have heard yet: what fits into a guest's queue several times.
constexpr std::uint64_t kWindow = 64;
constexpr int kPatienceMs = 10'000;

std::string broadcast(std::size_t payload) {
    return "\n{\"version\":2,\"source_addr\":\"vitalwire.group\",\"dest_addr\":\"vitalwire.group\",\"data\":{"
           "\"version\":1,"
           "\"msg_type\":\"broadcast\",\"data\":\"" +
           std::string(payload, 'x') + "\"}}\n";
}

class Guests {
public:
    Guests(const std::string& directory, std::size_t count) : channels_(count), newlines_(count) {
        for (std::size_t i = 0; i < count; ++i) {
            const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            const std::string path = channel_path(directory, i);
            const sockaddr_un address = address_of(path);
            if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) give_up(path);
            if (::listen(listener, 1) != 0) give_up("listen");
            listeners_.push_back(listener);
        }
    }

    /// The agent connects to each, once.
    void connect() {
        for (std::size_t i = 0; i < channels_.size(); ++i) {
            channels_[i] = ::accept4(listeners_[i], nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (channels_[i] < 0) give_up("accept");
            epoll_event event{EPOLLIN, {.u64 = i}};
            if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, channels_[i], &event) != 0) give_up("epoll_ctl");
        }
        std::cout << "connected" << std::endl;
    }

    void throughput(double seconds) {
        const std::uint64_t peers = channels_.size() - 1;
        const std::uint64_t before = all_newlines_;
        const auto heard = [&] { return (all_newlines_ - before) / 2; };
        std::uint64_t sent = 0;
        const auto begin = Clock::now();
        const auto end = begin + std::chrono::duration<double>(seconds);
        while (Clock::now() < end) {
            for (; sent * peers < heard() + kWindow * peers; ++sent)
                say(0);
            read_all(100);
        }
        const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin);
        std::cout << "delivered " << heard() << " " << took.count() << std::endl;
        while (heard() < sent * peers && read_all(1000)) {
        }
    }

    /// At a pace at which the agent reads them all.
    void unread(std::size_t count) {
        for (std::size_t sent = 0; sent < count; ++sent) {
            for (std::size_t guest = 0; guest < channels_.size(); guest += 2)
                say(guest);
            ::usleep(5000);
        }
        ::usleep(500'000);
        std::cout << "unread " << count << std::endl;
        settle();
    }

    void latency(std::size_t count) {
        std::vector<std::int64_t> took;
        while (took.size() < count) {
            const std::uint64_t before = newlines_[1];
            const auto begin = Clock::now();
            say(0);
            while (newlines_[1] < before + 2) {
                if (!flood_.empty()) flood();
                read_all(0);
            }
            took.push_back((Clock::now() - begin).count());
        }
        std::sort(took.begin(), took.end());
        std::cout << "latency " << took[took.size() / 2] << " " << took[took.size() * 99 / 100] << std::endl;
    }

    void rare(std::size_t count) { std::cout << "rare " << median_to_all(channels_, count) << std::endl; }

    void relay(std::size_t count) const {
        const Relay relay(channels_.size());
        std::cout << "relay " << median_to_all(relay.channels(), count) << std::endl;
    }

    void refusal(std::size_t count) {
        std::vector<std::int64_t> took;
        while (took.size() < count) {
            const std::uint64_t before = newlines_[0];
            const auto begin = Clock::now();
            say(0);
            while (newlines_[0] < before + 2)
                read_all(-1);
            took.push_back((Clock::now() - begin).count());
        }
        std::sort(took.begin(), took.end());
        std::cout << "refusal " << took[took.size() / 2] << " " << took.back() << std::endl;
    }

    /// What a message costs at least that passes through agent and controller and back: four hops.
    static void hops(std::size_t count) {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) give_up("socketpair");
        char byte = 'x';
        if (::fork() == 0) {
            ::close(ends[0]);
            while (::read(ends[1], &byte, 1) == 1 && ::write(ends[1], &byte, 1) == 1) {
            }
            ::_exit(0);
        }
        std::vector<std::int64_t> took;
        while (took.size() < count) {
            const auto begin = Clock::now();
            for (int way = 0; way < 2; ++way) {
                if (::write(ends[0], &byte, 1) != 1 || ::read(ends[0], &byte, 1) != 1) give_up("echo");
            }
            took.push_back((Clock::now() - begin).count());
        }
        ::close(ends[0]);
        ::close(ends[1]);
        std::sort(took.begin(), took.end());
        std::cout << "hops " << took[took.size() / 2] << std::endl;
    }

    /// What the kernel takes for the same deliveries when nobody parses, decides or counts.
    void bare(std::size_t count) {
        std::vector<std::array<int, 2>> pairs(count);
        for (auto& pair : pairs) {
            if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()) != 0) give_up("socketpair");
        }
        std::uint64_t sent = 0;
        std::int64_t spent = 0;
        for (int round = 0; round < 2000; ++round) {
            const std::int64_t begin = cpu_ns();
            for (const auto& pair : pairs)
                sent += ::send(pair[0], message_.data(), message_.size(), MSG_NOSIGNAL) > 0 ? 1 : 0;
            spent += cpu_ns() - begin;
            for (const auto& pair : pairs) {
                if (::recv(pair[1], buffer_.data(), buffer_.size(), 0) < 0) give_up("recv");
            }
        }
        for (const auto& pair : pairs) {
            ::close(pair[0]);
            ::close(pair[1]);
        }
        std::cout << "bare " << sent << " " << spent << std::endl;
    }

    /// Until nothing more comes.
    void settle() {
        while (read_all(200)) {
        }
    }
    /// A message that was begun is finished first.
    void set_flood(std::size_t payload) {
        while (flooded_ > 0)
            flood();
        flood_ = payload == 0 ? std::string() : broadcast(payload);
    }

private:
    /// Between two broadcasts everybody falls asleep.
    std::int64_t median_to_all(const std::vector<int>& channels, std::size_t count) const {
        constexpr useconds_t kPauseUs = 5000;
        std::vector<std::int64_t> took;
        while (took.size() < count) {
            ::usleep(kPauseUs);
            const auto begin = Clock::now();
            if (::send(channels[0], message_.data(), message_.size(), MSG_NOSIGNAL) < 0) give_up("send");
            for (std::size_t i = 1; i < channels.size(); ++i)
                read_message(channels[i]);
            took.push_back((Clock::now() - begin).count());
        }
        std::sort(took.begin(), took.end());
        return took[took.size() / 2];
    }

    static void read_message(int channel) {
        std::array<char, 8192> buffer{};
        for (std::ptrdiff_t newlines = 0; newlines < 2;) {
            pollfd waiting{channel, POLLIN, 0};
            if (::poll(&waiting, 1, kPatienceMs) <= 0) give_up("a broadcast has not arrived");
            const ssize_t got = ::recv(channel, buffer.data(), buffer.size(), 0);
            if (got <= 0) give_up("recv");
            newlines += std::count(buffer.data(), buffer.data() + got, '\n');
        }
    }

    static std::int64_t cpu_ns() {
        timespec now{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return now.tv_sec * 1'000'000'000 + now.tv_nsec;
    }

    void say(std::size_t guest) {
        if (::send(channels_[guest], message_.data(), message_.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(message_.size()))
            give_up("send");
    }

    /// What the channel takes; a message that it took in part is finished next time.
    void flood() {
        const std::string_view rest = std::string_view(flood_).substr(flooded_);
        const ssize_t sent = ::send(channels_[2], rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent > 0) flooded_ = (flooded_ + static_cast<std::size_t>(sent)) % flood_.size();
    }

    /// False when there was nothing for so long.
    bool read_all(int timeout_ms) {
        std::array<epoll_event, 256> events;
        const int ready = ::epoll_wait(epoll_, events.data(), events.size(), timeout_ms);
        for (int i = 0; i < ready; ++i)
            read(events.at(static_cast<std::size_t>(i)).data.u64);
        return ready > 0;
    }

    /// A message of the host's begins and ends with a newline.
    void read(std::size_t guest) {
        const ssize_t got = ::recv(channels_[guest], buffer_.data(), buffer_.size(), 0);
        if (got <= 0) give_up("recv");
        const auto newlines = std::count(buffer_.data(), buffer_.data() + got, '\n');
        newlines_[guest] += static_cast<std::uint64_t>(newlines);
        all_newlines_ += static_cast<std::uint64_t>(newlines);
    }

    int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<int> listeners_;
    std::vector<int> channels_;
    const std::string message_ = broadcast(kPayload);
    std::vector<std::uint64_t> newlines_;
    std::uint64_t all_newlines_ = 0;
    std::array<char, 65536> buffer_{};
    std::string flood_;  ///< empty: none
    std::size_t flooded_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: bench_group_guests DIRECTORY COUNT\n";
        return 2;
    }
    raise_file_limit();
    Guests guests(argv[1], std::stoul(argv[2]));
    std::cout << "listening" << std::endl;
    guests.connect();
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string command, argument;
        words >> command >> argument;
        guests.settle();
        if (command == "throughput") guests.throughput(std::stod(argument));
        if (command == "latency") guests.latency(std::stoul(argument));
        if (command == "rare") guests.rare(std::stoul(argument));
        if (command == "relay") guests.relay(std::stoul(argument));
        if (command == "unread") guests.unread(std::stoul(argument));
        if (command == "hops") Guests::hops(std::stoul(argument));
        if (command == "bare") guests.bare(std::stoul(argument));
        if (command == "refusal") guests.refusal(std::stoul(argument));
        if (command == "flood") guests.set_flood(std::stoul(argument));
    }
}
