#include "runtime/logging.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/line_buffer.hpp"
#include "runtime/journal_entry.hpp"

namespace vitalwire::runtime {

namespace {

constexpr std::chrono::seconds kFlushPatience{1};
/// Small where it can be: in a guest memory is locked or scarce. Thread-local data of the libraries comes on top of it.
constexpr std::size_t kWriterStack = std::size_t{64} * 1024;
constexpr const char* kJournalSocket = "/run/systemd/journal/socket";
/// The line, and once more what stands in its fields.
constexpr std::size_t kLongestEntry = 3 * base::LineBuffer::kMaxLine;

/// Writes all of `text` to standard error, however long that takes. False if it cannot be written at all.
bool write_to_stderr(std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            pollfd room{STDERR_FILENO, POLLOUT, 0};
            ::poll(&room, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/// $JOURNAL_STREAM names the device and inode of the journal's end (systemd.exec(5)); it is inherited, so it counts
/// only when it is our standard error.
bool stderr_is_the_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");  // NOLINT(concurrency-mt-unsafe): before any thread
    struct stat status {};
    if (stream == nullptr || fstat(STDERR_FILENO, &status) != 0) return false;
    return stream == std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino);
}

/// The journal's own protocol. Its socket is systemd's, so it is there while the journal restarts.
class JournalSocket {
public:
    /// Without it the lines go to standard error, which is the journal's as well.
    void open() { fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); }

    /// False if it was not sent.
    bool send(std::string_view line) {
        if (fd_ < 0) return false;
        const std::size_t size = journal_entry(line, program_invocation_short_name, entry_);
        if (size == 0) return false;
        sockaddr_un to{};
        to.sun_family = AF_UNIX;
        std::string_view(kJournalSocket).copy(to.sun_path, sizeof to.sun_path - 1);
        ssize_t sent = 0;
        do {
            sent = ::sendto(fd_, entry_.data(), size, MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), sizeof to);
        } while (sent < 0 && errno == EINTR);
        return sent >= 0;
    }

private:
    int fd_ = -1;
    std::array<char, kLongestEntry> entry_{};
};

/// The priority that the journal reads (sd-daemon(3)); it adds the time itself.
std::string priority_prefix(log::Level level) {
    static constexpr std::array kPriorities = {"<7>", "<6>", "<4>", "<3>"};
    return kPriorities.at(static_cast<std::size_t>(level));
}

std::string time_prefix(log::Level level) {
    static constexpr std::array kLevels = {" debug ", " info ", " warning ", " error "};
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm local{};
    localtime_r(&now.tv_sec, &local);
    std::array<char, 32> seconds{};
    const std::size_t length = std::strftime(seconds.data(), seconds.size(), "%Y-%m-%d %H:%M:%S.", &local);
    const std::string millis = std::to_string(now.tv_nsec / 1000000);
    return std::string(seconds.data(), length) + std::string(3 - millis.size(), '0') + millis +
           kLevels.at(static_cast<std::size_t>(level));
}

/// The buffer of lines and the thread that empties it.
class LogWriter {
public:
    LogWriter(std::size_t buffer, bool journal)
        : prefix_(journal ? priority_prefix : time_prefix), journal_(journal), lines_(buffer) {
        if (journal) socket_.open();
    }

    bool start_thread() {
        pthread_attr_t attributes{};
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, kWriterStack);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the event loop's
        pthread_t thread{};
        int error = pthread_create(&thread, &attributes, run_thread, this);
        if (error == EINVAL) {  // no room for the libraries' thread-local data
            pthread_attr_setstacksize(&attributes, 16 * kWriterStack);
            error = pthread_create(&thread, &attributes, run_thread, this);
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        pthread_attr_destroy(&attributes);
        return error == 0;
    }

    void push(log::Level level, std::string_view line) {
        const std::string prefix = prefix_(level);
        const std::lock_guard lock(mutex_);
        lines_.push(prefix, line);
        changed_.notify_all();
    }

    void flush() {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, kFlushPatience, [this] { return lines_.empty() && !writing_; });
    }

    std::uint64_t dropped() {
        const std::lock_guard lock(mutex_);
        return lines_.dropped();
    }

private:
    static void* run_thread(void* self) {
        static_cast<LogWriter*>(self)->run();
        return nullptr;
    }

    /// Allocates nothing while all goes well: in a guest, a second arena of malloc would be most of its memory.
    [[noreturn]] void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return !lines_.empty(); });
            writing_ = true;
            const std::size_t size = lines_.pop(chunk_);
            lock.unlock();
            const bool written = write({chunk_.data(), size});
            lock.lock();
            writing_ = false;
            if (written && lines_.empty()) report_dropped();
            changed_.notify_all();
        }
    }

    bool write(std::string_view lines) {
        if (!journal_) return write_to_stderr(lines);
        bool written = true;
        while (!lines.empty()) {
            const std::string_view line = lines.substr(0, lines.find('\n') + 1);
            written = (socket_.send(line.substr(0, line.size() - 1)) || write_to_stderr(line)) && written;
            lines.remove_prefix(line.size());
        }
        return written;
    }

    /// One line when the reader has caught up, not one for every time that it was late.
    void report_dropped() {
        const std::uint64_t lost = lines_.dropped() - reported_;
        if (lost == 0) return;
        reported_ = lines_.dropped();
        lines_.push(prefix_(log::Level::warning),
                    "log lines dropped, standard error was not read in time lines=" + std::to_string(lost));
    }

    std::string (*prefix_)(log::Level);
    bool journal_;
    JournalSocket socket_;  // of the thread
    std::mutex mutex_;
    std::condition_variable changed_;
    base::LineBuffer lines_;
    std::array<char, base::LineBuffer::kMaxLine> chunk_{};
    std::uint64_t reported_ = 0;
    bool writing_ = false;
};

/// Never destroyed: its thread may be waiting for standard error when the process exits.
LogWriter* g_writer = nullptr;

}  // namespace

void start_logging(log::Level level, std::size_t buffer) {
    log::set_level(level);
    if (g_writer != nullptr) return;
    auto writer = std::make_unique<LogWriter>(buffer, stderr_is_the_journal());
    if (!writer->start_thread())
        return log::warning("cannot start a thread for the log: a reader that hangs will hang us");
    g_writer = writer.release();
    log::set_backend([](log::Level at, std::string_view line) { g_writer->push(at, line); });
    std::atexit(flush_log);
}

void flush_log() {
    if (g_writer != nullptr) g_writer->flush();
}

std::uint64_t dropped_log_lines() {
    return g_writer == nullptr ? 0 : g_writer->dropped();
}

}  // namespace vitalwire::runtime
