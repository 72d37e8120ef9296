#include "host/sources/directory/directory_source.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "base/text.hpp"
#include "host/channels/file_identity.hpp"

namespace vitalwire::host {

using wire::ChannelKind;

namespace {

constexpr std::size_t kMaxGuestName = 128;
/// Of a file's name, in a problem.
constexpr std::size_t kMaxShown = 160;
constexpr base::Duration kReopen = std::chrono::seconds(1);
/// QEMU removes a socket that is in its way and makes it again at once: only what stays away is gone. Shorter than the
/// time a session waits for the reason of a closed channel.
constexpr base::Duration kSettle = std::chrono::milliseconds(200);
/// QEMU removes its sockets when it ends in order, and its monitor tells the rest.
constexpr base::Millis kEndKnownWithin{300};
constexpr std::uint32_t kEntries = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM;
constexpr std::uint32_t kWatched = kEntries | IN_DELETE_SELF | IN_MOVE_SELF;

bool is_socket(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

bool exists(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

/// Of something at `path` that is none.
std::string why_no_socket(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) return "is no socket";
    return errno == ENOENT ? "is a link that leads nowhere"
                           : "cannot be read: " + std::generic_category().message(errno);
}

/// A name of the right form, whatever it has for a guest.
struct Form {
    std::string_view guest;
    std::optional<ChannelKind> channel;
};

std::optional<Form> form_of(std::string_view file) {
    static constexpr std::string_view kMonitor = ".qmp";
    static constexpr std::string_view kSocket = ".sock";
    if (file.ends_with(kMonitor)) return Form{file.substr(0, file.size() - kMonitor.size()), std::nullopt};
    if (!file.ends_with(kSocket)) return std::nullopt;
    file.remove_suffix(kSocket.size());
    for (const std::string_view prefix :
         {wire::kNativeChannel, wire::kCgcsHeartbeatChannel, wire::kCgcsMessagingChannel, wire::kGuestAgentChannel,
          wire::kOwnGuestAgentChannel}) {
        if (file.size() > prefix.size() && file.starts_with(prefix) && file[prefix.size()] == '.')
            return Form{file.substr(prefix.size() + 1), wire::channel_kind(prefix)};
    }
    return std::nullopt;
}

std::optional<SocketName> with_guest(std::string_view guest, std::optional<ChannelKind> channel) {
    if (!base::is_plain_name(guest, kMaxGuestName)) return std::nullopt;
    return SocketName{base::GuestId(std::string(guest)), channel};
}

}  // namespace

std::optional<SocketName> parse_socket_name(std::string_view file) {
    const auto form = form_of(file);
    return form ? with_guest(form->guest, form->channel) : std::nullopt;
}

DirectorySource::DirectorySource(boost::asio::io_context& io, std::string directory, base::Duration look_around_every)
    : io_(io),
      directory_(std::move(directory)),
      look_around_every_(look_around_every),
      watch_(io),
      reopen_(io),
      settle_(io),
      look_(io) {}

DirectorySource::~DirectorySource() = default;

void DirectorySource::start(Handler& handler) {
    handler_ = &handler;
    open();
}

void DirectorySource::stop() {
    boost::system::error_code ignored;
    watch_.close(ignored);
    reopen_.cancel();
    settle_.cancel();
    look_.cancel();
    guests_.clear();
    known_.clear();
    nameless_.clear();
    unused_.clear();
    targets_.clear();
    handler_ = nullptr;
}

void DirectorySource::open() {
    std::error_code error;
    const bool another = std::filesystem::create_directories(directory_, error) || std::exchange(another_, false);
    if (error) return retry_open("cannot make the directory: " + error.message());
    const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return retry_open("inotify: " + std::generic_category().message(errno));
    watch_.assign(fd);
    FileIdentity identity = identity_of(directory_);
    targets_.clear();
    directory_watch_ = ::inotify_add_watch(fd, directory_.c_str(), kWatched | IN_ONLYDIR);
    if (directory_watch_ < 0)
        return retry_open("cannot watch the directory: " + std::generic_category().message(errno));
    await_events();
    // What went with the directory may be there all the same: its guests are asked over the connections that are open.
    if (another) note_missing();
    rescan();
    for (const auto& [file, name] : known_)
        watch_target(file);
    tell_unused();
    if (missing_.empty() && std::exchange(has_problem_, false)) handler_->on_source_problem(*this, "");
    look_.after(look_around_every_, [this] { look_around(); });
    if (std::exchange(place_, identity.text) == identity.text && listed_) return;
    listed_ = true;
    handler_->on_listed(*this, {std::move(identity.text), identity.unique, not_answered_yet()});
}

/// Another directory may be mounted over the one that is watched, or a link lead elsewhere.
void DirectorySource::look_around() {
    if (identity_of(directory_).text != place_) {
        another_ = true;
        return retry_open("another directory is at its path");
    }
    for (const auto& [file, why] : std::exchange(unused_, {}))
        look_at(file);
    // A link on the way to a target may have changed.
    for (const auto& [watch, links] : std::map(targets_)) {
        for (const auto& [name, file] : links) {
            if (known_.contains(file) && !is_socket(path_of(file))) look_at(file);
        }
    }
    tell_unused();
    look_.after(look_around_every_, [this] { look_around(); });
}

/// Guests that have no channel are told of when their monitor answers.
std::set<base::GuestId> DirectorySource::not_answered_yet() const {
    std::set<base::GuestId> guests;
    for (const auto& [id, guest] : guests_) {
        if (guest.channels.empty()) guests.insert(id);
    }
    return guests;
}

void DirectorySource::note_missing() {
    for (const auto& [file, name] : known_) {
        if (!is_socket(path_of(file))) missing_.insert(file);
    }
}

void DirectorySource::retry_open(const std::string& problem) {
    boost::system::error_code ignored;
    watch_.close(ignored);
    look_.cancel();
    if (!std::exchange(has_problem_, true)) handler_->on_source_problem(*this, problem);
    reopen_.after(kReopen, [this] { open(); });
}

/// Looks at everything: what the directory holds, and what was known and is there no more.
void DirectorySource::rescan() {
    std::set<std::string> files;
    for (const auto& [file, name] : known_) {
        if (!missing_.contains(file)) files.insert(file);
    }
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory_, error))
        files.insert(entry.path().filename().string());
    if (error) log::warning("cannot list the directory of channels", {{"error", error.message()}});
    for (const std::string& file : files) {
        if (!known_.contains(file) || !is_socket(path_of(file))) look_at(file);
    }
}

void DirectorySource::await_events() {
    watch_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& ec) {
        if (ec || handler_ == nullptr) return;
        if (read_events()) await_events();
    });
}

/// False when the directory itself went away.
bool DirectorySource::read_events() {
    alignas(inotify_event) std::array<char, 16384> buffer{};
    for (;;) {
        const ssize_t size = ::read(watch_.native_handle(), buffer.data(), buffer.size());
        if (size <= 0) return true;
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
            const bool of_target = (event->mask & IN_Q_OVERFLOW) == 0 && event->wd != directory_watch_;
            if (of_target && (event->mask & IN_IGNORED) != 0) {
                for (const auto& [name, file] : std::exchange(targets_[event->wd], {}))
                    look_at(file);
                targets_.erase(event->wd);
                continue;
            }
            if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0) {
                another_ = true;
                retry_open("the directory was removed");
                return false;
            }
            if ((event->mask & IN_Q_OVERFLOW) != 0) {
                log::warning("more changes than could be watched, looking at the whole directory again");
                rescan();
            } else if (event->len > 0) {
                if (!of_target) look_at(event->name);
                look_at_linked(event->wd, event->name);
            }
        }
    }
}

void DirectorySource::look_at_linked(int directory, const std::string& name) {
    const auto links = targets_.find(directory);
    if (links == targets_.end()) return;
    for (const auto& [target, file] : std::set(links->second)) {
        if (target == name) look_at(file);
    }
}

/// QEMU removes the socket to which a link leads, and leaves the link.
void DirectorySource::watch_target(const std::string& file) {
    forget_target(file);
    std::error_code error;
    if (!std::filesystem::is_symlink(path_of(file), error)) return;
    const std::filesystem::path target = std::filesystem::canonical(path_of(file), error);
    if (error) return look_again_later(file);
    const int watch = ::inotify_add_watch(watch_.native_handle(), target.parent_path().c_str(), kEntries | IN_MASK_ADD);
    if (watch < 0) {
        return log::warning("the directory to which a link leads cannot be watched, looking at it every 5 s",
                            {{"file", file}, {"why", std::generic_category().message(errno)}});
    }
    targets_[watch].emplace(target.filename().string(), file);
    if (!is_socket(path_of(file))) look_again_later(file);
}

void DirectorySource::forget_target(const std::string& file) {
    for (auto target = targets_.begin(); target != targets_.end();) {
        auto& [watch, links] = *target;
        const bool had = std::erase_if(links, [&](const auto& link) { return link.second == file; }) > 0;
        const bool unused = had && links.empty();
        if (unused && watch != directory_watch_) ::inotify_rm_watch(watch_.native_handle(), watch);
        target = unused ? targets_.erase(target) : std::next(target);
    }
}

void DirectorySource::look_at(const std::string& file) {
    const auto name = parse_socket_name(file);
    if (!name && !form_of(file)) return log::debug("file is no channel", {{"file", file}});
    const std::string path = path_of(file);
    if (name && is_socket(path)) return appeared(file, *name);
    if (known_.contains(file)) return look_again_later(file);
    unused_.erase(file);
    if (!exists(path)) return forget_target(file);
    unused_[file] = name ? why_no_socket(path) : "does not name a guest";
}

/// Told with each look around, and not of what is there for a moment only.
void DirectorySource::tell_unused() {
    std::size_t count = unused_.size();
    std::string first;
    if (count > 0) first = base::escape(unused_.begin()->first, kMaxShown) + ' ' + unused_.begin()->second;
    for (const auto& [id, guest] : guests_) {
        for (const auto& [kind, files] : guest.channels) {
            count += files.size() - 1;
            if (files.size() > 1 && first.empty())
                first = files.front() + " is a second channel of that kind beside " + files.back();
        }
    }
    std::string told = count == 0 ? "" : count == 1 ? first : std::to_string(count) + ", such as " + first;
    if (std::exchange(told_unused_, told) != told) handler_->on_unused_entries(*this, told);
}

void DirectorySource::appeared(const std::string& file, const SocketName& name) {
    known_.emplace(file, name);
    unused_.erase(file);
    removed_.erase(file);
    watch_target(file);
    has_name_again(file);
    if (missing_.erase(file) > 0 && missing_.empty() && std::exchange(has_problem_, false))
        handler_->on_source_problem(*this, "");
    Guest& guest = guests_[name.guest];
    if (name.channel) {
        auto& files = guest.channels[*name.channel];
        std::erase(files, file);
        files.push_back(file);
        return handler_->on_channel(name.guest, *name.channel, path_of(file), kEndKnownWithin);
    }
    if (guest.monitor) return guest.monitor->retry_now();
    guest.monitor = std::make_unique<QmpMonitor>(
        io_, name.guest, path_of(file),
        [this, id = name.guest](const heartbeat::HostEvent& event) { handler_->on_machine(id, event); },
        [this, id = name.guest](const std::string& why) { handler_->on_unreadable(id, why); });
    guest.monitor->start();
}

void DirectorySource::look_again_later(const std::string& file) {
    const bool waits = !removed_.empty();
    removed_.emplace(file, false);
    if (!waits) await_settled();
}

void DirectorySource::await_settled() {
    settle_.after(kSettle, [this] {
        for (const auto& [file, was_connected] : std::exchange(removed_, {})) {
            const auto known = known_.find(file);
            if (known == known_.end() || nameless_.contains(file) || is_socket(path_of(file))) continue;
            if (!is_connected(file, known->second)) {
                disappeared(file);
            } else if (was_connected) {
                lost_name(file);
            } else {
                removed_.emplace(file, true);  // an agent that was held up has its end still to read
            }
        }
        if (!removed_.empty()) await_settled();
    });
}

bool DirectorySource::is_connected(const std::string& file, const SocketName& name) {
    const auto guest = guests_.find(name.guest);
    if (guest == guests_.end()) return false;
    if (!name.channel) return guest->second.monitor && guest->second.monitor->is_connected();
    const auto files = guest->second.channels.find(*name.channel);
    const bool is_used = files != guest->second.channels.end() && files->second.back() == file;
    return is_used && handler_->is_connected(name.guest, *name.channel);
}

/// Who listens there lives, so the machine has not ended. When the connection ends, too, nobody can tell why it did: a
/// machine whose socket has no name any more cannot remove it.
/// A guest whose socket has no name is not found at the next start: where it was known is no place that is looked at
/// then, and its absence there proves nothing.
void DirectorySource::tell_place() {
    if (listed_) handler_->on_listed(*this, {nameless_.empty() ? place_ : place_ + " and without a name", true, {}});
}

void DirectorySource::lost_name(const std::string& file) {
    nameless_.insert(file);
    tell_place();
    handler_->on_unreadable(known_.at(file).guest, "its socket " + file + " was removed while it is connected");
}

void DirectorySource::has_name_again(const std::string& file) {
    if (nameless_.erase(file) == 0) return;
    tell_place();
    const base::GuestId& guest = known_.at(file).guest;
    for (const std::string& other : nameless_) {
        if (known_.at(other).guest == guest) return;
    }
    handler_->on_unreadable(guest, "");
}

/// The channel is there as long as one of its sockets is.
void DirectorySource::no_longer_used(const std::string& file, const base::GuestId& id, ChannelKind kind, Guest& guest) {
    auto& files = guest.channels.at(kind);
    const bool was_used = files.back() == file;
    std::erase(files, file);
    if (files.empty()) {
        guest.channels.erase(kind);
        handler_->on_channel_gone(id, kind);
    } else if (was_used) {
        handler_->on_channel(id, kind, path_of(files.back()), kEndKnownWithin);
    }
}

void DirectorySource::disappeared(const std::string& file) {
    const auto known = known_.find(file);
    if (known == known_.end()) return;
    const SocketName name = std::move(known->second);
    known_.erase(known);
    // A link that is left may lead to a socket again: it is seen at once, or with the next look around.
    if (exists(path_of(file))) {
        unused_[file] = why_no_socket(path_of(file));
    } else {
        forget_target(file);
    }
    const auto entry = guests_.find(name.guest);
    Guest& guest = entry->second;
    if (name.channel) {
        no_longer_used(file, name.guest, *name.channel, guest);
    } else {
        guest.monitor.reset();
    }
    // Without a monitor nobody knows of pauses, nor when one that lasts is over.
    if (!name.channel && !guest.channels.empty())
        return handler_->on_unreadable(name.guest, "its QEMU monitor " + path_of(file) + " was removed");
    if (!guest.channels.empty() || guest.monitor) return;
    guests_.erase(entry);
    handler_->on_gone(name.guest, heartbeat::StopReason::removed);
}

}  // namespace vitalwire::host
