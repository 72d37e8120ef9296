#include "group/outbox.hpp"

#include <utility>
#include <variant>

#include "wire/group_codec.hpp"

namespace vitalwire::group {

using wire::Dialect;

const SharedLine& Outgoing::line(Dialect dialect, int base_version) const {
    for (const Encoded& known : encoded_) {
        if (known.dialect == dialect && known.base_version == base_version) return known.line;
    }
    std::string line = wire::encode_group(pdu_, dialect, base_version).value_or(std::string());
    line.shrink_to_fit();  // it may wait long: queues count what it holds, not what it was given room for
    auto shared = std::make_shared<const std::string>(std::move(line));
    return encoded_.emplace_back(Encoded{dialect, base_version, std::move(shared)}).line;
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

bool Outbox::push(const Outgoing& message) {
    Waiting added{message.line(dialect_, base_version_), dialect_ == Dialect::native && message.can_tell_dropped()};
    if (added.line->empty()) {
        ++undeliverable_;
        return false;
    }
    while (!waiting_.empty() && bytes_ + added.cost() > max_bytes_) {
        bytes_ -= waiting_.front().cost();
        waiting_.pop_front();
        ++dropped_;
        ++untold_;
    }
    bytes_ += added.cost();
    waiting_.push_back(std::move(added));
    return true;
}

void Outbox::lost(std::uint64_t messages) {
    dropped_ += messages;
    untold_ += messages;
}

std::string Outbox::pop() {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    bytes_ -= next.cost();
    std::string line = *next.line;
    if (untold_ > 0 && next.can_tell_dropped && wire::add_dropped(line, untold_)) untold_ = 0;
    return line;
}

void Outbox::clear() {
    dropped_ += waiting_.size();
    waiting_.clear();
    bytes_ = 0;
    untold_ = 0;
}

}  // namespace vitalwire::group
