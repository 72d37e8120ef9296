#include "guest/base_layer.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.hpp"
#include "wire/envelope.hpp"
#include "wire/json_reader.hpp"
#include "wire/limits.hpp"

namespace vitalwire::guest {

BaseLayer::BaseLayer() : framer_(wire::kMaxNativeMessage) {}

void BaseLayer::add(std::string_view address, Application& application) {
    applications_.emplace(address, &application);
}

void BaseLayer::host_connected() {
    framer_.reset();
    told_malformed_ = false;
    for (const auto& [address, application] : applications_)
        application->host_connected();
}

void BaseLayer::host_disconnected() {
    framer_.reset();
    for (const auto& [address, application] : applications_)
        application->host_disconnected();
}

void BaseLayer::received(std::string_view bytes) {
    framer_.feed(bytes, [this](std::string_view line) { handle(line); });
}

void BaseLayer::handle(std::string_view line) {
    auto message = wire::parse_object(line);
    if (!message) return drop_malformed(message.error().message);
    nlohmann::json data;
    const auto header = wire::open_envelope(*message, data);
    if (!header) return drop_malformed(header.error().message);
    const auto application = applications_.find(header->dest_addr);
    if (application == applications_.end()) {
        ++counters_.unknown_address;
        return log::debug("message for an unknown address dropped", {{"dest_addr", header->dest_addr}});
    }
    ++counters_.messages;
    application->second->receive(data);
}

void BaseLayer::drop_malformed(const std::string& why) {
    ++counters_.malformed;
    if (std::exchange(told_malformed_, true)) return;
    log::info("malformed line from the host dropped, further ones on this connection are only counted",
              {{"why", why}, {"malformed", counters_.malformed}});
}

}  // namespace vitalwire::guest
