#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.hpp"

namespace vitalwire::runtime {

/// What must survive a restart: tables of key -> text. Reads happen once, at start; writes go to a thread of its own,
/// coalesced by key (so what waits is never more than what lives) and committed in batches; what one turn of the event
/// loop changed is committed together. A full or broken disk never
/// stops the caller: writes stay pending, are retried, and `healthy()` says so until they are done.
class Store {
public:
    /// Opens or makes `path` (mode 0600); its directory must exist. An unreadable file is quarantined
    /// (`path.unreadable-<time>`) and a fresh one begun; `set_aside` says so. On a disk that is read-only now the
    /// store reads what is there, or starts empty if it cannot, and writes all of it when it can. Fails when another
    /// process uses the file, the permissions do not allow to, or a later release has written it.
    static base::Result<std::unique_ptr<Store>> open(boost::asio::io_context& io, const std::string& path);
    /// The same at the start of a daemon: while another process (a backup) holds the file, or, for 3 s, the disk fails,
    /// runs `io` and tries again, and the service manager is notified why. After that a disk that fails is as one that
    /// is read-only. Fails also when `io` is stopped.
    static base::Result<std::unique_ptr<Store>> open_when_free(boost::asio::io_context& io, const std::string& path);
    /// Why a store could not be kept at `path`, or is one of a later release; empty when it could. Nothing is opened: a
    /// daemon may be using it. `provided`: a folder that may be missing, as the service manager makes it.
    static std::string check(const std::string& path, const std::string& provided);
    virtual ~Store() = default;

    /// What the table held at start. The content is handed over: a second call finds nothing.
    virtual std::map<std::string, std::string> load(const std::string& table) = 0;
    virtual void put(const std::string& table, const std::string& key, std::string value) = 0;
    virtual void erase(const std::string& table, const std::string& key) = 0;
    /// Calls `done` on the event loop, never from here, when everything written before this call is durable; never once
    /// the store is closed.
    virtual void when_durable(std::function<void()> done) = 0;
    /// Waits for pending writes, at shutdown; gives up after 3 s. The destructor does the same.
    virtual void close() = 0;

    virtual bool healthy() const = 0;
    virtual std::string problem() const = 0;  ///< why not healthy, and how much waits
    virtual std::uint64_t pending() const = 0;
    /// Where an unreadable earlier file is; empty when there was none.
    virtual const std::string& set_aside() const = 0;
};

}  // namespace vitalwire::runtime
