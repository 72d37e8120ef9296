#include "sweep.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <system_error>
#include <vector>

namespace vitalwire::simulator {

namespace {

constexpr double kProgressEvery = 5;
constexpr int kLookMs = 1000;

/// What a process reports of a seed, in one write that no other process's comes between.
struct Record {
    enum class Kind : std::uint8_t { begins, holds, violates };

    Kind kind = Kind::begins;
    std::uint32_t process = 0;
    std::uint64_t seed = 0;
    Result result;
    char violation[2048]{};
};
static_assert(sizeof(Record) <= PIPE_BUF);

struct Worker {
    pid_t pid = -1;
    std::uint64_t seed = 0;  ///< that it plays
};

/// This program's own clocks are virtual.
double real_time() {
    timespec time{};
    ::syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

void write_record(int descriptor, const Record& record) {
    if (::write(descriptor, &record, sizeof record) != sizeof record) ::_exit(1);  // nobody listens any more
}

/// One of `options.processes`, each of which takes every so many-th seed.
void work(const Options& options, std::uint32_t process, int descriptor) {
    for (std::uint64_t seed = options.first_seed + process; seed <= options.last_seed; seed += options.processes) {
        Record record;
        record.process = process;
        record.seed = seed;
        write_record(descriptor, record);
        try {
            Simulation simulation(seed, options.size, Detail::nothing);
            simulation.run();
            record.result = simulation.result();
            record.kind = Record::Kind::holds;
        } catch (const std::exception& violation) {
            std::strncpy(record.violation, violation.what(), sizeof record.violation - 1);
            record.kind = Record::Kind::violates;
        }
        write_record(descriptor, record);
    }
}

class Conductor {
public:
    explicit Conductor(const Options& options) : options_(options), begin_(real_time()), told_(begin_) {
        if (::pipe(pipe_) != 0) fail("pipe");
        const std::uint64_t count = options_.last_seed - options_.first_seed + 1;
        options_.processes = std::clamp<std::uint64_t>(options_.processes, 1, count);
        std::fflush(nullptr);
        for (std::uint32_t process = 0; process < options_.processes; ++process)
            start(process);
        ::close(pipe_[1]);
    }

    Sweep conduct() {
        while (next_record()) {
        }
        for (const Worker& worker : workers_)
            wait_for(worker);
        ::close(pipe_[0]);
        sweep_.seconds = real_time() - begin_;
        return std::move(sweep_);
    }

private:
    void start(std::uint32_t process) {
        const pid_t pid = ::fork();
        if (pid < 0) fail("fork");
        if (pid == 0) {
            ::close(pipe_[0]);
            work(options_, process, pipe_[1]);
            ::_exit(0);
        }
        workers_.push_back({pid, options_.first_seed + process});
    }

    bool next_record() {
        pollfd readable{pipe_[0], POLLIN, 0};
        const int ready = ::poll(&readable, 1, kLookMs);
        if (real_time() - told_ >= kProgressEvery) tell_progress();
        if (ready == 0) return true;
        Record record;
        if (::read(pipe_[0], &record, sizeof record) != sizeof record) return false;
        workers_.at(record.process).seed = record.seed;
        if (record.kind == Record::Kind::begins) return true;
        ++sweep_.seeds;
        if (record.kind == Record::Kind::holds) {
            sweep_.result.add(record.result);
        } else {
            violated(record.seed, {record.violation});
        }
        return true;
    }

    void wait_for(const Worker& worker) {
        int status = 0;
        ::waitpid(worker.pid, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
        ++sweep_.seeds;
        const std::string how = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                                    : "status " + std::to_string(WEXITSTATUS(status));
        violated(worker.seed, {"its process ended with " + how + "; the seeds after it were not played", true});
    }

    void violated(std::uint64_t seed, const Sweep::Violated& violation) {
        std::printf("seed %ju violates:\n%s\n", static_cast<std::uintmax_t>(seed), violation.what.c_str());
        std::fflush(stdout);
        sweep_.violations.emplace(seed, violation);
    }

    void tell_progress() {
        told_ = real_time();
        const std::uint64_t count = options_.last_seed - options_.first_seed + 1;
        const double seconds = told_ - begin_;
        const double left = seconds / static_cast<double>(std::max<std::uint64_t>(sweep_.seeds, 1)) *
                            static_cast<double>(count - sweep_.seeds);
        std::fprintf(stderr, "%ju of %ju seeds, %zu violate, %.0f guest-hours, %.0f s, about %.0f s left\n",
                     static_cast<std::uintmax_t>(sweep_.seeds), static_cast<std::uintmax_t>(count),
                     sweep_.violations.size(), sweep_.result.guest_hours, seconds, left);
    }

    Options options_;
    double begin_;
    double told_;
    int pipe_[2]{};
    std::vector<Worker> workers_;
    Sweep sweep_;
};

}  // namespace

std::string Sweep::text() const {
    char text[128];
    std::snprintf(text, sizeof text,
                  "%ju of %ju seeds hold, in %.1f s: ", static_cast<std::uintmax_t>(seeds - violations.size()),
                  static_cast<std::uintmax_t>(seeds), seconds);
    return text + result.text() + "\n";
}

Sweep play_all(const Options& options) {
    return Conductor(options).conduct();
}

}  // namespace vitalwire::simulator
