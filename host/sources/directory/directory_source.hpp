#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

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
/// whose file is removed was taken away by somebody: QEMU removes its sockets when it ends in order, and leaves them
/// when it dies. With a guest's QEMU monitor in it, the machine's pauses, resets, panics and end are known too.
class DirectorySource final : public ChannelSource {
public:
    DirectorySource(boost::asio::io_context& io, std::string directory);
    ~DirectorySource() override;

    void start(Handler& handler) override;
    void stop() override;
    std::string name() const override { return "directory " + directory_; }

private:
    struct Guest {
        std::set<wire::ChannelKind> channels;
        std::unique_ptr<QmpMonitor> monitor;
    };

    void open();
    void retry_open(const std::string& problem);
    void rescan();
    std::set<base::GuestId> not_answered_yet() const;
    void note_missing();
    void await_events();
    bool read_events();
    void look_at(const std::string& file);
    void appeared(const std::string& file, const SocketName& name);
    void disappeared(const std::string& file);
    void look_again_later(const std::string& file);
    std::string path_of(const std::string& file) const { return directory_ + "/" + file; }

    boost::asio::io_context& io_;
    std::string directory_;
    Handler* handler_ = nullptr;
    boost::asio::posix::stream_descriptor watch_;
    runtime::Timer reopen_;
    runtime::Timer settle_;
    std::map<std::string, SocketName> known_;  ///< by file name
    std::map<base::GuestId, Guest> guests_;
    std::set<std::string> removed_;  ///< files seen removed, to be looked at again
    std::set<std::string> missing_;  ///< known, and not in a directory that is not the one they were in
    bool removed_itself_ = false;    ///< the directory was removed or renamed
    bool listed_ = false;
    bool has_problem_ = false;
};

}  // namespace vitalwire::host
