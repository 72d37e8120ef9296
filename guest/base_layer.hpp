#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "guest/channel.hpp"
#include "wire/inbound.hpp"
#include "wire/line_framer.hpp"

namespace vitalwire::guest {

class GroupApp;
class HeartbeatApp;

/// Cuts the channel's bytes into messages and hands each to the application it is addressed to. What is no message, or
/// is for nobody here, is dropped and counted: a guest answers nothing that it does not understand
/// (proto-spec/base-layer.md, section 6).
class BaseLayer : public Channel::Events {
public:
    struct Counters {
        std::uint64_t messages = 0;
        std::uint64_t malformed = 0;
        std::uint64_t ignored = 0;  ///< messages, but none that a guest receives
    };

    BaseLayer(HeartbeatApp& heartbeat, GroupApp& group);

    const Counters& counters() const { return counters_; }

    void host_connected() override;
    void host_disconnected() override;
    void received(std::string_view bytes) override;

private:
    void handle(const wire::HeartbeatMessage& message);
    void handle(const wire::GroupMessage& message);
    void handle(const wire::Malformed& line);
    void handle(const wire::Ignored& message);
    void handle(const wire::Refused& message);

    HeartbeatApp& heartbeat_;
    GroupApp& group_;
    wire::LineFramer framer_;
    Counters counters_;
    bool told_malformed_ = false;  ///< once a connection: stale fragments are ordinary
};

}  // namespace vitalwire::guest
