#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/sources/channel_source.hpp"
#include "host/sources/qmp/qmp_monitor.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::host {

/// What the name of a file in the directory says.
struct SocketName {
    base::GuestId guest;
    std::optional<wire::ChannelKind> channel;  ///< absent: the guest's QEMU monitor (QMP)
};

/// `org.vitalwire.0.<guest>.sock`, `cgcs.heartbeat.<guest>.sock`, `cgcs.messaging.<guest>.sock`,
/// `org.qemu.guest_agent.0.<guest>.sock`, `org.vitalwire.qga.0.<guest>.sock`, `<guest>.qmp`, with a guest of 1 to 128
/// of [A-Za-z0-9._-]. Anything else is no channel (`x.sock.bak` is none).
std::optional<SocketName> parse_socket_name(std::string_view file);

/// A directory of sockets on which QEMU (or a test) listens, watched with inotify. Made when it is missing. A socket
/// whose file is removed from it has ended in order: QEMU removes its sockets then, and leaves them when it dies. While
/// a connection to it is open only its name is gone: somebody has removed that, and it is watched as before. What is
/// not in another directory of the same name (not mounted yet, mounted over, made anew) has not been removed. Of a link
/// to a socket the directory in which that is is watched, too. With a
/// guest's QEMU monitor in it, the machine's pauses, resets, panics and end are known too.
class DirectorySource final : public ChannelSource {
public:
    static constexpr base::Duration kLookAround = std::chrono::seconds(5);

    /// `look_around_every`: for what inotify does not tell.
    DirectorySource(boost::asio::io_context& io, std::string directory, base::Duration look_around_every = kLookAround);
    ~DirectorySource() override;

    void start(Handler& handler) override;
    void stop() override;
    std::string name() const override { return "directory " + directory_; }

private:
    struct Guest {
        /// The files of each; the last one, which came last, is used.
        std::map<wire::ChannelKind, std::vector<std::string>> channels;
        std::unique_ptr<QmpMonitor> monitor;
    };

    void open();
    void look_around();
    void retry_open(const std::string& problem);
    void rescan();
    std::set<base::GuestId> not_answered_yet() const;
    void note_missing();
    void await_events();
    bool read_events();
    void look_at_linked(int directory, const std::string& name);
    void watch_target(const std::string& file);
    void forget_target(const std::string& file);
    void look_at(const std::string& file);
    void appeared(const std::string& file, const SocketName& name);
    void disappeared(const std::string& file);
    void look_again_later(const std::string& file);
    void await_settled();
    void no_longer_used(const std::string& file, const base::GuestId& id, wire::ChannelKind kind, Guest& guest);
    void tell_unused();
    bool is_connected(const std::string& file, const SocketName& name);
    void tell_place();
    void lost_name(const std::string& file);
    void has_name_again(const std::string& file);
    std::string path_of(const std::string& file) const { return directory_ + "/" + file; }

    boost::asio::io_context& io_;
    std::string directory_;
    base::Duration look_around_every_;
    Handler* handler_ = nullptr;
    boost::asio::posix::stream_descriptor watch_;
    runtime::Timer reopen_;
    runtime::Timer settle_;
    runtime::Timer look_;
    std::string place_;  ///< names the directory that is watched
    int directory_watch_ = -1;
    /// Directories in which sockets are to which links lead: watch -> name there and the link.
    std::map<int, std::set<std::pair<std::string, std::string>>> targets_;
    std::map<std::string, SocketName> known_;  ///< by file name
    std::map<base::GuestId, Guest> guests_;
    std::map<std::string, bool> removed_;  ///< files seen removed, to be looked at again; true: found connected once
    std::set<std::string> missing_;        ///< known, and not in a directory that is not the one they were in
    std::set<std::string> nameless_;       ///< known, removed, and connected when they were
    /// Named like channels and none, and why: a link may be one later.
    std::map<std::string, std::string> unused_;
    std::string told_unused_;
    bool another_ = false;  ///< the directory was removed, renamed or hidden
    bool listed_ = false;
    bool has_problem_ = false;
};

}  // namespace vitalwire::host
