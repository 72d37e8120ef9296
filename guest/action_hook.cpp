#include "guest/action_hook.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

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

[[noreturn]] void execute(const std::string& command, int output, int errors) {
    const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input >= 0) ::dup2(input, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(errors, STDERR_FILENO);
    // The whole group is ended when it takes too long.
    ::setpgid(0, 0);
    ::execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
}

/// Both ends of two pipes.
class Pipes {
public:
    Pipes() : good_(::pipe2(output_.data(), O_CLOEXEC) == 0 && ::pipe2(errors_.data(), O_CLOEXEC) == 0) {}
    ~Pipes() {
        for (const int each : {output_[0], output_[1], errors_[0], errors_[1]}) {
            if (each >= 0) ::close(each);
        }
    }
    Pipes(const Pipes&) = delete;
    Pipes& operator=(const Pipes&) = delete;

    bool good() const { return good_; }
    int output() const { return output_[1]; }
    int errors() const { return errors_[1]; }
    int take_output() { return take(output_[0]); }
    int take_errors() { return take(errors_[0]); }

private:
    static int take(int& end) {
        ::fcntl(end, F_SETFL, O_NONBLOCK);
        return std::exchange(end, -1);
    }

    std::array<int, 2> output_{-1, -1};
    std::array<int, 2> errors_{-1, -1};
    bool good_;
};

/// As far as it is taken at once: a reader of our standard error must not hold up answers.
void pass_to_standard_error(std::string_view text) {
    while (!text.empty()) {
        pollfd ready{STDERR_FILENO, POLLOUT, 0};
        if (::poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return;
        const ssize_t count = ::write(STDERR_FILENO, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
        if (count <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

}  // namespace

void ActionHook::stop() {
    for (const Run& run : runs_) {
        kill_group(run);
        close(run);
    }
    runs_.clear();
}

void ActionHook::close(const Run& run) {
    ::close(run.output.descriptor);
    ::close(run.errors.descriptor);
}

void ActionHook::kill_group(const Run& run) {
    // The child may not have made its group yet.
    if (::kill(-run.process, SIGKILL) != 0) ::kill(run.process, SIGKILL);
}

void ActionHook::start(const vw_action& action, base::TimePoint now) {
    const std::string event = action.event;
    Pipes pipes;
    // An event of a later vitalwired is a name as well; anything else does not come near a shell.
    if (!base::is_plain_name(event, kMaxEventName) || !pipes.good()) return answer_(action.id, VW_ANSWER_READY, "");
    const pid_t process = ::fork();
    if (process == 0) {
        in_child_();
        execute(command_ + (action.may_reject != 0 ? " revocable " : " irrevocable ") + event, pipes.output(),
                pipes.errors());
    }
    if (process < 0) {
        complain("--on-action: cannot start a process: " + std::generic_category().message(errno));
        return answer_(action.id, VW_ANSWER_READY, "");
    }
    const base::Millis time = action.timeout_ms > 0 ? base::Millis(action.timeout_ms) : kLongestUnawaited;
    runs_.push_back({action.id, process, now + time, {pipes.take_output()}, {pipes.take_errors()}});
}

void ActionHook::add_to(std::vector<pollfd>& descriptors) const {
    for (const Run& run : runs_) {
        for (const Stream* stream : {&run.output, &run.errors}) {
            if (!stream->at_end) descriptors.push_back({stream->descriptor, POLLIN, 0});
        }
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

void ActionHook::read(Run& run) {
    read(run.output, false);
    read(run.errors, true);
}

/// What is there now; beyond the bound it is thrown away, so that a chatty command does not wait.
void ActionHook::read(Stream& stream, bool pass_on) {
    std::array<char, 4096> buffer;
    for (int i = 0; i < kReadsAtOnce && !stream.at_end; ++i) {
        const ssize_t count = ::read(stream.descriptor, buffer.data(), buffer.size());
        if (count < 0) return;
        stream.at_end = count == 0;
        const std::string_view text(buffer.data(), static_cast<std::size_t>(count));
        stream.text += text.substr(0, kMaxPrinted - stream.text.size());
        if (pass_on) pass_to_standard_error(text);
    }
}

void ActionHook::ended(Run& run, int status) {
    close(run);
    const std::string output = tidy_reason(run.output.text);
    const std::string printed = output.empty() ? tidy_reason(run.errors.text) : output;
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
