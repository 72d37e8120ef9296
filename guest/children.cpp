#include "guest/children.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace vitalwire::guest {

namespace {

/// Two ends of a pipe, closed unless taken.
class Pipe {
public:
    Pipe() { open_ = ::pipe2(ends_.data(), O_CLOEXEC) == 0; }
    ~Pipe() {
        if (!open_) return;
        if (ends_[0] >= 0) ::close(ends_[0]);
        ::close(ends_[1]);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    bool open() const { return open_; }
    int write_end() const { return ends_[1]; }
    int take_read_end() {
        ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
        return std::exchange(ends_[0], -1);
    }

private:
    std::array<int, 2> ends_{-1, -1};
    bool open_ = false;
};

class Actions {
public:
    Actions() { ::posix_spawn_file_actions_init(&actions_); }
    ~Actions() { ::posix_spawn_file_actions_destroy(&actions_); }
    Actions(const Actions&) = delete;
    Actions& operator=(const Actions&) = delete;
    posix_spawn_file_actions_t* get() { return &actions_; }

private:
    posix_spawn_file_actions_t actions_{};
};

class Attributes {
public:
    Attributes() { ::posix_spawnattr_init(&attributes_); }
    ~Attributes() { ::posix_spawnattr_destroy(&attributes_); }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    posix_spawnattr_t* get() { return &attributes_; }

private:
    posix_spawnattr_t attributes_{};
};

/// The environment without what the service manager meant for the daemon alone.
std::vector<char*> child_environment() {
    std::vector<char*> variables;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string_view text(*variable);
        if (text.starts_with("NOTIFY_SOCKET=") || text.starts_with("WATCHDOG_")) continue;
        variables.push_back(*variable);
    }
    variables.push_back(nullptr);
    return variables;
}

tl::unexpected<base::Error> system_failure(const char* what, int error) {
    return base::fail(base::Errc::io, std::string(what) + ": " + std::generic_category().message(error));
}

}  // namespace

base::Result<Spawned> spawn_shell(const std::string& command) {
    Pipe output;
    Pipe errors;
    if (!output.open() || !errors.open()) return system_failure("cannot make a pipe", errno);
    Actions actions;
    ::posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(actions.get(), output.write_end(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(actions.get(), errors.write_end(), STDERR_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(actions.get(), STDERR_FILENO + 1);
    Attributes attributes;
    ::posix_spawnattr_setflags(attributes.get(), POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    ::posix_spawnattr_setpgroup(attributes.get(), 0);
    sigset_t defaults;
    sigfillset(&defaults);
    ::posix_spawnattr_setsigdefault(attributes.get(), &defaults);
    sigset_t none;
    sigemptyset(&none);
    ::posix_spawnattr_setsigmask(attributes.get(), &none);

    std::string shell = "/bin/sh";
    std::string option = "-c";
    std::string text = command;
    std::array<char*, 4> arguments = {shell.data(), option.data(), text.data(), nullptr};
    Spawned spawned;
    const int error = ::posix_spawn(&spawned.pid, shell.c_str(), actions.get(), attributes.get(), arguments.data(),
                                    child_environment().data());
    if (error != 0) return system_failure("cannot start /bin/sh", error);
    spawned.output = output.take_read_end();
    spawned.errors = errors.take_read_end();
    return spawned;
}

Children::Children(boost::asio::io_context& io) : signals_(io, SIGCHLD) {
    await_signal();
}

Children::~Children() {
    for (const auto& [process, on_end] : watched_) {
        ::kill(-process, SIGKILL);
        ::waitpid(process, nullptr, WNOHANG);
    }
}

void Children::await_signal() {
    signals_.async_wait([this](boost::system::error_code error, int) {
        if (error) return;
        await_signal();
        look();
    });
}

void Children::watch(pid_t process, OnEnd on_end) {
    watched_.emplace(process, std::move(on_end));
}

void Children::kill(pid_t process) {
    ::kill(-process, SIGKILL);
}

void Children::abandon(pid_t process) {
    kill(process);
    watched_[process] = [](Ending) {};
}

void Children::look() {
    std::vector<std::pair<OnEnd, Ending>> ended;
    for (auto child = watched_.begin(); child != watched_.end();) {
        siginfo_t info{};
        // Seen before it is reaped: until then its number, and so that of its group, is nobody else's.
        const int seen = ::waitid(P_PID, static_cast<id_t>(child->first), &info, WEXITED | WNOHANG | WNOWAIT);
        if (seen != 0 || info.si_pid == 0) {
            ++child;
            continue;
        }
        ::kill(-child->first, SIGKILL);
        ::waitpid(child->first, nullptr, 0);
        ended.emplace_back(std::move(child->second), Ending{info.si_code != CLD_EXITED, info.si_status});
        child = watched_.erase(child);
    }
    for (const auto& [on_end, ending] : ended)
        on_end(ending);
}

}  // namespace vitalwire::guest
