#include "guest/lib/own_process.hpp"

#include <pthread.h>
#include <unistd.h>

namespace vitalwire::guest {

namespace {

/// How often this process, or one it comes from, was forked. Written in a child that has one thread only.
std::uint32_t forks = 0;

void count_fork() {
    ++forks;
}

/// A child of vfork or clone, which run no handlers, has another number, or speaks for nobody.
std::uint32_t count_of_forks() {
    static const int is_counted = ::pthread_atfork(nullptr, nullptr, count_fork);
    return is_counted == 0 ? forks : 0;
}

}  // namespace

OwnProcess::OwnProcess() : pid_(::getpid()), forks_(count_of_forks()) {}

bool OwnProcess::is_current() const {
    return ::getpid() == pid_ && count_of_forks() == forks_;
}

}  // namespace vitalwire::guest
