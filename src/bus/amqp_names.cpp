#include "bus/amqp_names.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "bus/limits.hpp"

namespace vitalwire::bus {

namespace {

constexpr std::string_view kAgents = "vitalwire.agent.";
constexpr std::string_view kControllers = "vitalwire.controller.";
constexpr std::size_t kRandomDigits = 32;

/// The name between prefix and random digits.
std::optional<std::string> owner_of(std::string_view queue, std::string_view prefix) {
    if (!queue.starts_with(prefix) || queue.size() < prefix.size() + kRandomDigits + 2) return std::nullopt;
    const std::string_view digits = queue.substr(queue.size() - kRandomDigits);
    const bool hexadecimal = std::all_of(digits.begin(), digits.end(),
                                         [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    const std::string_view name = queue.substr(prefix.size(), queue.size() - prefix.size() - kRandomDigits - 1);
    const bool separated = queue[prefix.size() + name.size()] == '.';
    if (!hexadecimal || !separated || !base::is_plain_name(name, kMaxHostName)) return std::nullopt;
    return std::string(name);
}

}  // namespace

std::string agent_queue_prefix(const std::string& host) {
    return std::string(kAgents) + host + '.';
}

std::string controller_queue_prefix(const std::string& name) {
    return std::string(kControllers) + name + '.';
}

std::string controller_presence_queue(const std::string& name) {
    return std::string(kControllers) + name;
}

std::optional<std::string> controller_of_queue(std::string_view queue) {
    return owner_of(queue, kControllers);
}

std::optional<std::string> agent_that_sent(const runtime::AmqpMessage& message) {
    auto owner = owner_of(message.reply_to, kAgents);
    if (!owner || message.user_id != *owner) return std::nullopt;
    return owner;
}

std::optional<std::string> controller_that_sent(const runtime::AmqpMessage& message, const std::string& user) {
    if (message.type != kPresence || message.user_id != user) return std::nullopt;
    return controller_of_queue(message.reply_to);
}

}  // namespace vitalwire::bus
