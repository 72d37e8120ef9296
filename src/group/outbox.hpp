#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "wire/group_pdu.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::group {

/// A message as a guest gets it; what waits in queues holds nothing else of it.
using SharedLine = std::shared_ptr<const std::string>;

/// One message for many guests: encoded once for each dialect and version that is asked for, and shared by their
/// queues.
class Outgoing {
public:
    explicit Outgoing(wire::GroupPdu pdu) : pdu_(std::move(pdu)) {}

    /// The whole line; empty when a guest of this dialect cannot be told it.
    const SharedLine& line(wire::Dialect dialect, int base_version) const;
    /// A nack has no place for the count of dropped messages.
    bool can_tell_dropped() const;
    const wire::GroupPdu& pdu() const { return pdu_; }

private:
    struct Encoded {
        wire::Dialect dialect;
        int base_version;
        SharedLine line;
    };

    wire::GroupPdu pdu_;
    mutable std::deque<Encoded> encoded_;  ///< stays where it is while it grows
};

/// What waits for one guest: bounded in bytes, the oldest gives way, and the next message that the guest gets says how
/// many did. Rows S-13 to S-17 of the host's state table.
class Outbox {
public:
    /// What a message costs beside its bytes, counted with them: many small ones must not cost a multiple.
    static constexpr std::size_t kMessageCost = 128;

    Outbox(wire::Dialect dialect, std::size_t max_bytes) : dialect_(dialect), max_bytes_(max_bytes) {}

    /// The version of the base layer that the guest uses.
    void set_base_version(int version) { base_version_ = version; }

    /// False when this guest cannot be told the message at all: it counts as undeliverable.
    bool push(const Outgoing& message);
    /// Messages that were lost before they came here: the guest is told of them with its own.
    void add_lost(std::uint64_t count) { untold_ += count; }
    bool empty() const { return waiting_.empty(); }
    /// The next line to write.
    std::string pop();
    /// The channel ended: what waited is lost with it.
    void clear();

    std::size_t bytes() const { return bytes_; }
    /// So many were lost before they came here.
    void lost(std::uint64_t messages);
    std::uint64_t dropped() const { return dropped_; }              ///< since start
    std::uint64_t undeliverable() const { return undeliverable_; }  ///< since start

private:
    struct Waiting {
        SharedLine line;
        bool can_tell_dropped;
        std::size_t cost() const { return line->size() + kMessageCost; }
    };

    wire::Dialect dialect_;
    std::size_t max_bytes_;
    int base_version_ = 2;
    std::deque<Waiting> waiting_;
    std::size_t bytes_ = 0;
    std::uint64_t dropped_ = 0;
    std::uint64_t untold_ = 0;  ///< dropped, and the guest does not know yet
    std::uint64_t undeliverable_ = 0;
};

}  // namespace vitalwire::group
