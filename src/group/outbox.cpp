#include "group/outbox.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

#include "wire/group_codec.hpp"
#include "wire/limits.hpp"

namespace vitalwire::group {

using wire::Dialect;

const std::string& Outgoing::line(Dialect dialect, int base_version) const {
    for (const Encoded& known : encoded_) {
        if (known.dialect == dialect && known.base_version == base_version) return known.line;
    }
    auto line = wire::encode_group(pdu_, dialect, base_version);
    return encoded_.emplace_back(Encoded{dialect, base_version, line.value_or(std::string())}).line;
}

std::string Outgoing::line_with_dropped(Dialect dialect, int base_version, std::uint64_t dropped) const {
    wire::GroupPdu pdu = pdu_;
    std::visit(
        [&](auto& message) {
            if constexpr (requires { message.dropped; }) {
                message.dropped = std::min<std::uint64_t>(dropped, static_cast<std::uint64_t>(wire::kMaxInt31));
            }
        },
        pdu);
    return wire::encode_group(pdu, dialect, base_version).value_or(line(dialect, base_version));
}

bool Outgoing::can_tell_dropped() const {
    return std::visit(
        [](const auto& message) {
            return requires {
                message.dropped;
            };
        },
        pdu_);
}

bool Outbox::push(std::shared_ptr<const Outgoing> message) {
    const std::size_t size = message->line(dialect_, base_version_).size();
    if (size == 0) {
        ++undeliverable_;
        return false;
    }
    while (!waiting_.empty() && bytes_ + size > max_bytes_) {
        bytes_ -= waiting_.front()->line(dialect_, base_version_).size();
        waiting_.pop_front();
        ++dropped_;
        ++untold_;
    }
    bytes_ += size;
    waiting_.push_back(std::move(message));
    return true;
}

std::string Outbox::pop() {
    const auto message = std::move(waiting_.front());
    waiting_.pop_front();
    const std::string& line = message->line(dialect_, base_version_);
    bytes_ -= line.size();
    if (untold_ == 0 || !message->can_tell_dropped()) return line;
    return message->line_with_dropped(dialect_, base_version_, std::exchange(untold_, 0));
}

void Outbox::clear() {
    dropped_ += waiting_.size();
    waiting_.clear();
    bytes_ = 0;
    untold_ = 0;
}

}  // namespace vitalwire::group
