#include "host/sources/libvirt/libvirt_attacher.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <boost/asio/post.hpp>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include "host/sources/libvirt/domain_xml.hpp"

namespace vitalwire::host {

using base::GuestId;

namespace {

struct Freed {
    void operator()(virConnectPtr connection) const { virConnectClose(connection); }
    void operator()(virDomainPtr domain) const { virDomainFree(domain); }
    void operator()(char* text) const { ::free(text); }  // NOLINT(cppcoreguidelines-no-malloc): libvirt's malloc
};

/// It can be in the definition although the running domain lacks it, and twice is refused.
bool is_defined(virDomainPtr domain, wire::ChannelKind kind) {
    const std::unique_ptr<char, Freed> xml(virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE));
    const auto ports = xml ? ports_of(xml.get()) : DomainPorts{};
    return ports && ports->taken.contains(kind);
}

/// Every call in here may hang. Empty, or what went wrong.
std::string attach_to_domain(const std::string& uri, const HotPlug::Attachment& attachment) {
    const std::unique_ptr<virConnect, Freed> connection(virConnectOpen(uri.c_str()));
    if (!connection) return "cannot connect to libvirt: " + last_libvirt_error();
    const std::unique_ptr<virDomain, Freed> domain(
        virDomainLookupByUUIDString(connection.get(), attachment.guest.str().c_str()));
    if (!domain) return last_libvirt_error();
    const bool define = attachment.persistent && !is_defined(domain.get(), attachment.kind);
    unsigned flags = VIR_DOMAIN_AFFECT_LIVE;
    if (define) flags |= VIR_DOMAIN_AFFECT_CONFIG;
    const std::string device = channel_xml(attachment.kind);
    return virDomainAttachDeviceFlags(domain.get(), device.c_str(), flags) == 0 ? "" : last_libvirt_error();
}

}  // namespace

/// What the loop and the threads have in common; outlives the attacher while a call hangs.
class LibvirtAttacher::Shared : public std::enable_shared_from_this<Shared> {
public:
    Shared(boost::asio::io_context& io, LibvirtAttacher& owner) : io_(&io), owner_(&owner) {}

    void detach() {
        const std::lock_guard lock(mutex_);
        io_ = nullptr;
        owner_ = nullptr;
    }
    /// From any thread.
    void tell(GuestId guest, std::uint64_t call, std::string failure) {
        const std::lock_guard lock(mutex_);
        if (io_ == nullptr) return;
        boost::asio::post(*io_,
                          [self = shared_from_this(), guest = std::move(guest), call, failure = std::move(failure)] {
                              if (self->owner_ != nullptr) self->owner_->ended(guest, call, failure);
                          });
    }

private:
    std::mutex mutex_;
    boost::asio::io_context* io_;
    LibvirtAttacher* owner_;  ///< used on the loop only
};

LibvirtAttacher::LibvirtAttacher(boost::asio::io_context& io, LibvirtOptions options)
    : options_(std::move(options)),
      shared_(std::make_shared<Shared>(io, *this)),
      threads_(std::make_shared<LibvirtThreads>()),
      deadline_(io) {}

LibvirtAttacher::~LibvirtAttacher() {
    shared_->detach();
}

void LibvirtAttacher::attach(const HotPlug::Attachment& attachment, Done done) {
    done_ = std::move(done);
    ++call_;
    const std::string failure = start(attachment);
    if (!failure.empty()) return shared_->tell(attachment.guest, call_, failure);
    deadline_.after(options_.call_deadline, [this] {
        finish("libvirt does not finish it within " + std::to_string(options_.call_deadline.count()) + " ms");
    });
}

/// Empty, or why there is no call under way.
std::string LibvirtAttacher::start(const HotPlug::Attachment& attachment) {
    if (in_call_.contains(attachment.guest)) return "an earlier attempt has not returned from libvirt";
    if (!threads_->enter()) return "too many calls to libvirt do not return";
    try {
        quiet_thread([shared = shared_, threads = threads_, uri = options_.uri, attachment, call = call_] {
            shared->tell(attachment.guest, call, attach_to_domain(uri, attachment));
            threads->leave();
        }).detach();
    } catch (const std::system_error& error) {
        threads_->leave();
        return std::string("no thread can be started: ") + error.what();
    }
    in_call_[attachment.guest] = call_;
    return {};
}

void LibvirtAttacher::ended(const GuestId& guest, std::uint64_t call, const std::string& failure) {
    const auto of_guest = in_call_.find(guest);
    if (of_guest != in_call_.end() && of_guest->second == call) in_call_.erase(of_guest);
    if (call == call_) finish(failure);
}

void LibvirtAttacher::finish(const std::string& failure) {
    deadline_.cancel();
    if (const Done done = std::exchange(done_, nullptr)) done(failure);
}

}  // namespace vitalwire::host
