#include "runtime/listen_holder.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "runtime/listen.hpp"

namespace vitalwire::runtime {

namespace {

namespace fs = std::filesystem;
using boost::asio::ip::tcp;

constexpr const char* kListens = "0A";  // the state, in /proc/net/tcp

std::string name_of(const std::string& process) {
    std::string name;
    std::getline(std::ifstream("/proc/" + process + "/comm"), name);
    return name;
}

std::string held_by(const std::string& address, const std::string& process) {
    const std::string name = name_of(process);
    if (name.empty() || name == name_of("self")) return {};
    return base::escape(address) + ": is in use by " + base::escape(name) + " (process " + process + ")";
}

/// "socket:[NUMBER]" as the kernel calls those that listen at the port, and whose they are.
std::map<std::string, std::string> sockets_at(unsigned port) {
    std::map<std::string, std::string> sockets;
    for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
        std::ifstream file(table);
        std::string line;
        std::getline(file, line);  // the head
        while (std::getline(file, line)) {
            std::istringstream fields(line);
            std::string number, local, remote, state, queues, timer, resent, user, timeout, inode;
            fields >> number >> local >> remote >> state >> queues >> timer >> resent >> user >> timeout >> inode;
            const std::size_t colon = local.find(':');
            if (state != kListens || colon == std::string::npos) continue;
            unsigned found = 0;
            if (std::sscanf(local.c_str() + colon + 1, "%x", &found) == 1 && found == port)
                sockets.emplace("socket:[" + inode + "]", user);
        }
    }
    return sockets;
}

std::vector<std::string> processes() {
    std::vector<std::string> numbers;
    std::error_code error;
    for (fs::directory_iterator process("/proc", error), end; !error && process != end; process.increment(error)) {
        const std::string number = process->path().filename().string();
        if (number.find_first_not_of("0123456789") == std::string::npos) numbers.push_back(number);
    }
    return numbers;
}

/// A process of this program, and that user's, runs beside this one.
bool runs_as(const std::string& user) {
    const std::vector<std::string> all = processes();
    return std::any_of(all.begin(), all.end(), [&](const std::string& process) {
        struct stat status {};
        return process != std::to_string(getpid()) && name_of(process) == name_of("self") &&
               stat(("/proc/" + process).c_str(), &status) == 0 && std::to_string(status.st_uid) == user;
    });
}

bool holds_any(const std::string& process, const std::map<std::string, std::string>& sockets) {
    std::error_code error;
    for (fs::directory_iterator file("/proc/" + process + "/fd", error), end; !error && file != end;
         file.increment(error)) {
        std::error_code gone;
        if (sockets.contains(fs::read_symlink(*file, gone).string())) return true;
    }
    return false;
}

std::string tcp_held(const std::string& address, const HostPort& parsed) {
    boost::system::error_code error;
    const auto ip = boost::asio::ip::make_address(parsed.host, error);
    if (error) return {};
    const auto port = static_cast<unsigned short>(std::strtoul(parsed.port.c_str(), nullptr, 10));
    boost::asio::io_context io;
    tcp::acceptor acceptor(io);
    const tcp::endpoint endpoint(ip, port);
    acceptor.open(endpoint.protocol(), error);
    if (error) return {};
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    acceptor.bind(endpoint, error);
    if (error != boost::asio::error::address_in_use) return {};
    const auto sockets = sockets_at(port);
    for (const std::string& process : processes()) {
        if (holds_any(process, sockets)) return held_by(address, process);
    }
    // One of another user: what it has open may not be seen, unless root checks.
    if (name_of("1").empty()) return {};
    for (const auto& [socket, user] : sockets) {
        if (!runs_as(user)) return base::escape(address) + ": is in use by a process of user " + user;
    }
    return {};
}

std::string unix_held(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return {};
    std::memcpy(address.sun_path, path.data(), path.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return {};
    ucred holder{};
    socklen_t size = sizeof holder;
    const bool found = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                       ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &size) == 0;
    ::close(fd);
    return found ? held_by(path, std::to_string(holder.pid)) : std::string();
}

}  // namespace

std::string held_by_another(const std::string& address) {
    if (address.starts_with('/')) return unix_held(address);
    const auto parsed = parse_host_port(address);
    return parsed ? tcp_held(address, *parsed) : std::string();
}

}  // namespace vitalwire::runtime
