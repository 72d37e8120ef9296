#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "bus/access.hpp"
#include "bus/byte_stream.hpp"

namespace vitalwire::bus {

/// One end of streams, as far as it has certificates. What is trusted is looked at so often while streams are open.
class TrustingEnd {
public:
    static constexpr base::Millis kTrustPause{10'000};

    virtual ~TrustingEnd() = default;
    /// True once after what is trusted has changed: then is_revoked() may have another answer.
    virtual bool trust_has_changed() { return false; }
    virtual bool is_revoked(const ByteStream&) { return false; }
};

/// Makes streams to one controller. One attempt at a time.
class Dialer : public TrustingEnd {
public:
    using Dialed = std::function<void(base::Result<std::unique_ptr<ByteStream>>)>;

    /// The stream's handshake is still to be done. `dialed` is never called from within.
    virtual void dial(Dialed dialed) = 0;
    /// No callback comes after it.
    virtual void cancel() = 0;
    /// What streams are made with from now on. On failure nothing changes.
    virtual base::Result<void> use(const Access& access) = 0;
};

/// Where agents' streams come in.
class Acceptor : public TrustingEnd {
public:
    using Accepted = std::function<void(std::unique_ptr<ByteStream>, std::string peer)>;

    /// The URL, with the real port.
    virtual base::Result<std::string> open() = 0;
    /// Calls `accepted` once, never from within. One at a time.
    virtual void accept(Accepted accepted) = 0;
    /// No callback comes after it.
    virtual void close() = 0;
    virtual base::Result<std::string> use(const Access& access) = 0;  ///< as Dialer::use; the URL from now on
    virtual std::string problem() const = 0;  ///< why nobody can come in; empty when all is well
    /// Another process that takes agents under our name; empty when there is none, or it cannot be known.
    virtual std::string conflict() const { return {}; }
    virtual std::uint64_t refused() const { return 0; }  ///< who never became a stream
    virtual std::uint64_t dropped() const { return 0; }  ///< messages between streams that full queues have lost
};

}  // namespace vitalwire::bus
