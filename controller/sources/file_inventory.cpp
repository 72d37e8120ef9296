#include "controller/sources/file_inventory.hpp"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <filesystem>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/log.hpp"
#include "controller/sources/inventory_file.hpp"
#include "runtime/config.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// An editor's several steps of saving are one change.
constexpr base::Millis kSettle{20};
/// A change without an event (a watch that could not be had, a link that points elsewhere now) is found by polling; it
/// counts once it is the same at two polls.
constexpr base::Millis kPoll{5000};
/// A file that is not closed for so many polls is shown as a problem.
constexpr int kLongWritten = 12;
constexpr const char* kUnreadable = "the inventory cannot be read";
constexpr std::size_t kShownMistakes = 10;
constexpr std::uint32_t kComplete = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
constexpr std::uint32_t kEvents = kComplete | IN_CREATE | IN_MODIFY;

/// Tells two versions of a file apart.
using Signature = std::tuple<dev_t, ino_t, off_t, time_t, long>;

std::optional<Signature> signature_of(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return std::nullopt;
    return Signature{status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

/// One that is created with a writer, who will close it; a link has none.
bool is_new_file(const std::string& path) {
    struct stat status {};
    return lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1;
}

std::string joined(const runtime::ConfigErrors& errors) {
    std::string text;
    for (std::size_t i = 0; i < errors.size() && i < kShownMistakes; ++i)
        text += (i == 0 ? "" : "; ") + runtime::to_string(errors[i]);
    if (errors.size() > kShownMistakes) text += "; and " + std::to_string(errors.size() - kShownMistakes) + " more";
    return text;
}

}  // namespace

class FileInventory::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(asio::io_context& io, Inventory& inventory, std::string path, bool required)
        : inventory_(inventory),
          path_(std::move(path)),
          name_(std::filesystem::path(path_).filename()),
          required_(required),
          inotify_(io),
          settle_(io),
          poll_timer_(io) {}

    void start(Handler& handler) {
        handler_ = &handler;
        watch();
        load();
        poll_later();
    }

    void stop() {
        handler_ = nullptr;
        error_code ignored;
        inotify_.close(ignored);
        settle_.cancel();
        poll_timer_.cancel();
    }

    void load() {
        // Half a file would be taken for the operator's word that the other guests are no more.
        if (handler_ == nullptr || written_) return;
        const auto found = signature_of(path_);
        runtime::ConfigErrors errors;
        const auto file = runtime::ConfigFile::load(path_, errors);
        if (read_events() || written_ || signature_of(path_) != found) return load_soon();
        seen_ = found;
        if (!seen_) return missing();
        if (!file) return report(file.error().message);
        InventorySnapshot snapshot = read_inventory(*file, errors);
        if (!errors.empty()) return broken(errors);
        apply(std::move(snapshot));
    }

    bool loaded() const { return loaded_; }
    /// It is watched: as long as it can be read it is what was read.
    base::TimePoint current_at() const { return unreadable_at_.value_or(base::Clock::now()); }

private:
    void report(const std::string& problem) {
        if (problem.empty()) {
            unreadable_at_.reset();
        } else if (!unreadable_at_) {
            unreadable_at_ = base::Clock::now();
        }
        handler_->on_inventory_problem(kUnreadable, problem);
    }

    void missing() {
        if (!loaded_ && !required_) return apply({});
        const bool never_was = loaded_ && !from_file_;
        if (never_was) return;
        handler_->on_inventory_problem(
            kUnreadable, path_ + ": no such file" + (loaded_ ? "; what it listed last still counts" : ""));
    }

    void broken(const runtime::ConfigErrors& errors) {
        for (const runtime::ConfigError& error : errors)
            log::warning("mistake in the inventory file", {{"mistake", runtime::to_string(error)}});
        report(joined(errors));
    }

    void apply(InventorySnapshot snapshot) {
        loaded_ = true;
        from_file_ = seen_.has_value();
        const auto changes = inventory_.replace(std::move(snapshot));
        log::info("inventory loaded", {{"file", path_},
                                       {"guests", inventory_.guests().size()},
                                       {"groups", inventory_.groups().size()},
                                       {"changes", changes.size()}});
        report("");
        handler_->on_inventory_changed(changes);
    }

    /// Watches the directory: an editor replaces the file, and with it a watch on the file itself.
    void watch() {
        const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (fd < 0) return;
        const std::filesystem::path directory = std::filesystem::absolute(path_).parent_path();
        if (inotify_add_watch(fd, directory.c_str(), kEvents) < 0) {
            close(fd);
            return;
        }
        inotify_.assign(fd);
        await_event();
    }

    void await_event() {
        inotify_.async_wait(asio::posix::stream_descriptor::wait_read,
                            [self = shared_from_this()](const error_code& error) {
                                if (error || self->handler_ == nullptr) return;
                                if (self->read_events()) self->load_soon();
                                self->await_event();
                            });
    }

    /// All that wait; true when a version of the file came or went.
    bool read_events() {
        bool complete = false;
        for (ssize_t size = 1; inotify_.is_open() && size > 0;) {
            size = read(inotify_.native_handle(), events_.data(), events_.size());
            if (size > 0 && file_is_complete(static_cast<std::size_t>(size))) complete = true;
        }
        return complete;
    }

    bool file_is_complete(std::size_t size) {
        bool complete = false;
        for (std::size_t at = 0; at + sizeof(inotify_event) <= size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(events_.data() + at);
            if ((event->mask & IN_Q_OVERFLOW) != 0) {
                written_ = false;  // the poll finds what was missed
            } else if (event->len > 0 && name_ == event->name) {
                written_ = (event->mask & IN_MODIFY) != 0 || ((event->mask & IN_CREATE) != 0 && is_new_file(path_));
                complete = complete || (event->mask & kComplete) != 0;
            }
            at += sizeof(inotify_event) + event->len;
        }
        return complete;
    }

    void load_soon() {
        settle_.after(kSettle, [this] { load(); });
    }

    void poll_later() {
        poll_timer_.after(kPoll, [this] {
            if (!inotify_.is_open()) watch();
            const auto found = signature_of(path_);
            if (found != seen_ && found == polled_) load();
            polled_ = found;
            polls_written_ = written_ ? polls_written_ + 1 : 0;
            if (polls_written_ == kLongWritten) report(path_ + ": its writer has not closed it for a minute");
            poll_later();
        });
    }

    Inventory& inventory_;
    std::string path_;
    std::string name_;
    bool required_;
    Handler* handler_ = nullptr;
    bool loaded_ = false;
    std::optional<base::TimePoint> unreadable_at_;
    bool from_file_ = false;           ///< what is loaded; false: there was no file
    std::optional<Signature> seen_;    ///< of the version that was read last
    std::optional<Signature> polled_;  ///< of the version that the last poll found
    bool written_ = false;             ///< somebody writes it, and has not closed it
    int polls_written_ = 0;
    asio::posix::stream_descriptor inotify_;
    alignas(inotify_event) std::array<char, 4096> events_{};
    runtime::Timer settle_;
    runtime::Timer poll_timer_;
};

FileInventory::FileInventory(asio::io_context& io, Inventory& inventory, std::string path, bool required)
    : impl_(std::make_shared<Impl>(io, inventory, std::move(path), required)) {}

FileInventory::~FileInventory() {
    stop();
}

void FileInventory::start(Handler& handler) {
    impl_->start(handler);
}
void FileInventory::reload() {
    impl_->load();
}
void FileInventory::stop() {
    impl_->stop();
}
bool FileInventory::loaded() const {
    return impl_->loaded();
}

base::TimePoint FileInventory::current_at() const {
    return impl_->current_at();
}

}  // namespace vitalwire::controller
