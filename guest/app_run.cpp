// vitalwire-app run: a program that is watched while it runs.
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>
#include <system_error>
#include <vector>
#include <vitalwire/vitalwire.hpp>

#include "guest/action_hook.hpp"
#include "guest/app_command.hpp"

namespace vitalwire::guest {

namespace {

constexpr int kTimedOut = 124;
constexpr int kCannotRun = 126;
constexpr int kNotFound = 127;
constexpr int kBySignal = 128;
constexpr base::Millis kFromTermToKill{5000};
constexpr base::Millis kUntilWarned{1000};
/// For a verdict, when vitalwired was there before: it may be restarting.
constexpr base::Millis kUntilUndelivered{10'000};
/// The service manager sends a stop to all processes at once: the program may end before it comes here.
constexpr base::Millis kUntilAsked{200};
constexpr std::array kForwarded = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

/// Signals come as data, so that none is missed between two looks.
class Signals {
public:
    Signals() {
        // Where its parent ignores it, children would vanish without a status.
        ::signal(SIGCHLD, SIG_DFL);
        sigemptyset(&wanted_);
        sigaddset(&wanted_, SIGCHLD);
        for (const int number : kForwarded)
            sigaddset(&wanted_, number);
        ::sigprocmask(SIG_BLOCK, &wanted_, &before_);
        descriptor_ = ::signalfd(-1, &wanted_, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    ~Signals() { ::close(descriptor_); }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    int descriptor() const { return descriptor_; }
    /// In the child, before its program starts.
    void restore() const { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
    struct Signal {
        int number;
        bool from_terminal;
    };
    std::optional<Signal> next() const {
        signalfd_siginfo info{};
        if (::read(descriptor_, &info, sizeof info) != sizeof info) return std::nullopt;
        return Signal{static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL};
    }

private:
    sigset_t wanted_{};
    sigset_t before_{};
    int descriptor_ = -1;
};

pid_t start_program(const AppCommand& command, const Signals& signals) {
    std::vector<std::string> words = command.program;
    std::vector<char*> arguments;
    for (std::string& word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child != 0) return child;
    signals.restore();
    ::execvp(arguments[0], arguments.data());
    const int error = errno;
    complain("cannot start " + command.program.front() + ": " + std::generic_category().message(error));
    ::_exit(error == ENOENT ? kNotFound : kCannotRun);
}

/// One run: the program and its watch.
class Run {
public:
    explicit Run(const AppCommand& command)
        : command_(command),
          name_(command.operands[0]),
          application_(command.socket, [this](bool connected) { connection_changed(connected); }),
          hook_(
              command.on_action, [this] { signals_.restore(); },
              [this](std::uint32_t id, vw_answer_t given, const std::string& reason) { answer(id, given, reason); }) {
        // Before the registration: as soon as the program is registered its vote counts.
        if (!command_.on_action.empty()) subscribe_actions();
        register_heartbeat();
    }

    int run() {
        started_ = base::Clock::now();
        child_ = start_program(command_, signals_);
        if (child_ < 0) return complain("cannot start a process: " + std::generic_category().message(errno));
        std::optional<int> status;
        while (!(status = turn())) {
        }
        return finish(*status);
    }

private:
    void subscribe_actions() {
        application_.subscribe_actions([this](const vw_action& action) { hook_.start(action, base::Clock::now()); });
    }

    void register_heartbeat() {
        Heartbeat heartbeat;
        heartbeat.name = name_;
        heartbeat.health = [this] { return health(); };
        heartbeat.registration = [this](vw_result_t result, const std::string& message) {
            registered(result, message);
        };
        application_.register_heartbeat(std::move(heartbeat));
    }

    /// The program's status as wait(2) has it, when it has ended.
    std::optional<int> turn() {
        std::vector<pollfd> ready{{application_.fd(), POLLIN, 0}, {signals_.descriptor(), POLLIN, 0}};
        hook_.add_to(ready);
        ::poll(ready.data(), ready.size(), wait_ms());
        application_.dispatch();
        while (const auto signal = signals_.next())
            pass_on(*signal);
        int status = 0;
        if (::waitpid(child_, &status, WNOHANG) == child_) return status;
        hook_.turn(base::Clock::now());
        look_at_time();
        return std::nullopt;
    }

    void pass_on(const Signals::Signal& signal) {
        if (signal.number == SIGCHLD) return;
        note(signal);
        // The terminal has sent it to the whole process group.
        if (signal.from_terminal && ::getpgid(child_) == ::getpgrp()) return;
        ::kill(child_, signal.number);
    }

    void note(const Signals::Signal& signal) {
        if (is_stop(signal.number)) asked_.insert(signal.number);
    }

    static bool is_stop(int number) { return number == SIGTERM || number == SIGINT || number == SIGHUP; }

    int wait_ms() const {
        if (!command_.timeout && is_settled_ && hook_.idle()) return -1;
        constexpr int kLook = 100;
        return kLook;
    }

    void look_at_time() {
        const auto now = base::Clock::now();
        if (!is_settled_ && now >= started_ + kUntilWarned) {
            is_settled_ = true;
            complain("vitalwired is not there: '" + name_ + "' is not watched until it is");
        }
        if (!command_.timeout || now < started_ + *command_.timeout) return;
        if (!timed_out_) ::kill(child_, SIGTERM);
        timed_out_ = true;
        if (now >= started_ + *command_.timeout + kFromTermToKill) ::kill(child_, SIGKILL);
    }

    void answer(std::uint32_t id, vw_answer_t given, const std::string& reason) {
        try {
            application_.answer_action(id, given, reason);
        } catch (const Error& error) {
            complain("the answer to an action was not delivered: " + std::string(error.what()));
        }
    }

    Health health() const { return verdict_.empty() ? Health::good() : Health::bad(verdict_); }

    void connection_changed(bool connected) {
        was_connected_ = was_connected_ || connected;
        is_registered_ = false;
        refusal_.clear();
    }

    void registered(vw_result_t result, const std::string& message) {
        is_settled_ = true;
        is_registered_ = result == VW_OK;
        refusal_ = message;
        if (!is_registered_) complain("'" + name_ + "' is not watched: " + message);
    }

    int finish(int status) {
        int result = WIFEXITED(status) ? WEXITSTATUS(status) : kBySignal + WTERMSIG(status);
        if (timed_out_) {
            result = kTimedOut;
            verdict_ = "did not finish within " + std::to_string(command_.timeout->count()) + " ms";
        } else if (ended_as_asked(result - kBySignal)) {
            // In order, as a service manager has it.
        } else if (WIFSIGNALED(status)) {
            verdict_ = std::string("killed by signal ") + ::strsignal(WTERMSIG(status));
        } else if (result != 0) {
            verdict_ = "exit status " + std::to_string(result);
        }
        if (verdict_.empty()) {
            await_hook();
            deliver_success();
            return result;
        }
        deliver_verdict();
        await_hook();
        // To deregister would end the fault: with the process it ends, and the verdict stays as its last words.
        hook_.stop();
        std::_Exit(result);
    }

    /// By that signal, or with the status by which a shell or a runtime tells of it.
    bool ended_as_asked(int number) {
        const auto end = base::Clock::now() + kUntilAsked;
        while (is_stop(number) && !asked_.contains(number) && base::Clock::now() < end) {
            pollfd ready{signals_.descriptor(), POLLIN, 0};
            ::poll(&ready, 1, static_cast<int>(kUntilAsked.count()));
            while (const auto signal = signals_.next())
                note(*signal);
        }
        return asked_.contains(number);
    }

    /// Its registration ends the fault of an earlier run, also of a program that is over at once; then the
    /// deregistration has to arrive. One that was refused was told already.
    void deliver_success() {
        bool is_leaving = false;
        const bool is_done = await_delivery([&] {
            if (is_leaving && !is_registered_) {
                register_heartbeat();  // the deregistration was lost with its connection
                is_leaving = false;
            } else if (!is_leaving && is_registered_) {
                application_.deregister_heartbeat();
                application_.confirm();
                is_leaving = true;
            }
            return (is_leaving && application_.confirmed()) || !refusal_.empty();
        });
        if (!is_done) complain("the success of '" + name_ + "' was not delivered: " + why_undelivered());
    }

    void deliver_verdict() {
        application_.report(health());
        application_.confirm();
        if (!await_delivery([this] { return application_.confirmed(); }))
            complain("the verdict '" + verdict_ + "' was not delivered: " + why_undelivered());
    }

    template <class Done>
    bool await_delivery(Done is_done) {
        application_.dispatch();
        // At the stop of a machine there may be none any more.
        const bool may_restart = was_connected_ && asked_.empty();
        const auto end = base::Clock::now() + (may_restart ? kUntilUndelivered : kUntilWarned);
        while (!is_done()) {
            if (is_asked_to_end() || base::Clock::now() >= end) return false;
            await_daemon();
        }
        return true;
    }

    std::string why_undelivered() const {
        if (!refusal_.empty()) return refusal_;
        return application_.connected() ? "vitalwired does not answer" : "vitalwired is not there";
    }

    /// What stops its own program has work to do after that, and the cloud waits for it. A signal to end is for it
    /// then.
    void await_hook() {
        while (!hook_.idle() && !is_asked_to_end()) {
            std::vector<pollfd> ready{{application_.fd(), POLLIN, 0}, {signals_.descriptor(), POLLIN, 0}};
            hook_.add_to(ready);
            ::poll(ready.data(), ready.size(), wait_ms());
            application_.dispatch();
            hook_.turn(base::Clock::now());
        }
    }

    void await_daemon() {
        std::array<pollfd, 2> ready{{{application_.fd(), POLLIN, 0}, {signals_.descriptor(), POLLIN, 0}}};
        constexpr int kLook = 100;
        ::poll(ready.data(), ready.size(), kLook);
        application_.dispatch();
    }

    /// By a signal that came after the program had ended.
    bool is_asked_to_end() const {
        auto signal = signals_.next();
        while (signal && !is_stop(signal->number))
            signal = signals_.next();
        return signal.has_value();
    }

    const AppCommand& command_;
    std::string name_;
    Signals signals_;
    Application application_;
    ActionHook hook_;
    base::TimePoint started_;
    pid_t child_ = -1;
    std::set<int> asked_;         ///< signals to end that came for the program
    std::string verdict_;         ///< empty: none, or a good one
    std::string refusal_;         ///< of the registration, by this connection
    bool was_connected_ = false;  ///< ever
    bool is_registered_ = false;
    bool is_settled_ = false;  ///< the user knows whether it is watched
    bool timed_out_ = false;
};

}  // namespace

int run_watched(const AppCommand& command) {
    return Run(command).run();
}

}  // namespace vitalwire::guest
