#include "guest/action_hook.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <system_error>

#include "base/text.hpp"
#include "guest/app_command.hpp"
#include "guest/reason.hpp"

namespace vitalwire::guest {

namespace {

/// For what nobody waits for.
constexpr base::Millis kLongestUnawaited{60'000};
/// More than a reason may have, so that cutting it is left to those who know how.
constexpr std::size_t kMaxPrinted = 1024;
constexpr std::size_t kMaxEventName = 64;
/// Enough for what a pipe holds, not for one that writes on and on.
constexpr int kReadsAtOnce = 16;

[[noreturn]] void execute(const std::string& command, int output) {
    const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input >= 0) ::dup2(input, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    // The whole group is ended when it takes too long.
    ::setpgid(0, 0);
    ::execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
}

}  // namespace

void ActionHook::stop() {
    for (const Run& run : runs_) {
        kill_group(run);
        ::close(run.output);
    }
    runs_.clear();
}

void ActionHook::kill_group(const Run& run) {
    // The child may not have made its group yet.
    if (::kill(-run.process, SIGKILL) != 0) ::kill(run.process, SIGKILL);
}

void ActionHook::start(const vw_action& action, base::TimePoint now) {
    const std::string event = action.event;
    std::array<int, 2> ends{};
    // An event of a later vitalwired is a name as well; anything else does not come near a shell.
    if (!base::is_plain_name(event, kMaxEventName) || ::pipe2(ends.data(), O_CLOEXEC) != 0)
        return answer_(action.id, VW_ANSWER_READY, "");
    const pid_t process = ::fork();
    if (process == 0) {
        in_child_();
        execute(command_ + (action.may_reject != 0 ? " revocable " : " irrevocable ") + event, ends[1]);
    }
    ::close(ends[1]);
    if (process < 0) {
        complain("--on-action: cannot start a process: " + std::generic_category().message(errno));
        ::close(ends[0]);
        return answer_(action.id, VW_ANSWER_READY, "");
    }
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    const base::Millis time = action.timeout_ms > 0 ? base::Millis(action.timeout_ms) : kLongestUnawaited;
    runs_.push_back({action.id, process, ends[0], {}, now + time});
}

void ActionHook::add_to(std::vector<pollfd>& descriptors) const {
    for (const Run& run : runs_) {
        if (!run.at_end) descriptors.push_back({run.output, POLLIN, 0});
    }
}

void ActionHook::turn(base::TimePoint now) {
    for (auto each = runs_.begin(); each != runs_.end();) {
        read(*each);
        int status = 0;
        if (::waitpid(each->process, &status, WNOHANG) == each->process) {
            read(*each);
            ended(*each, status);
            each = runs_.erase(each);
            continue;
        }
        if (now >= each->end_by) kill_group(*each);
        ++each;
    }
}

/// What is there now; beyond the bound it is thrown away, so that a chatty command does not wait.
void ActionHook::read(Run& run) {
    std::array<char, 4096> buffer;
    for (int i = 0; i < kReadsAtOnce && !run.at_end; ++i) {
        const ssize_t count = ::read(run.output, buffer.data(), buffer.size());
        if (count < 0) return;
        run.at_end = count == 0;
        const std::string_view text(buffer.data(), static_cast<std::size_t>(count));
        run.printed += text.substr(0, kMaxPrinted - run.printed.size());
    }
}

void ActionHook::ended(Run& run, int status) {
    ::close(run.output);
    const std::string printed = tidy_reason(run.printed);
    const bool exited = WIFEXITED(status);
    if (exited && WEXITSTATUS(status) == 1) return answer_(run.id, VW_ANSWER_REJECT, printed);
    if (!exited || WEXITSTATUS(status) != 0) {
        const std::string how = exited ? "exit status " + std::to_string(WEXITSTATUS(status))
                                       : std::string("killed by signal ") + ::strsignal(WTERMSIG(status));
        complain("--on-action: " + how + " (expected 0 or 1), which counts as consent" +
                 (printed.empty() ? "" : ": " + base::escape(printed)));
    }
    answer_(run.id, VW_ANSWER_READY, "");
}

}  // namespace vitalwire::guest
