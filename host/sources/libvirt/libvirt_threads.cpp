#include "host/sources/libvirt/libvirt_threads.hpp"

#include <libvirt/virterror.h>
#include <csignal>
#include <system_error>
#include <utility>

namespace vitalwire::host {

bool LibvirtThreads::enter() {
    const std::lock_guard lock(mutex_);
    if (count_ >= kMax) return false;
    ++count_;
    return true;
}

void LibvirtThreads::leave() {
    const std::lock_guard lock(mutex_);
    --count_;
    changed_.notify_all();
}

void LibvirtThreads::await_none(base::Duration patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return count_ == 0; });
}

std::thread quiet_thread(std::function<void()> body) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::thread thread(std::move(body));
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        return thread;
    } catch (const std::system_error&) {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw;
    }
}

std::string last_libvirt_error() {
    const char* text = virGetLastErrorMessage();
    return text == nullptr ? "unknown error" : text;
}

}  // namespace vitalwire::host
