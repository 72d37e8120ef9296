#include "host/bus/controllers.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::host {

using model::Fault;

namespace {

/// A lead that lost a fault (killed between receiving and writing it) hears of it again.
constexpr base::Duration kRepeatUnconfirmed = std::chrono::seconds(30);
/// A controller that restarts is no news.
constexpr base::Duration kAbsence = std::chrono::seconds(5);

template <class... F>
struct Overload : F... {
    using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

/// Collects items and hands them out in messages of kStateChunk.
template <class Message, class Item>
class Chunks {
public:
    Chunks(std::vector<Item> Message::*items, std::function<void(const Message&)> send)
        : items_(items), send_(std::move(send)) {}

    void add(Item item) {
        (message_.*items_).push_back(std::move(item));
        if ((message_.*items_).size() >= bus::kStateChunk) flush();
    }

    void flush() {
        if ((message_.*items_).empty()) return;
        send_(message_);
        (message_.*items_).clear();
    }

private:
    std::vector<Item> Message::*items_;
    std::function<void(const Message&)> send_;
    Message message_;
};

}  // namespace

Controllers::Controllers(boost::asio::io_context& io, Identity identity, const Monitor& monitor,
                         base::Millis report_interval, Callbacks callbacks)
    : io_(io),
      identity_(std::move(identity)),
      monitor_(monitor),
      report_interval_(report_interval),
      callbacks_(std::move(callbacks)),
      report_timer_(io),
      repeat_timer_(io),
      absence_timer_(io) {}

Controllers::~Controllers() = default;

void Controllers::add(std::unique_ptr<bus::AgentLink> link) {
    const std::size_t rank = std::hash<std::string>{}(identity_.host.str() + ' ' + link->name());
    const auto place = std::find_if(links_.begin(), links_.end(), [&](const Link& other) { return other.rank > rank; });
    bus::AgentLink& added = *link;
    links_.insert(place, {std::move(link), rank, false, std::chrono::system_clock::now(), {}});
    if (started_) added.start(*this);
}

void Controllers::start() {
    if (!any()) return;
    started_ = true;
    notice_absence();
    for (Link& link : links_)
        link.link->start(*this);
    if (finder_) {
        finder_->start([this](std::unique_ptr<bus::AgentLink> link) { add(std::move(link)); },
                       [this] { deposit_unconfirmed(); });
    }
    repeat(report_timer_, report_interval_, [this] {
        for (Link& link : links_) {
            if (link.link->up()) send_guests(*link.link);
        }
    });
    repeat(repeat_timer_, kRepeatUnconfirmed, [this] {
        if (lead_ != nullptr) send_faults(*lead_, true);
    });
}

void Controllers::stop() {
    *alive_ = false;
    report_timer_.cancel();
    repeat_timer_.cancel();
    absence_timer_.cancel();
    for (Link& link : links_)
        link.link->stop();
    if (finder_) finder_->stop();
}

void Controllers::repeat(boost::asio::steady_timer& timer, base::Duration every, std::function<void()> what) {
    timer.expires_after(every);
    timer.async_wait(
        [this, &timer, every, what = std::move(what), alive = alive_](const boost::system::error_code& ec) mutable {
            if (ec || !*alive) return;
            what();
            repeat(timer, every, std::move(what));
        });
}

bool Controllers::any_up() const {
    return std::any_of(links_.begin(), links_.end(), [](const Link& link) { return link.link->up(); });
}

std::uint64_t Controllers::messages_dropped() const {
    std::uint64_t dropped = finder_ ? finder_->dropped() : 0;
    for (const Link& link : links_)
        dropped += link.link->dropped();
    return dropped;
}

std::vector<Controllers::LinkStatus> Controllers::status() const {
    std::vector<LinkStatus> out;
    for (const Link& link : links_) {
        out.push_back({link.link->name(), link.link->up(), link.link.get() == lead_, link.since, link.last_error});
    }
    return out;
}

void Controllers::fault_changed(const Fault& fault) {
    const bus::Faults message{{fault}};
    if (finder_) finder_->deposit(message);
    if (any_up()) send_to_all(message);
}

void Controllers::note_guest(const base::GuestId& guest, bool exists) {
    if (!any()) return;
    if (noted_.empty()) {
        boost::asio::post(io_, [this, alive = alive_] {
            if (*alive) tell_guests();
        });
    }
    noted_[guest] = exists;
}

void Controllers::tell_guests() {
    const auto noted = std::exchange(noted_, {});
    if (!any_up()) return;
    Chunks<bus::Guests, model::GuestReport> chunks(&bus::Guests::guests,
                                                   [this](const bus::Guests& message) { send_to_all(message); });
    for (const auto& [guest, exists] : noted) {
        const auto report = exists ? monitor_.report(guest) : std::nullopt;
        if (report) {
            chunks.add(*report);
        } else {
            send_to_all(bus::GuestGone{guest});
        }
    }
    chunks.flush();
}

void Controllers::on_up(bus::AgentLink& link) {
    Link& entry = link_of(link);
    entry.was_up = true;
    entry.since = std::chrono::system_clock::now();
    entry.last_error.clear();
    const bool leads_now = lead_ == nullptr;
    if (leads_now) lead_ = &link;
    log::info("controller connected", {{"controller", link.name()}, {"lead", lead_ == &link}});
    send_whole_state(link);
    if (leads_now) callbacks_.on_lead(true);
    absence_timer_.cancel();
    callbacks_.on_reachable(true);
}

void Controllers::on_down(bus::AgentLink& link, const std::string& why) {
    Link& entry = link_of(link);
    entry.last_error = why;
    if (!std::exchange(entry.was_up, false)) {
        return log::info("controller cannot be reached, trying on", {{"controller", link.name()}, {"why", why}});
    }
    entry.since = std::chrono::system_clock::now();
    ++links_lost_;
    log::warning("controller lost", {{"controller", link.name()}, {"why", why}});
    if (lead_ == &link) elect();
    if (!any_up()) notice_absence();
}

void Controllers::notice_absence() {
    absence_timer_.expires_after(kAbsence);
    absence_timer_.async_wait([this, alive = alive_](const boost::system::error_code& ec) {
        if (!ec && *alive && !any_up()) callbacks_.on_reachable(false);
    });
}

void Controllers::elect() {
    const auto next = std::find_if(links_.begin(), links_.end(), [](const Link& link) { return link.link->up(); });
    lead_ = next == links_.end() ? nullptr : next->link.get();
    callbacks_.on_lead(lead_ != nullptr);
    if (lead_ == nullptr) return;
    log::info("another controller leads now", {{"controller", lead_->name()}});
    send(*lead_, bus::LeadChanged{true});
    // It has the faults, but not what the lead before it has delivered of them.
    send_faults(*lead_, false);
}

void Controllers::on_message(bus::AgentLink& link, const bus::ToAgent& message) {
    std::visit(
        Overload{
            [&](const bus::Welcome& welcome) {
                log::debug("controller welcomes", {{"controller", welcome.controller}});
            },
            [&](const bus::Rejected& rejected) {
                link_of(link).last_error = rejected.reason;
                log::error("controller rejects this agent", {{"controller", link.name()}, {"why", rejected.reason}});
            },
            [&](const bus::FaultsDelivered& delivered) { callbacks_.on_delivered(delivered); },
            [&](const bus::Policies& policies) { callbacks_.on_policies(policies); },
            [](const bus::HandBack&) {},  // this agent restores its own state only
            [&](const bus::GroupDeliver&) { callbacks_.on_group(message); },
            [&](const auto&) {
                // Another controller than the one that was asked has nothing to answer.
                if (&link == lead_) callbacks_.on_group(message);
            }},
        message);
}

bool Controllers::send_to_lead(const bus::ToController& message) {
    if (lead_ == nullptr) return false;
    send(*lead_, message);
    return true;
}

Controllers::Link& Controllers::link_of(const bus::AgentLink& link) {
    return *std::find_if(links_.begin(), links_.end(), [&](const Link& entry) { return entry.link.get() == &link; });
}

void Controllers::send(bus::AgentLink& link, const bus::ToController& message) {
    ++messages_sent_;
    link.send(message);
}

void Controllers::send_to_all(const bus::ToController& message) {
    for (Link& link : links_) {
        if (link.link->up()) send(*link.link, message);
    }
}

void Controllers::send_whole_state(bus::AgentLink& link) {
    send(link, bus::Hello{bus::kBusVersion, identity_.host, identity_.version, identity_.instance, lead_ == &link});
    send(link, bus::SnapshotBegin{});
    send_guests(link);
    send_faults(link, false);
    send(link, bus::SnapshotEnd{});
}

void Controllers::send_guests(bus::AgentLink& link) {
    Chunks<bus::Guests, model::GuestReport> chunks(&bus::Guests::guests,
                                                   [&](const bus::Guests& message) { send(link, message); });
    monitor_.for_each_report([&](const model::GuestReport& report) { chunks.add(report); });
    chunks.flush();
}

void Controllers::send_faults(bus::AgentLink& link, bool only_unconfirmed) {
    for_faults(only_unconfirmed, [&](const bus::Faults& message) { send(link, message); });
}

void Controllers::deposit_unconfirmed() {
    for_faults(true, [this](const bus::Faults& message) { finder_->deposit(message); });
}

void Controllers::for_faults(bool only_unconfirmed, const std::function<void(const bus::Faults&)>& send) const {
    Chunks<bus::Faults, Fault> chunks(&bus::Faults::faults, send);
    monitor_.faults().for_each([&](const Fault& fault) {
        if (!only_unconfirmed || fault.delivered < fault.revision) chunks.add(fault);
    });
    chunks.flush();
}

}  // namespace vitalwire::host
