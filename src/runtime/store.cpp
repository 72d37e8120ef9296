#include "runtime/store.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <condition_variable>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "runtime/file.hpp"
#include "runtime/notify.hpp"
#include "runtime/sqlite_file.hpp"

namespace vitalwire::runtime {

namespace asio = boost::asio;
using base::Errc;
using base::Millis;
using base::Result;

namespace {

constexpr Millis kFirstRetry{200};
constexpr Millis kLongestRetry{5000};
constexpr Millis kCloseDeadline{3000};
/// A disk that hangs does not fail: who waits for it longer than that is told so.
constexpr Millis kLongWrite{1000};
constexpr const char* kHangs = "the disk has not answered a write for more than a second";
/// Also while nothing changes: a file that is removed must not be missed by the next start only.
constexpr Millis kFileLookedAt{1000};
/// For a disk that fails. Guests are watched without a state rather than not at all.
constexpr Millis kDiskPatience{3000};
constexpr Millis kOpenPause{500};  // between attempts to open a file that is in use

/// "20261122T060508Z"
std::string compact_time() {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
    return text;
}

/// Moves the file and what SQLite keeps beside it out of the way; the new path, without loss of an earlier one.
Result<std::string> move_aside(const std::string& path) {
    const std::string stem = path + ".unreadable-" + compact_time();
    std::string target = stem;
    for (int again = 2; access(target.c_str(), F_OK) == 0; ++again)
        target = stem + '-' + std::to_string(again);
    if (rename(path.c_str(), target.c_str()) != 0) {
        return base::fail(Errc::io,
                          path + ": unreadable, and cannot be quarantined: " + std::generic_category().message(errno));
    }
    for (const char* suffix : {"-wal", "-journal", "-shm"}) {
        // Left behind it would be taken for the new file's.
        const std::string companion = path + suffix;
        if (rename(companion.c_str(), (target + suffix).c_str()) != 0) unlink(companion.c_str());
    }
    return target;
}

struct Opened {
    std::optional<SqliteFile> file;  ///< absent, on a disk that is read-only: the writer opens it when it can
    std::map<StoreKey, std::string> content;
    bool is_lost = false;  ///< what the file holds could not be read: it must not come back to life beside newer rows
};

/// What the writer's thread and the event loop share; outlives whichever of them ends last.
class Writer : public std::enable_shared_from_this<Writer> {
public:
    /// What was read on a disk that is read-only is written as a whole: a check of the disk may change the file before
    /// it can be written.
    Writer(asio::io_context& io, std::string path, Opened opened)
        : io_(&io), path_(std::move(path)), file_(std::move(opened.file)), is_whole_(!file_), is_lost_(opened.is_lost) {
        if (is_whole_) pending_.insert(opened.content.begin(), opened.content.end());
    }

    void change(StoreKey key, std::optional<std::string> value);
    void when_durable(std::function<void()> done);
    /// False when the disk did not take everything in time: the thread may hang in a system call and is left behind.
    bool close(Millis deadline);
    void run();

    std::string problem() const;
    std::uint64_t pending() const;

private:
    struct Waiting {
        std::uint64_t change;  ///< the last one that must be durable
        std::function<void()> done;
    };

    void end_turn();
    void pass_on();
    Result<void> look_at_file(std::unique_lock<std::mutex>& lock);
    Result<void> write(const StoreChanges& changes);
    void written(std::uint64_t up_to);
    void failed(const std::string& why);
    void wait_before_retry(std::unique_lock<std::mutex>& lock);
    void tell_waiting();
    bool hangs() const;

    asio::io_context* io_;  ///< null once closed: nobody is told anything any more
    const std::string path_;
    std::optional<SqliteFile> file_;  ///< the writer thread's alone, like the next two
    bool is_whole_;                   ///< the next write is of all rows, not of changes
    bool is_lost_;                    ///< the old file is quarantined before

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable ended_;
    StoreChanges of_turn_;  ///< made in this turn of the event loop: the thread gets them together
    StoreChanges pending_;
    StoreChanges under_way_;
    base::TimePoint begun_at_{};   ///< of what is under way
    std::uint64_t changes_ = 0;    ///< so far
    std::uint64_t passed_on_ = 0;  ///< of them, from `of_turn_` to `pending_`
    std::uint64_t durable_ = 0;    ///< of them, on the disk
    std::vector<Waiting> waiting_;
    std::string problem_;
    Millis retry_after_ = kFirstRetry;
    bool closing_ = false;
    bool has_ended_ = false;
};

void Writer::change(StoreKey key, std::optional<std::string> value) {
    const std::lock_guard lock(mutex_);
    if (of_turn_.empty() && io_ != nullptr) asio::post(*io_, [self = shared_from_this()] { self->end_turn(); });
    of_turn_[std::move(key)] = std::move(value);
    ++changes_;
}

void Writer::end_turn() {
    const std::lock_guard lock(mutex_);
    pass_on();
    wake_.notify_one();
}

/// With the lock held.
void Writer::pass_on() {
    for (auto& [key, value] : of_turn_)
        pending_[key] = std::move(value);
    of_turn_.clear();
    passed_on_ = changes_;
}

void Writer::when_durable(std::function<void()> done) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({changes_, std::move(done)});
    tell_waiting();
}

/// With the lock held.
void Writer::tell_waiting() {
    const auto still_waiting = std::find_if(waiting_.begin(), waiting_.end(),
                                            [&](const Waiting& waiting) { return waiting.change > durable_; });
    for (auto waiting = waiting_.begin(); waiting != still_waiting; ++waiting) {
        if (io_ != nullptr) asio::post(*io_, std::move(waiting->done));
    }
    waiting_.erase(waiting_.begin(), still_waiting);
}

void Writer::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait_for(lock, kFileLookedAt, [this] { return closing_ || !pending_.empty(); });
        if (const auto looked = look_at_file(lock); !looked) {
            failed(looked.error().message);
            if (closing_) break;
            wait_before_retry(lock);
            continue;
        }
        if (pending_.empty()) {
            if (!problem_.empty()) written(durable_);
            if (closing_) break;
            continue;
        }
        under_way_ = std::exchange(pending_, {});
        const std::uint64_t up_to = passed_on_;
        begun_at_ = base::Clock::now();
        lock.unlock();
        const Result<void> done = write(under_way_);
        lock.lock();
        if (done) {
            written(up_to);
            continue;
        }
        // What changed since is newer than what could not be written.
        pending_.merge(under_way_);
        under_way_.clear();
        failed(done.error().message);
        if (closing_) break;
        wait_before_retry(lock);
    }
    file_.reset();  // unlocks it
    has_ended_ = true;
    ended_.notify_all();
}

/// A file that was removed is written again, with what it held and what has changed since. One that somebody has put in
/// its place is left alone.
Result<void> Writer::look_at_file(std::unique_lock<std::mutex>& lock) {
    if (!file_) return {};
    lock.unlock();
    const bool moved = file_->has_moved();
    const bool replaced = moved && access(path_.c_str(), F_OK) == 0;
    auto content = moved && !replaced ? file_->read_all() : std::map<StoreKey, std::string>();
    if (moved && !replaced && content) file_.reset();
    lock.lock();
    if (!moved) return {};
    if (replaced)
        return base::fail(Errc::io, path_ +
                                        ": another file was put there: it is used from the next start on, and what "
                                        "changes until then is lost unless that file is removed");
    if (!content) return tl::make_unexpected(content.error());
    log::error("the state file was removed, writing it again", {{"file", path_}});
    pending_.insert(content->begin(), content->end());
    return {};
}

Result<void> Writer::write(const StoreChanges& changes) {
    if (is_lost_ && access(path_.c_str(), F_OK) == 0) {
        const auto moved = move_aside(path_);
        if (!moved) return tl::make_unexpected(moved.error());
        log::info("the state that could not be read is quarantined", {{"set_aside", *moved}});
    }
    is_lost_ = false;
    if (!file_) {
        auto opened = SqliteFile::open(path_);
        // Found so on a disk that could not be written then.
        if (!opened && opened.error().code == Errc::malformed && move_aside(path_)) opened = SqliteFile::open(path_);
        if (!opened) return tl::make_unexpected(opened.error());
        file_ = std::move(*opened);
    }
    auto done = file_->write(changes, is_whole_ ? SqliteFile::Rest::erase : SqliteFile::Rest::keep);
    if (done) is_whole_ = false;
    if (!done) file_.reset();  // after an I/O error SQLite wants a fresh connection
    return done;
}

void Writer::written(std::uint64_t up_to) {
    durable_ = up_to;
    retry_after_ = kFirstRetry;
    if (!problem_.empty() || hangs()) log::info("state can be written again", {{"file", path_}});
    problem_.clear();
    under_way_.clear();
    tell_waiting();
}

void Writer::failed(const std::string& why) {
    if (problem_.empty()) log::error("state cannot be written, trying again", {{"why", why}});
    problem_ = why;
}

void Writer::wait_before_retry(std::unique_lock<std::mutex>& lock) {
    wake_.wait_for(lock, retry_after_, [this] { return closing_; });
    retry_after_ = std::min(retry_after_ * 2, kLongestRetry);
}

/// With the lock held.
bool Writer::hangs() const {
    return !under_way_.empty() && base::Clock::now() - begun_at_ > kLongWrite;
}

std::string Writer::problem() const {
    const std::lock_guard lock(mutex_);
    if (problem_.empty()) return hangs() ? kHangs : "";
    return problem_ + "; changes that wait: " + std::to_string(of_turn_.size() + pending_.size() + under_way_.size());
}

std::uint64_t Writer::pending() const {
    const std::lock_guard lock(mutex_);
    return of_turn_.size() + pending_.size() + under_way_.size();
}

bool Writer::close(Millis deadline) {
    std::unique_lock lock(mutex_);
    closing_ = true;
    io_ = nullptr;
    waiting_.clear();
    pass_on();
    wake_.notify_one();
    return ended_.wait_for(lock, deadline, [this] { return has_ended_; });
}

class SqliteStore : public Store {
public:
    SqliteStore(asio::io_context& io, const std::string& path, Opened opened, std::string aside)
        : content_(opened.content),
          aside_(std::move(aside)),
          writer_(std::make_shared<Writer>(io, path, std::move(opened))),
          thread_([writer = writer_] { writer->run(); }) {}
    ~SqliteStore() override { close_now(); }
    SqliteStore(const SqliteStore&) = delete;
    SqliteStore& operator=(const SqliteStore&) = delete;

    std::map<std::string, std::string> load(const std::string& table) override {
        std::map<std::string, std::string> out;
        const auto first = content_.lower_bound({table, ""});
        auto entry = first;
        for (; entry != content_.end() && entry->first.first == table; ++entry)
            out.emplace(entry->first.second, std::move(entry->second));
        content_.erase(first, entry);
        return out;
    }

    void put(const std::string& table, const std::string& key, std::string value) override {
        writer_->change({table, key}, std::move(value));
    }
    void erase(const std::string& table, const std::string& key) override {
        writer_->change({table, key}, std::nullopt);
    }
    void when_durable(std::function<void()> done) override {
        // A callback that is on its way when the store is destroyed must not run: its owner may be gone too.
        writer_->when_durable([alive = std::weak_ptr(alive_), done = std::move(done)] {
            if (!alive.expired()) done();
        });
    }
    void close() override { close_now(); }

    bool healthy() const override { return writer_->problem().empty(); }
    std::string problem() const override { return writer_->problem(); }
    std::uint64_t pending() const override { return writer_->pending(); }
    const std::string& set_aside() const override { return aside_; }

private:
    void close_now() {
        if (!thread_.joinable()) return;
        if (writer_->close(kCloseDeadline)) return thread_.join();
        log::error("state was not written before the end", {{"changes", writer_->pending()}});
        thread_.detach();
    }

    std::map<StoreKey, std::string> content_;  ///< read at start, handed out by `load`
    std::string aside_;
    std::shared_ptr<char> alive_ = std::make_shared<char>();
    std::shared_ptr<Writer> writer_;
    std::thread thread_;
};

bool is_on_read_only_disk(const std::string& path) {
    struct statvfs disk {};
    const std::string folder = std::filesystem::absolute(path).parent_path();
    return statvfs(folder.c_str(), &disk) == 0 && (disk.f_flag & ST_RDONLY) != 0;
}

/// What is there of a state on a disk that is `disk` (read-only, failing). An unreadable file stays where it is until
/// it can be moved: the daemon must not wait for that.
Result<Opened> read_what_is_there(const std::string& path, const std::string& disk, const base::Error& why,
                                  std::string& aside) {
    log::error("the state is kept in memory until it can be written: the disk is " + disk, {{"why", why.message}});
    auto content = SqliteFile::read_only(path);
    if (content) return Opened{std::nullopt, std::move(*content), false};
    if (content.error().code == Errc::unsupported_version) return tl::make_unexpected(content.error());
    log::error("the state is unreadable, on a disk that is " + disk + ": starting empty",
               {{"why", content.error().message}});
    aside = path + ", on a disk that is " + disk + " (" + content.error().message + ')';
    return Opened{std::nullopt, {}, true};
}

Result<Opened> open_and_read(const std::string& path) {
    auto file = SqliteFile::open(path);
    if (!file) return tl::make_unexpected(file.error());
    auto content = file->read_all();
    if (!content) return tl::make_unexpected(content.error());
    return Opened{std::move(*file), std::move(*content), false};
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(asio::io_context& io, const std::string& path) {
    auto opened = open_and_read(path);
    std::string aside;
    if (!opened && opened.error().code == Errc::malformed && !is_on_read_only_disk(path)) {
        auto moved = move_aside(path);
        if (!moved) return tl::make_unexpected(moved.error());
        aside = std::move(*moved);
        log::error("the state is unreadable: quarantined, starting empty",
                   {{"why", opened.error().message}, {"set_aside", aside}});
        opened = open_and_read(path);
    }
    if (!opened && is_on_read_only_disk(path)) opened = read_what_is_there(path, "read-only", opened.error(), aside);
    if (!opened) return tl::make_unexpected(opened.error());
    return std::make_unique<SqliteStore>(io, path, std::move(*opened), std::move(aside));
}

std::string Store::check(const std::string& path, const std::string& provided) {
    const std::string folder = std::filesystem::path(path).parent_path();
    if (folder == provided && access(folder.c_str(), F_OK) != 0) return {};
    if (std::string why = why_not_writable(path); !why.empty()) return why;
    return SqliteFile::why_not_ours(path);
}

Result<std::unique_ptr<Store>> Store::open_when_free(asio::io_context& io, const std::string& path) {
    const auto work = asio::make_work_guard(io);
    const base::TimePoint begun = base::Clock::now();
    std::string reported;
    while (true) {
        auto store = open(io, path);
        if (!store && store.error().code == Errc::io && base::Clock::now() - begun >= kDiskPatience) {
            std::string aside;
            auto opened = read_what_is_there(path, "failing", store.error(), aside);
            if (!opened) return tl::make_unexpected(opened.error());
            return std::make_unique<SqliteStore>(io, path, std::move(*opened), std::move(aside));
        }
        const bool may_pass = !store && (store.error().code == Errc::unavailable || store.error().code == Errc::io);
        if (!may_pass) {
            if (!reported.empty() && store) log::info("the state can be used now", {{"path", path}});
            return store;
        }
        if (std::exchange(reported, store.error().message) != store.error().message)
            log::warning("the state cannot be used yet, waiting for it", {{"why", reported}});
        notify_waiting("waiting for its state: " + reported, 2 * kOpenPause);
        io.run_for(kOpenPause);
        if (io.stopped()) return base::fail(Errc::unavailable, "stopped while waiting: " + reported);
    }
}

}  // namespace vitalwire::runtime
