#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/ids.hpp"
#include "host/core/io_watch.hpp"
#include "host/sources/libvirt/blocking_calls.hpp"

namespace vitalwire::host {

/// One thread's way to read guests' I/O, which may take its time.
class IoReader {
public:
    using Subject = base::GuestId;
    using Result = std::optional<IoCounters>;
    static Result unknown() { return std::nullopt; }

    virtual ~IoReader() = default;
    virtual Result ask(const base::GuestId& guest) = 0;
};
using IoCalls = BlockingCalls<IoReader>;

/// From libvirt's statistics, over a connection of its own. libvirt asks QEMU for those of disks: a QEMU that hangs
/// keeps the call until it goes on. A domain that others work on is not waited for.
std::unique_ptr<IoReader> make_libvirt_io_reader(std::string uri);

}  // namespace vitalwire::host
