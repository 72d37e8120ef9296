#include "host/sources/libvirt/libvirt_source.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::TimePoint;
using wire::ChannelKind;

namespace {

/// libvirt reports the end of a domain up to two seconds after QEMU has closed its channels.
constexpr base::Millis kEndKnownWithin{3000};
constexpr base::Duration kReopen = std::chrono::seconds(1);
/// Nothing is known to be missed by the events; this is for what is not known.
constexpr base::Duration kAudit = std::chrono::minutes(1);
/// No event tells that a migration was given up.
constexpr base::Duration kTransfers = std::chrono::seconds(1);
constexpr const char* kForgotten = "libvirt says that it does not run, and a channel of its QEMU is connected";
constexpr std::size_t kMaxQueries = 64;
constexpr base::Duration kStopPatience = std::chrono::milliseconds(500);

}  // namespace

LibvirtSource::LibvirtSource(boost::asio::io_context& io, LibvirtOptions options, GuestAgentCalls::MakeAsker make_asker)
    : io_(io),
      options_(std::move(options)),
      threads_(std::make_shared<LibvirtThreads>()),
      reopen_(io),
      audit_(io),
      transfers_(io),
      make_asker_(std::move(make_asker)),
      plug_later_(io) {
    if (!make_asker_) make_asker_ = [uri = options_.uri] { return make_libvirt_asker(uri); };
}

LibvirtSource::~LibvirtSource() {
    stop();
}

void LibvirtSource::start(ChannelSource::Handler& handler) {
    handler_ = &handler;
    attacher_ = std::make_unique<LibvirtAttacher>(io_, options_);
    guest_agent_calls_ = std::make_unique<GuestAgentCalls>(
        io_, options_.guest_agent_calls, make_asker_,
        [this](const GuestAgentCall& call, std::int64_t challenge, GuestAgentResult result) {
            handler_->on_guest_agent_returned(call.guest, challenge, result);
        });
    io_calls_ = std::make_unique<IoCalls>(
        io_, static_cast<int>(IoWatch::kMostReads), [uri = options_.uri] { return make_libvirt_io_reader(uri); },
        [this](const GuestId& guest, std::int64_t number, const std::optional<IoCounters>& counters) {
            handler_->on_io_returned(guest, number, counters);
        });
    open();
}

void LibvirtSource::stop() {
    if (handler_ == nullptr) return;
    handler_ = nullptr;
    reopen_.cancel();
    audit_.cancel();
    transfers_.cancel();
    plug_later_.cancel();
    attacher_.reset();
    guest_agent_calls_.reset();
    io_calls_.reset();
    session_.reset();
    domains_.clear();
    threads_->await_none(kStopPatience);
}

void LibvirtSource::open() {
    read_all_ = false;
    LibvirtSession::Handler& events = *this;
    session_ = std::make_unique<LibvirtSession>(io_, options_, threads_, events);
}

void LibvirtSource::on_open() {
    all_changed_ = true;
    ask();
}

void LibvirtSource::on_lost(const std::string& why) {
    session_.reset();
    audit_.cancel();
    transfers_.cancel();
    for (const GuestId& guest : std::exchange(asked_jobs_, {}))
        domains_[guest].job_in_vain = true;
    problem(why);
    reopen_.after(kReopen, [this] { open(); });
}

void LibvirtSource::problem(const std::string& text) {
    if (std::exchange(problem_, text) != text) handler_->on_source_problem(*this, text);
}

void LibvirtSource::on_news_lost() {
    log::warning("more events of libvirt than could be taken, looking at all domains again");
    all_changed_ = true;
    ask();
}

void LibvirtSource::on_news(const DomainNews& news) {
    Domain& domain = domains_[news.guest];
    domain.last_news = ++news_;
    changed_.insert(news.guest);
    // Until all was read it is not known what the event changes.
    if (read_all_) follow(domain, news);
    ask();
}

void LibvirtSource::follow(Domain& domain, const DomainNews& news) {
    DomainTracker::Events events;
    switch (news.kind) {
        case DomainNews::Kind::lifecycle:
            domain.tracker.lifecycle(news.event, news.detail, events);
            break;
        case DomainNews::Kind::rebooted:
            domain.tracker.rebooted(events);
            break;
        case DomainNews::Kind::transferring:
            domain.tracker.transferring(events);
            break;
        case DomainNews::Kind::watchdog:
            domain.tracker.watchdog(news.text, events);
            break;
        case DomainNews::Kind::io_error:
            domain.tracker.io_error(news.text, events);
            break;
        case DomainNews::Kind::changed:
            break;
    }
    tell(news.guest, domain, events);
}

/// One question at a time; what changes in that time is asked next.
void LibvirtSource::ask() {
    if (!session_ || !session_->idle()) return;
    asked_at_ = news_;
    if (std::exchange(all_changed_, false)) {
        changed_.clear();
        return session_->ask_all();
    }
    std::vector<LibvirtSession::Query> queries;
    while (!changed_.empty() && queries.size() < kMaxQueries) {
        GuestId guest = std::move(changed_.extract(changed_.begin()).value());
        const auto known = domains_.find(guest);
        const bool job =
            known != domains_.end() && known->second.tracker.is_transferring() && !known->second.job_in_vain;
        if (job) asked_jobs_.push_back(guest);
        queries.push_back({std::move(guest), job});
    }
    if (!queries.empty()) session_->ask(std::move(queries));
}

void LibvirtSource::on_answer(const LibvirtSession::Answer& answer) {
    asked_jobs_.clear();
    for (const DomainReading& reading : answer.domains)
        take(reading);
    for (const GuestId& guest : answer.unknown)
        vanished(guest);
    for (const LibvirtSession::Failure& failure : answer.failures)
        failed(failure);
    if (answer.of_all) {
        forget_missing(answer);
        read_all_ = true;
        ask_all_later();
        problem("");
        tell_listed();
    }
    std::erase_if(domains_, [this](const auto& entry) {
        return entry.second.tracker.is_idle() && !entry.second.unreadable && !changed_.contains(entry.first);
    });
    watch_transfers();
    plug();
    ask();
}

/// A domain that changed while all were read is not judged by that reading, nor by its absence from it.
/// A libvirtd that has no domain at all is most often that of a host whose guests were all evacuated.
void LibvirtSource::tell_listed() {
    if (all_changed_ || std::exchange(listed_, true)) return;
    asked_about_.insert(changed_.begin(), changed_.end());
    handler_->on_listed(*this, {options_.uri, true, changed_});
}

void LibvirtSource::take(const DomainReading& reading) {
    Domain& domain = domains_[reading.guest];
    if (is_old_news(domain)) return;
    DomainTracker::Events events;
    domain.tracker.read(reading, is_connected(reading.guest, domain), events);
    if (domain.tracker.is_missing()) {
        asked_about_.erase(reading.guest);
        return unreadable(reading.guest, domain, kForgotten);
    }
    readable(reading.guest, domain);
    tell(reading.guest, domain, events);
    if (domain.tracker.is_idle()) {
        if (asked_about_.erase(reading.guest) > 0 && events.empty())
            handler_->on_gone(reading.guest, heartbeat::StopReason::domain_stopped);
        return;
    }
    asked_about_.erase(reading.guest);
    if (domain.tracker.is_saved()) return;
    tell_channels(reading.guest, domain, reading.ports.channels);
    tell_guest_agent(reading.guest, domain, reading.ports.guest_agent);
    hot_plug_.see(reading, domain.tracker.is_running());
}

void LibvirtSource::vanished(const GuestId& guest) {
    Domain& domain = domains_[guest];
    if (is_old_news(domain)) return;
    DomainTracker::Events events;
    domain.tracker.vanished(!read_all_, is_connected(guest, domain), events);
    if (domain.tracker.is_missing()) {
        if (is_connected(guest, domain)) return unreadable(guest, domain, kForgotten);
        readable(guest, domain);
        log::warning("a domain ended while libvirt was away, its channels tell the rest", {{"guest", guest}});
        return;
    }
    readable(guest, domain);
    tell(guest, domain, events);
    asked_about_.erase(guest);
    if (!domain.tracker.is_idle()) return tell_channels(guest, domain, {});
    // What is remembered of it from before this source looked ends too.
    if (events.empty()) handler_->on_gone(guest, heartbeat::StopReason::removed);
}

/// It ends or begins just now, or libvirt has trouble with it: it is read again with the next reading of all, or at its
/// next event.
void LibvirtSource::failed(const LibvirtSession::Failure& failure) {
    Domain& domain = domains_[failure.guest];
    if (!is_old_news(domain)) unreadable(failure.guest, domain, failure.why);
}

void LibvirtSource::unreadable(const GuestId& guest, Domain& domain, const std::string& why) {
    if (std::exchange(domain.unreadable, true)) return;
    log::warning("domain cannot be read", {{"guest", guest}, {"error", why}});
    handler_->on_unreadable(guest, why);
}

bool LibvirtSource::is_connected(const GuestId& guest, const Domain& domain) const {
    return std::any_of(domain.channels.begin(), domain.channels.end(),
                       [&](const auto& channel) { return handler_->is_connected(guest, channel.first); });
}

void LibvirtSource::readable(const GuestId& guest, Domain& domain) {
    if (std::exchange(domain.unreadable, false)) handler_->on_unreadable(guest, "");
}

void LibvirtSource::ask(const GuestId& guest) {
    constexpr std::size_t kUuid = 36;
    if (guest.str().size() != kUuid) return;  // of another source
    asked_about_.insert(guest);
    changed_.insert(guest);
    ask();
}

void LibvirtSource::forget_missing(const LibvirtSession::Answer& answer) {
    std::set<GuestId> told;
    for (const DomainReading& reading : answer.domains)
        told.insert(reading.guest);
    for (const LibvirtSession::Failure& failure : answer.failures)
        told.insert(failure.guest);
    std::vector<GuestId> missing;
    for (const auto& [guest, domain] : domains_) {
        if (!told.contains(guest)) missing.push_back(guest);
    }
    for (const GuestId& guest : missing)
        vanished(guest);
}

void LibvirtSource::tell(const GuestId& guest, Domain& domain, const DomainTracker::Events& events) {
    for (const heartbeat::HostEvent& event : events)
        handler_->on_machine(guest, event);
    if (events.empty() || !domain.tracker.is_stopped()) return;
    domain.channels.clear();
    domain.guest_agent.reset();
    hot_plug_.gone(guest);
    handler_->on_gone(guest, domain.tracker.stop_reason());
}

void LibvirtSource::tell_channels(const GuestId& guest, Domain& domain, const std::vector<DomainChannel>& found) {
    std::map<ChannelKind, std::string> channels;
    for (const DomainChannel& channel : found)
        channels.emplace(channel.kind, channel.path);
    const auto before = std::exchange(domain.channels, channels);
    for (const auto& [kind, path] : before) {
        if (!channels.contains(kind)) handler_->on_channel_gone(guest, kind);
    }
    for (const auto& [kind, path] : channels) {
        const auto known = before.find(kind);
        if (known == before.end() || known->second != path) handler_->on_channel(guest, kind, path, kEndKnownWithin);
    }
}

void LibvirtSource::tell_guest_agent(const GuestId& guest, Domain& domain, std::optional<bool> open) {
    if (std::exchange(domain.guest_agent, open) != open) handler_->on_guest_agent(guest, open);
}

void LibvirtSource::call_guest_agent(const GuestAgentCall& call, std::int64_t challenge) {
    if (guest_agent_calls_) guest_agent_calls_->ask(call, challenge);
}

bool LibvirtSource::read_io(const GuestId& guest, std::int64_t number) {
    if (!io_calls_ || !domains_.contains(guest)) return false;
    io_calls_->ask(guest, number);
    return true;
}

void LibvirtSource::want(const WantedChannels& wanted) {
    if (!options_.hot_plug) return;
    hot_plug_.want(wanted);
    plug();
}

/// Only by what libvirt says now: not before everything was read, nor while it is away.
void LibvirtSource::plug() {
    if (handler_ == nullptr || !session_ || !read_all_) return;
    auto unattachable = hot_plug_.unattachable();
    if (unattachable != unattachable_) handler_->on_unattachable(unattachable_ = std::move(unattachable));
    const TimePoint now = base::Clock::now();
    if (const auto attachment = hot_plug_.next(now)) {
        attacher_->attach(*attachment,
                          [this, attachment = *attachment](const auto& failure) { plugged(attachment, failure); });
    }
    const TimePoint due = hot_plug_.next_due();
    due == base::kNever ? plug_later_.cancel() : plug_later_.after(due - now, [this] { plug(); });
}

void LibvirtSource::plugged(const HotPlug::Attachment& attachment, const std::string& failure) {
    const TimePoint now = base::Clock::now();
    failure.empty() ? hot_plug_.attached(now) : hot_plug_.failed(now);
    handler_->on_attached(attachment.guest, attachment.kind, failure);
    changed_.insert(attachment.guest);
    ask();
    plug();
}

void LibvirtSource::ask_all_later() {
    audit_.after(kAudit, [this] {
        for (auto& [guest, domain] : domains_)
            domain.job_in_vain = false;
        all_changed_ = true;
        ask();
    });
}

void LibvirtSource::watch_transfers() {
    const bool any = std::any_of(domains_.begin(), domains_.end(),
                                 [](const auto& entry) { return entry.second.tracker.is_transferring(); });
    if (!any) return;
    transfers_.after(kTransfers, [this] {
        for (const auto& [guest, domain] : domains_) {
            if (domain.tracker.is_transferring()) changed_.insert(guest);
        }
        ask();
    });
}

}  // namespace vitalwire::host
