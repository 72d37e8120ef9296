#include "guest/children.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace vitalwire::guest {

namespace {

constexpr mode_t kDefaultUmask = 022;
constexpr int kCannotStart = 127;
/// The first descriptor that a child does not have.
constexpr int kReport = STDERR_FILENO + 1;
/// The same on every architecture; the C library of older systems has no name for it.
constexpr long kCloseRange = 436;
/// Where the kernel has no such call (before Linux 5.9) the descriptors above it are closed by the exec only.
constexpr int kMaxDescriptor = 1024;

/// Set once, before the first command.
std::optional<rlimit> files_of_commands;

/// Two ends of a pipe, closed unless taken.
class Pipe {
public:
    Pipe() { open_ = ::pipe2(ends_.data(), O_CLOEXEC) == 0; }
    ~Pipe() {
        if (!open_) return;
        if (ends_[0] >= 0) ::close(ends_[0]);
        if (ends_[1] >= 0) ::close(ends_[1]);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    bool open() const { return open_; }
    int read_end() const { return ends_[0]; }
    int write_end() const { return ends_[1]; }
    int take_read_end() {
        ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
        return std::exchange(ends_[0], -1);
    }

private:
    std::array<int, 2> ends_{-1, -1};
    bool open_ = false;
};

/// The environment without what the service manager meant for the daemon alone; of another user with that one's own.
std::vector<std::string> child_environment(const std::optional<Account>& account) {
    constexpr std::array kOfTheDaemon = {"NOTIFY_SOCKET=", "WATCHDOG_"};
    constexpr std::array kOfItsUser = {"HOME=", "USER=", "LOGNAME=", "SHELL=", "MAIL=", "XDG_"};
    const auto is_one_of = [](std::string_view variable, const auto& prefixes) {
        return std::any_of(prefixes.begin(), prefixes.end(),
                           [&](const char* prefix) { return variable.starts_with(prefix); });
    };
    std::vector<std::string> variables;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string_view text(*variable);
        if (is_one_of(text, kOfTheDaemon) || (account && is_one_of(text, kOfItsUser))) continue;
        variables.emplace_back(text);
    }
    if (!account) return variables;
    for (const auto& [name, value] : {std::pair("HOME=", &account->home), std::pair("USER=", &account->name),
                                      std::pair("LOGNAME=", &account->name), std::pair("SHELL=", &account->shell)})
        variables.push_back(name + *value);
    return variables;
}

tl::unexpected<base::Error> system_failure(const char* what, int error) {
    return base::fail(base::Errc::io, std::string(what) + ": " + std::generic_category().message(error));
}

}  // namespace

namespace {

/// All that the child needs, made before the fork: after it only async-signal-safe calls are allowed.
struct Prepared {
    int output;
    int errors;
    int report;  ///< where the child writes why it could not start; closed by its exec
    std::optional<Account> account;
    std::optional<rlimit> files;
    std::array<char*, 4> arguments;
    std::vector<char*> environment;  ///< of the strings of its owner
};

/// What a failed step was, in one byte for the pipe.
enum class Step : char { input, group, limits, user, exec };
constexpr std::array kStepNames = {"cannot open /dev/null", "cannot make a process group", "cannot limit",
                                   "cannot change to the user", "cannot start /bin/sh"};
struct StepFailure {
    Step step;
    int error;
};

/// The soft limit only: a service that the command starts inherits it, and may raise it. Its processor time is not
/// limited for the same reason: such a service would be killed when it has used it up, some day.
bool leave_no_core() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_CORE, &limit) != 0) return false;
    limit.rlim_cur = 0;
    return ::setrlimit(RLIMIT_CORE, &limit) == 0;
}

/// Back to what a process has by default. What the system does not allow stays: a check still runs.
void drop_inherited() {
    const int score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        [[maybe_unused]] const ssize_t written = ::write(score, "0", 1);
        ::close(score);
    }
    if (::getpriority(PRIO_PROCESS, 0) < 0) ::setpriority(PRIO_PROCESS, 0, 0);
    ::umask(kDefaultUmask);
    for (int number = 1; number < NSIG; ++number)
        ::signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// What the daemon inherited itself, and all that the exec would close: it may be long in coming, and who is at the
/// other end of a connection waits for its end.
void close_others() {
    if (::syscall(kCloseRange, kReport + 1, ~0U, 0) == 0) return;
    for (int descriptor = kReport + 1; descriptor < kMaxDescriptor; ++descriptor)
        ::close(descriptor);
}

bool become(const Account& account) {
    return ::setgroups(account.groups.size(), account.groups.data()) == 0 && ::setgid(account.gid) == 0 &&
           ::setuid(account.uid) == 0;
}

[[noreturn]] void run_child(const Prepared& prepared) {
    const auto give_up = [&](Step step) {
        const StepFailure failure{step, errno};
        [[maybe_unused]] const ssize_t written = ::write(prepared.report, &failure, sizeof failure);
        ::_exit(kCannotStart);
    };
    if (::setpgid(0, 0) != 0) give_up(Step::group);
    drop_inherited();
    const int input = ::open("/dev/null", O_RDONLY);
    if (input < 0 || ::dup2(input, STDIN_FILENO) < 0 || ::dup2(prepared.output, STDOUT_FILENO) < 0 ||
        ::dup2(prepared.errors, STDERR_FILENO) < 0)
        give_up(Step::input);
    ::dup2(prepared.report, kReport);
    ::fcntl(kReport, F_SETFD, FD_CLOEXEC);
    close_others();
    // Those that cannot cope with many, for select() has room for 1024, rely on it.
    if (prepared.files) ::setrlimit(RLIMIT_NOFILE, &*prepared.files);
    if (!leave_no_core()) give_up(Step::limits);
    if (prepared.account && !become(*prepared.account)) give_up(Step::user);
    ::execve(prepared.arguments[0], prepared.arguments.data(), prepared.environment.data());
    give_up(Step::exec);
    ::_exit(kCannotStart);
}

}  // namespace

base::Result<Spawned> spawn_shell(const ShellCommand& command, Accounts& accounts) {
    Pipe output;
    Pipe errors;
    Pipe report;
    if (!output.open() || !errors.open() || !report.open()) return system_failure("cannot make a pipe", errno);
    std::optional<Account> account;
    if (!command.user.empty()) account = accounts.find(command.user);
    if (!command.user.empty() && !account)
        return base::fail(base::Errc::config, "there is no local user '" + command.user + "'");
    std::string shell = "/bin/sh";
    std::string option = "-c";
    std::string text = command.text;
    std::vector<std::string> variables = child_environment(account);
    std::vector<char*> environment;
    for (std::string& variable : variables)
        environment.push_back(variable.data());
    environment.push_back(nullptr);
    Prepared prepared{output.write_end(),    errors.write_end(), report.write_end(),
                      std::move(account),    files_of_commands,  {shell.data(), option.data(), text.data(), nullptr},
                      std::move(environment)};
    const pid_t child = ::fork();
    if (child < 0) return system_failure("cannot start a process", errno);
    if (child == 0) run_child(prepared);
    // Also here: it is killed by its group, which must exist as soon as its number is known.
    ::setpgid(child, child);
    return Spawned{child, output.take_read_end(), errors.take_read_end(), report.take_read_end()};
}

void keep_file_limit_of_commands() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) files_of_commands = limit;
}

std::string take_start_problem(int report) {
    StepFailure failure{};
    const ssize_t count = ::read(report, &failure, sizeof failure);
    ::close(report);
    if (count != static_cast<ssize_t>(sizeof failure)) return {};
    return std::string(kStepNames.at(static_cast<std::size_t>(failure.step))) + ": " +
           std::generic_category().message(failure.error);
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
