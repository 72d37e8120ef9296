#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "host/sources/libvirt/hot_plug.hpp"
#include "host/sources/libvirt/libvirt_session.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::host {

/// Attaches channels to domains. Each call has a thread and a connection of its own: a QEMU that stands still keeps its
/// call, which nobody can cancel, until it goes on, and nothing else is to wait for that. Used on the loop's thread;
/// nothing here waits for libvirt.
class LibvirtAttacher {
public:
    /// `failure` is empty when the channel is attached.
    using Done = std::function<void(const std::string& failure)>;

    LibvirtAttacher(boost::asio::io_context& io, LibvirtOptions options);
    ~LibvirtAttacher();
    LibvirtAttacher(const LibvirtAttacher&) = delete;
    LibvirtAttacher& operator=(const LibvirtAttacher&) = delete;

    /// One at a time. Calls `done` once, later, unless destroyed before. A call that takes too long counts as failed,
    /// and may succeed afterwards; until then that guest's further attachments fail.
    void attach(const HotPlug::Attachment& attachment, Done done);

private:
    class Shared;

    std::string start(const HotPlug::Attachment& attachment);
    void ended(const base::GuestId& guest, std::uint64_t call, const std::string& failure);
    void finish(const std::string& failure);

    LibvirtOptions options_;
    std::shared_ptr<Shared> shared_;
    std::shared_ptr<LibvirtThreads> threads_;
    runtime::Timer deadline_;
    std::map<base::GuestId, std::uint64_t> in_call_;  ///< whose calls have not returned
    std::uint64_t call_ = 0;
    Done done_;
};

}  // namespace vitalwire::host
