#pragma once

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace vitalwire::bench {

/// A benchmark that cannot go on says why and ends.
[[noreturn]] inline void give_up(const std::string& what) {
    std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

inline void raise_file_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) give_up("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) give_up("setrlimit");
}

inline sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        give_up(path);
    }
    path.copy(address.sun_path, path.size());
    return address;
}

inline std::string guest_name(std::size_t number) {
    char name[32];
    std::snprintf(name, sizeof name, "guest-%06zu", number);
    return name;
}

inline std::string channel_path(const std::string& directory, std::size_t number) {
    return directory + "/org.vitalwire.0." + guest_name(number) + ".sock";
}

}  // namespace vitalwire::bench
