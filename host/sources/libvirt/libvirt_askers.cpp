// What is asked of libvirt about one guest on a thread of its own: its guest agent, its I/O.
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "host/sources/libvirt/guest_agent_calls.hpp"
#include "host/sources/libvirt/io_calls.hpp"

namespace vitalwire::host {

using base::GuestId;

namespace {

/// One thread's own connection to libvirt, opened when it is used, and again when it was lost.
class ThreadConnection {
public:
    struct Freed {
        void operator()(virConnectPtr connection) const { virConnectClose(connection); }
        void operator()(virDomainPtr domain) const { virDomainFree(domain); }
    };
    using Domain = std::unique_ptr<virDomain, Freed>;

    explicit ThreadConnection(std::string uri) : uri_(std::move(uri)) {}

    /// Null when libvirt is away, or does not have it.
    Domain domain(const base::GuestId& guest) {
        if (!connection_ || virConnectIsAlive(connection_.get()) != 1) open();
        if (!connection_) return nullptr;
        return Domain(virDomainLookupByUUIDString(connection_.get(), guest.str().c_str()));
    }

private:
    static constexpr int kKeepAliveSeconds = 5;
    static constexpr unsigned kKeepAliveCount = 3;

    /// A libvirtd that hangs must not keep the thread.
    void open() {
        connection_.reset(virConnectOpen(uri_.c_str()));
        if (connection_) virConnectSetKeepAlive(connection_.get(), kKeepAliveSeconds, kKeepAliveCount);
    }

    std::string uri_;
    std::unique_ptr<virConnect, Freed> connection_;
};

// Of later releases of libvirt than the headers that this is built with may be.
constexpr int kAgentCommandTimeout = 111;
constexpr int kAgentCommandFailed = 112;  // the agent answered, with an error

/// By libvirt's codes: its texts change.
GuestAgentResult result_of(int code) {
    switch (code) {
        case VIR_ERR_AGENT_UNRESPONSIVE:
        case VIR_ERR_AGENT_UNSYNCED:
        case kAgentCommandTimeout:
            return GuestAgentResult::silent;
        case kAgentCommandFailed:
            return GuestAgentResult::answered;
        default:
            return GuestAgentResult::unknown;
    }
}

class LibvirtAsker final : public GuestAgentAsker {
public:
    explicit LibvirtAsker(std::string uri) : connection_(std::move(uri)) {}

    GuestAgentResult ask(const GuestAgentCall& call) override {
        const ThreadConnection::Domain domain = connection_.domain(call.guest);
        if (!domain) return GuestAgentResult::unknown;
        // Without a bound a call to an agent that hangs keeps a thread of libvirtd until the agent goes on.
        const int patience = static_cast<int>(call.patience.count());
        if (virDomainAgentSetResponseTimeout(domain.get(), patience, 0) < 0) return GuestAgentResult::unknown;
        const GuestAgentResult result = get_time(domain.get());
        // The bound is the domain's, and others' commands, such as to freeze file systems, may take their time.
        virDomainAgentSetResponseTimeout(domain.get(), VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
        return result;
    }

private:
    static GuestAgentResult get_time(virDomainPtr domain) {
        long long seconds = 0;  // NOLINT(google-runtime-int): libvirt's type
        unsigned nanoseconds = 0;
        if (virDomainGetTime(domain, &seconds, &nanoseconds, 0) == 0) return GuestAgentResult::answered;
        const virError* error = virGetLastError();
        return error == nullptr ? GuestAgentResult::unknown : result_of(error->code);
    }

    ThreadConnection connection_;
};

/// "block.0.rd.reqs" or "net.1.tx.pkts" without what is counted: "block.0". Empty when that is nothing the guest does
/// by itself: what an interface receives is what others send.
std::string device_of(std::string_view field) {
    constexpr std::array<std::string_view, 4> kOwn = {".rd.reqs", ".wr.reqs", ".fl.reqs", ".tx.pkts"};
    for (const std::string_view what : kOwn) {
        if (field.ends_with(what)) return std::string(field.substr(0, field.size() - what.size()));
    }
    return {};
}

/// Absent when the counters of its disks are not among them, as when another call has the domain.
std::optional<IoCounters> counters_of(const virDomainStatsRecord& record) {
    IoCounters counters;
    unsigned disks = 0;
    bool disks_read = false;
    for (int i = 0; i < record.nparams; ++i) {
        const virTypedParameter& parameter = record.params[i];
        const std::string_view field(parameter.field);
        if (field == "block.count" && parameter.type == VIR_TYPED_PARAM_UINT) disks = parameter.value.ui;
        if (parameter.type != VIR_TYPED_PARAM_ULLONG) continue;
        const std::string device = device_of(field);
        if (device.empty()) continue;
        disks_read |= device.starts_with("block.");
        counters[device] += parameter.value.ul;
    }
    if (disks > 0 && !disks_read) return std::nullopt;
    return counters;
}

class LibvirtIoReader final : public IoReader {
public:
    explicit LibvirtIoReader(std::string uri) : connection_(std::move(uri)) {}

    Result ask(const GuestId& guest) override {
        const ThreadConnection::Domain domain = connection_.domain(guest);
        if (!domain) return std::nullopt;
        std::array<virDomainPtr, 2> domains = {domain.get(), nullptr};
        virDomainStatsRecordPtr* records = nullptr;
        const int found = virDomainListGetStats(domains.data(), VIR_DOMAIN_STATS_BLOCK | VIR_DOMAIN_STATS_INTERFACE,
                                                &records, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
        if (found < 0) return std::nullopt;
        Result counters = found == 1 ? counters_of(*records[0]) : std::nullopt;
        virDomainStatsRecordListFree(records);
        return counters;
    }

private:
    ThreadConnection connection_;
};

}  // namespace

std::unique_ptr<GuestAgentAsker> make_libvirt_asker(std::string uri) {
    return std::make_unique<LibvirtAsker>(std::move(uri));
}

std::unique_ptr<IoReader> make_libvirt_io_reader(std::string uri) {
    return std::make_unique<LibvirtIoReader>(std::move(uri));
}

}  // namespace vitalwire::host
