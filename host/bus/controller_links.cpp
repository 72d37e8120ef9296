#include "host/bus/controller_links.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::host {

ControllerLinks::ControllerLinks(AgentCore& core, Parts parts, std::function<base::Moment()> now,
                                 std::function<void()> handled)
    : core_(core), now_(std::move(now)), handled_(std::move(handled)), finder_(std::move(parts.finder)) {
    for (auto& link : parts.links) {
        const std::string url = link->name();
        configured_[url] = add(std::move(link));
    }
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
    for (const auto& link : links_) {
        if (link) link->stop();
    }
    if (finder_) finder_->stop();
}

AgentCore::LinkId ControllerLinks::add(std::unique_ptr<bus::AgentLink> link) {
    const AgentCore::LinkId id = core_.add_link(link->name(), now_());
    links_.push_back(std::move(link));
    if (started_) links_.back()->start(*this);
    return id;
}

void ControllerLinks::remove(AgentCore::LinkId link) {
    const auto removed = std::move(links_[link]);
    removed->stop();
    dropped_by_removed_ += removed->dropped();
    core_.remove_link(link, now_());
    handled_();
}

void ControllerLinks::change(const std::vector<std::string>& urls, const bus::Access& access, const Make& make) {
    const auto failed = [](const std::string& what, const base::Error& error) {
        log::error("the bus cannot be used as configured", {{"what", what}, {"why", error.message}});
    };
    // Before the others are made: a controller that has moved is to see the end of the connection that it had.
    std::erase_if(configured_, [&](const auto& item) {
        if (std::find(urls.begin(), urls.end(), item.first) != urls.end()) return false;
        remove(item.second);
        return true;
    });
    for (const auto& link : links_) {
        if (!link) continue;
        if (const auto used = link->use(access); !used) failed(link->name(), used.error());
    }
    if (finder_) {
        if (const auto used = finder_->use(access); !used) failed("brokers", used.error());
    }
    for (const std::string& url : urls) {
        if (configured_.contains(url)) continue;
        auto link = make(url);
        if (!link) {
            failed(url, link.error());
            continue;
        }
        configured_[url] = add(std::move(*link));
    }
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
    std::uint64_t dropped = dropped_by_removed_ + (finder_ ? finder_->dropped() : 0);
    for (const auto& link : links_)
        dropped += link ? link->dropped() : 0;
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
