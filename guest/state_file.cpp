#include "guest/state_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "runtime/file.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;

namespace {

constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";
constexpr std::size_t kMaxBootId = 64;
constexpr mode_t kStateMode = 0600;
constexpr mode_t kOthers = 0077;
constexpr mode_t kOthersWrite = 0022;
/// An application may change its health as often as it likes.
constexpr double kWritesPerSecond = 10;
constexpr double kWritesAtOnce = 20;
constexpr std::chrono::seconds kStateRetry{5};

std::string system_error() {
    return std::generic_category().message(errno);
}

class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return number_; }

private:
    int number_;
};

/// Others could put another file in its place. In a folder as /tmp they cannot.
std::string why_not_private(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
    struct stat found {};
    if (::stat(folder.c_str(), &found) != 0) return base::escape(folder) + ": " + system_error();
    const bool is_open = (found.st_mode & kOthersWrite) != 0 && (found.st_mode & S_ISVTX) == 0;
    const bool is_theirs = found.st_uid != ::geteuid() && found.st_uid != 0;
    return is_open || is_theirs ? base::escape(folder) + ": other users may write there" : "";
}

bool write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(descriptor, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

}  // namespace

StateFile::StateFile(boost::asio::io_context& io, std::string path, Collect collect)
    : path_(std::move(path)), collect_(std::move(collect)), timer_(io), writes_(kWritesPerSecond, kWritesAtOnce) {}

StateFile::~StateFile() {
    if (lock_ >= 0) ::close(lock_);
}

std::optional<std::vector<Kept>> StateFile::load() {
    if (path_.empty()) return std::vector<Kept>();
    if (!lock()) return std::nullopt;
    is_open_ = true;
    const auto boot = runtime::read_file(kBootId, kMaxBootId);
    boot_ = boot ? boot->substr(0, boot->find('\n')) : "";
    written_ = empty();
    auto kept = read();
    if (!kept) {
        // What a machine had to say ends with it. Anything else was not written by this daemon, and is replaced.
        if (kept.error().code != Errc::not_found) {
            log::warning("state of an earlier vitalwired ignored",
                         {{"file", base::escape(path_)}, {"why", kept.error().message}});
            written_.clear();
            changed();
        }
        return std::vector<Kept>();
    }
    if (!kept->empty()) log::info("state of an earlier vitalwired taken over", {{"items", kept->size()}});
    written_.clear();
    return std::move(*kept);
}

/// False while another process has it, else true, also where nothing can be locked. A lock of the process's, not of a
/// descriptor: a child that hangs before its exec, of a daemon that was killed, keeps nobody out.
bool StateFile::lock() {
    if (lock_ >= 0) return true;
    const std::string path = path_ + ".lock";
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, kStateMode);
    if (file < 0) return true;
    struct stat found {};
    const bool is_ours = ::fstat(file, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == ::geteuid();
    struct flock whole {};
    whole.l_type = F_WRLCK;
    const bool is_locked = is_ours && ::fcntl(file, F_SETLK, &whole) == 0;
    const bool is_held = is_ours && !is_locked && (errno == EACCES || errno == EAGAIN);
    is_locked ? static_cast<void>(lock_ = file) : static_cast<void>(::close(file));
    return !is_held;
}

/// Of a machine that has nothing to keep; a file that is missing says the same.
std::string StateFile::empty() const {
    std::size_t none = 0;
    return encode_kept({}, boot_, none);
}

base::Result<std::vector<Kept>> StateFile::read() const {
    const Descriptor file(::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file.get() < 0) return errno == ENOENT ? fail(Errc::not_found, "") : fail(Errc::io, system_error());
    struct stat found {};
    const bool is_ours = ::fstat(file.get(), &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == ::geteuid() &&
                         (found.st_mode & kOthers) == 0;
    if (!is_ours) return fail(Errc::io, "is no file of this user's alone");
    if (const std::string why = why_not_private(path_); !why.empty()) return fail(Errc::io, why);
    std::string text(kMaxKeptBytes + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail(Errc::io, system_error());
        if (count == 0) break;
        size += static_cast<std::size_t>(count);
    }
    if (size > kMaxKeptBytes) return fail(Errc::too_large, "is too large");
    text.resize(size);
    return decode_kept(text, boot_);
}

void StateFile::changed() {
    // After whatever this turn of the loop has still to say.
    if (is_open_ && !waits_) write_after(writes_.charge(base::Clock::now(), 1));
}

void StateFile::write_after(base::Duration time) {
    waits_ = true;
    timer_.after(time, [this] {
        waits_ = false;
        write();
    });
}

void StateFile::write_pending() {
    if (!waits_ || !problem_.empty()) return;
    timer_.cancel();
    waits_ = false;
    write();
}

void StateFile::stop() {
    timer_.cancel();
    if (std::exchange(is_open_, false)) write();
}

void StateFile::write() {
    std::size_t left_out = 0;
    std::string text = encode_kept(collect_(), boot_, left_out);
    if (text == written_) return written(std::move(text));
    if (std::exchange(left_out_, left_out) == 0 && left_out > 0)
        log::warning("more applications and reports than are kept for a restart", {{"not_kept", left_out}});
    if (const auto done = replace(text); !done) return not_written(done.error().message);
    written(std::move(text));
}

void StateFile::written(std::string text) {
    written_ = std::move(text);
    if (!std::exchange(problem_, "").empty()) on_problem_();
}

void StateFile::not_written(const std::string& why) {
    if (std::exchange(problem_, why) != why) {
        log::warning("what applications reported will be lost when vitalwired is started again", {{"why", why}});
        on_problem_();
    }
    // To remove it takes no room.
    if (::unlink(path_.c_str()) == 0 || errno == ENOENT) {
        written_ = empty();
    } else if (!written_.empty()) {
        written_.clear();
        log::error("the state is out of date and cannot be removed, the next vitalwired will believe it",
                   {{"file", base::escape(path_)}, {"why", system_error()}});
    }
    if (is_open_) write_after(kStateRetry);
}

base::Result<void> StateFile::replace(const std::string& text) const {
    if (boot_.empty()) return fail(Errc::io, std::string(kBootId) + ": cannot be read");
    if (const std::string why = why_not_private(path_); !why.empty()) return fail(Errc::io, why);
    const std::string next = path_ + ".new";
    ::unlink(next.c_str());
    bool written = false;
    {
        const Descriptor file(::open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kStateMode));
        written = file.get() >= 0 && write_all(file.get(), text);
    }
    // Memory is what it is written to: there is nothing to wait for.
    if (written && ::rename(next.c_str(), path_.c_str()) == 0) return {};
    const std::string why = base::escape(path_) + ": " + system_error();
    ::unlink(next.c_str());
    return fail(Errc::io, why);
}

}  // namespace vitalwire::guest
