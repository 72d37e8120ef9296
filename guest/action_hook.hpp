#pragma once

#include <poll.h>
#include <sys/types.h>
#include <vitalwire/vitalwire.h>

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace vitalwire::guest {

/// Runs a command for each question about an action of the cloud, as `COMMAND revocable|irrevocable EVENT`, beside
/// everything else: status 0 accepts, 1 rejects, and the first line of its standard output, or else of its standard
/// error, is the reason. What it writes to standard error goes on to ours.
class ActionHook {
public:
    using Answer = std::function<void(std::uint32_t id, vw_answer_t answer, const std::string& reason)>;

    /// `in_child` is called in each child before its command starts.
    ActionHook(std::string command, std::function<void()> in_child, Answer answer)
        : command_(std::move(command)), in_child_(std::move(in_child)), answer_(std::move(answer)) {}
    ~ActionHook() { stop(); }
    ActionHook(const ActionHook&) = delete;
    ActionHook& operator=(const ActionHook&) = delete;

    void start(const vw_action& action, base::TimePoint now);
    /// Ends the commands that run.
    void stop();
    bool idle() const { return runs_.empty(); }
    /// What wakes it besides SIGCHLD and the time.
    void add_to(std::vector<pollfd>& descriptors) const;
    /// Reads, answers for those that have ended, and ends those that take too long.
    void turn(base::TimePoint now);

private:
    /// The end of a pipe that it writes to.
    struct Stream {
        int descriptor = -1;
        std::string text;
        bool at_end = false;
    };
    struct Run {
        std::uint32_t id = 0;
        pid_t process = -1;
        base::TimePoint end_by;
        Stream output{};
        Stream errors{};
    };

    static void read(Stream& stream, bool pass_on);
    static void read(Run& run);
    static void close(const Run& run);
    static void kill_group(const Run& run);
    void ended(Run& run, int status);

    std::string command_;
    std::function<void()> in_child_;
    Answer answer_;
    std::list<Run> runs_;
};

}  // namespace vitalwire::guest
