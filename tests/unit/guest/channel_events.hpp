#pragma once

#include <sys/resource.h>

#include "guest/channel.hpp"
#include "guest_fixture.hpp"

namespace vitalwire::guest::test {

/// What a channel has told.
struct ChannelEvents : Channel::Events {
    void received(std::string_view bytes) override { read += bytes; }
    void host_connected() override { hosts = 1; }
    void host_disconnected() override { hosts = 0; }

    std::string read;
    int hosts = 0;
};

/// As a process that has no descriptor left but those that it has already.
class NoDescriptors {
public:
    explicit NoDescriptors(int left) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int next = ::dup(STDERR_FILENO);  // the lowest that is free
        ::close(next);
        const rlimit limit{static_cast<rlim_t>(next + left), before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

private:
    rlimit before_{};
};

}  // namespace vitalwire::guest::test
