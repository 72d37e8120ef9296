#include "host/bus/controller_links.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::host {

ControllerLinks::ControllerLinks(AgentCore& core, Parts parts, std::function<base::Moment()> now,
                                 std::function<void()> handled)
    : core_(core), now_(std::move(now)), handled_(std::move(handled)), finder_(std::move(parts.finder)) {
    for (auto& link : parts.links)
        add(std::move(link));
}

void ControllerLinks::start() {
    started_ = true;
    for (const auto& link : links_)
        link->start(*this);
    if (!finder_) return;
    finder_->start([this](std::unique_ptr<bus::AgentLink> link) { add(std::move(link)); },
                   [this] { core_.broker_reached(); });
}

void ControllerLinks::stop() {
    for (const auto& link : links_)
        link->stop();
    if (finder_) finder_->stop();
}

void ControllerLinks::add(std::unique_ptr<bus::AgentLink> link) {
    core_.add_link(link->name(), now_());
    links_.push_back(std::move(link));
    if (started_) links_.back()->start(*this);
}

AgentCore::LinkId ControllerLinks::id_of(const bus::AgentLink& link) const {
    const auto found =
        std::find_if(links_.begin(), links_.end(), [&](const auto& each) { return each.get() == &link; });
    return static_cast<AgentCore::LinkId>(found - links_.begin());
}

void ControllerLinks::leave_at_broker(const bus::Faults& faults) {
    if (finder_) finder_->leave_at_broker(faults);
}

std::uint64_t ControllerLinks::dropped() const {
    std::uint64_t dropped = finder_ ? finder_->dropped() : 0;
    for (const auto& link : links_)
        dropped += link->dropped();
    return dropped;
}

void ControllerLinks::on_up(bus::AgentLink& link) {
    core_.link_up(id_of(link), now_());
    handled_();
}

void ControllerLinks::on_down(bus::AgentLink& link, const std::string& why) {
    core_.link_down(id_of(link), why, now_());
    handled_();
}

void ControllerLinks::on_message(bus::AgentLink& link, const bus::ToAgent& message) {
    core_.controller_sent(id_of(link), message, now_());
    handled_();
}

void ControllerLinks::on_alive(bus::AgentLink& link) {
    core_.link_alive(id_of(link), now_().steady);
}

}  // namespace vitalwire::host
