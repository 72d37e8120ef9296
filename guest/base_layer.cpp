#include "guest/base_layer.hpp"

#include <utility>
#include <variant>

#include "base/log.hpp"
#include "guest/group_app.hpp"
#include "guest/heartbeat_app.hpp"

namespace vitalwire::guest {

BaseLayer::BaseLayer(HeartbeatApp& heartbeat, GroupApp& group)
    : heartbeat_(heartbeat), group_(group), framer_(wire::max_line(wire::ChannelKind::native)) {}

void BaseLayer::host_connected() {
    framer_.reset();
    told_malformed_ = false;
    heartbeat_.host_connected();
    group_.host_connected();
}

void BaseLayer::host_disconnected() {
    framer_.reset();
    heartbeat_.host_disconnected();
    group_.host_disconnected();
}

void BaseLayer::received(std::string_view bytes) {
    framer_.feed(bytes, [this](std::string_view line) {
        std::visit([this](const auto& inbound) { handle(inbound); },
                   wire::read_line(line, wire::ChannelKind::native, wire::Receiver::guest));
    });
}

void BaseLayer::handle(const wire::HeartbeatMessage& message) {
    ++counters_.messages;
    heartbeat_.receive(message.pdu);
}

void BaseLayer::handle(const wire::GroupMessage& message) {
    ++counters_.messages;
    group_.receive(message.pdu);
}

void BaseLayer::handle(const wire::Malformed& line) {
    ++counters_.malformed;
    if (std::exchange(told_malformed_, true)) return;
    log::info("malformed line from the host dropped, further ones on this connection are only counted",
              {{"why", line.why}, {"malformed", counters_.malformed}});
}

void BaseLayer::handle(const wire::Ignored& message) {
    ++counters_.ignored;
    log::debug("message from the host ignored", {{"why", message.why}});
}

void BaseLayer::handle(const wire::Refused& message) {
    // A guest refuses nothing; read_line says so only to hosts.
    handle(wire::Ignored{message.nack.message});
}

}  // namespace vitalwire::guest
