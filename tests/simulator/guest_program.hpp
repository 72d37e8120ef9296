#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "heartbeat/guest_session.hpp"
#include "wire/inbound.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

/// What answers in a VM: our daemon, that of a release that knew no detection times, a cgcs guest, or the QEMU guest
/// agent alone.
enum class GuestKind : std::uint8_t { current, revision_0, cgcs, guest_agent };

/// The one on which it has its heartbeat.
wire::ChannelKind channel_of(GuestKind kind);
/// For the story: empty for our daemon.
std::string_view words_of(GuestKind kind);

/// It reads and writes whole lines of its channel. What each function returns is to be written, in order.
class GuestProgram {
public:
    using Lines = std::vector<std::string>;

    virtual ~GuestProgram() = default;
    virtual Lines connected(TimePoint /*now*/) { return {}; }
    virtual void disconnected() {}
    /// `line` without its newlines.
    virtual Lines received(std::string_view line, const heartbeat::Health& health, TimePoint now) = 0;
    virtual Lines tick(TimePoint /*now*/) { return {}; }
    virtual Lines stop() { return {}; }
    virtual TimePoint next_deadline() const { return base::kNever; }
    /// It has a session that it can end.
    virtual bool registered() const { return false; }
};

/// `invocation` makes its inits different from those of an earlier run.
std::unique_ptr<GuestProgram> make_guest_program(GuestKind kind, const heartbeat::GuestSettings& settings,
                                                 std::int64_t invocation);

}  // namespace vitalwire::simulator
