#include "controller/openstack/nova_inventory.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/log.hpp"
#include "controller/openstack/nova_client.hpp"
#include "controller/openstack/nova_view.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller {

using base::GroupId;
using base::GuestId;
using base::Result;

namespace {

// What the board of problems calls them.
constexpr const char* kNotListed = "the inventory cannot be read from Nova";
constexpr const char* kNoNotifications = "Nova's notifications cannot be received";
constexpr const char* kSharedQueue = "others read the queue of Nova's notifications";
constexpr const char* kNotFound = "Nova does not find servers that it has not reported as deleted";
constexpr const char* kNotShown = "Nova does not show how servers are";
constexpr const char* kBadSpecs = "flavors have extra specs that cannot be used";

constexpr base::Millis kFirstRetry{1'000};
constexpr base::Millis kLongestRetry{60'000};
/// Servers asked for by id at once; the rest waits.
constexpr std::size_t kAskedAtOnce = 8;
/// Of one full poll: the others are found missing again by the next one.
constexpr std::size_t kMissingAsked = 500;
constexpr std::size_t kShownProblems = 5;
/// The hosts that write `updated` have clocks of their own, and a row may be committed after one with a later time.
constexpr std::chrono::minutes kOverlap{5};
/// A controller is not down for longer, or what it knows is too old to be asked about.
constexpr std::chrono::hours kBeforeStart{7 * 24};

/// "a, b, c and 4 more".
std::string listed(std::vector<GuestId> guests) {
    std::sort(guests.begin(), guests.end());
    std::string text;
    for (std::size_t i = 0; i < std::min(guests.size(), kShownProblems); ++i)
        text += (text.empty() ? "" : ", ") + guests[i].str();
    if (guests.size() > kShownProblems) text += " and " + std::to_string(guests.size() - kShownProblems) + " more";
    return text;
}

std::string summary(const std::map<std::string, std::size_t>& problems) {
    std::string text;
    std::size_t shown = 0;
    for (const auto& [problem, servers] : problems) {
        if (++shown > kShownProblems)
            return text + "; and " + std::to_string(problems.size() - kShownProblems) + " more";
        text += (text.empty() ? "" : "; ") + problem + " (servers: " + std::to_string(servers) + ")";
    }
    return text;
}

/// From when on changes are asked for, after a list that Nova gave at `listed_at`. Neither clock is trusted alone: with
/// the newest time of change one server from a host whose clock is ahead would hide all that happens until then, with
/// Nova's own clock one that is ahead itself. Empty: that cannot be known.
std::string changes_since(const std::string& newest_update, base::WallTime listed_at,
                          base::WallTime::duration before = kOverlap) {
    if (listed_at == base::WallTime{}) return {};
    std::string with_micros = newest_update;
    if (with_micros.ends_with('Z')) with_micros.replace(with_micros.size() - 1, 1, ".000000Z");
    const base::WallTime newest = base::from_iso8601(with_micros);
    const base::WallTime from = newest == base::WallTime{} ? listed_at : std::min(newest, listed_at);
    std::string since = base::to_iso8601(from - before);
    return since.replace(since.find('.'), std::string::npos, "Z");
}

}  // namespace

class NovaInventory::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(boost::asio::io_context& io, Inventory& inventory, Keystone& keystone, runtime::Metrics& metrics,
         NovaInventoryConfig config)
        : config_(std::move(config)),
          inventory_(inventory),
          view_(inventory),
          client_(keystone),
          poll_timer_(io),
          feed_(io, config_.feed,
                {[this](const auto& bodies) { notified(bodies); }, [this] { listening(); },
                 [this](std::size_t readers) { shared(readers); },
                 [this](const std::string& why) { not_listening(why); }}) {
        const auto counter = [&](const std::string& what, const std::string& help) {
            return metrics.counter("vitalwire_controller_nova_" + what + "_total", help);
        };
        received_ = counter("notifications", "Notifications of Nova's that arrived.");
        unused_ = counter("notifications_unused", "Of these, repetitions and events without anything new.");
        malformed_ = counter("notifications_malformed", "Of these, messages that could not be read.");
        polls_ = counter("polls", "Polls of what Nova lists that were completed.");
        failed_polls_ = counter("polls_failed", "Polls of what Nova lists that failed.");
        kept_ = counter("servers_kept", "Servers and groups that Nova did not list and did not answer to be gone.");
        listening_ = std::make_shared<bool>(false);
        metrics.gauge("vitalwire_controller_nova_listening", "1 while Nova's notifications are received.",
                      [up = listening_] { return *up ? 1.0 : 0.0; });
    }

    void start(Handler& handler) {
        handler_ = &handler;
        poll();
        feed_.start();
    }

    void stop() {
        handler_ = nullptr;
        poll_timer_.cancel();
        feed_.stop();
    }

    void reload() {
        full_poll_at_ = {};
        poll_soon();
    }

    void use(const runtime::AmqpAccess& access) { feed_.use(access); }

    bool loaded() const { return loaded_; }
    base::TimePoint polled_at() const { return polled_at_; }

private:
    /// One pass over Nova's lists. They are used page by page: a large cloud must not hold up the loop.
    struct Poll {
        bool complete = false;
        std::size_t changes = 0;
        base::WallTime listed_at{};    ///< its first page, by Nova's clock
        std::vector<GuestId> missing;  ///< not asked for yet
        std::vector<GuestId> gone;
        std::vector<GuestId> not_shown;  ///< their cell is down
        std::vector<GuestId> not_found;  ///< so Nova also answers a user who may not see them
        std::vector<GroupId> missing_groups;
        std::vector<GroupId> gone_groups;
        std::size_t asking = 0;
    };
    using PollPtr = std::shared_ptr<Poll>;

    template <class T>
    NovaClient::Page<T> take(const PollPtr& poll) {
        return [self = shared_from_this(), poll](const T& page, NovaClient::ListedAt at) {
            if (self->handler_ == nullptr) return;
            if (poll->listed_at == base::WallTime{}) poll->listed_at = at;
            self->taken(poll, page, at);
        };
    }

    NovaClient::Done<void> then(void (Impl::*next)(const PollPtr&), const PollPtr& poll) {
        return [self = shared_from_this(), poll, next](const Result<void>& listed) {
            if (self->handler_ == nullptr) return;
            if (!listed) return self->failed(listed.error());
            (self.get()->*next)(poll);
        };
    }

    void poll_soon() {
        if (polling_) {
            poll_again_ = true;
            return;
        }
        poll();
    }

    void poll() {
        polling_ = true;
        poll_again_ = false;
        view_.begin_poll();
        auto poll = std::make_shared<Poll>();
        const base::TimePoint now = base::Clock::now();
        poll->complete = !loaded_ || changed_since_.empty() || now >= full_poll_at_;
        if (poll->complete) began_complete_ = now;
        client_.list_groups(take<NovaClient::Groups>(poll), then(&Impl::list_servers, poll));
    }

    /// After the groups: servers are found with their group then.
    void list_servers(const PollPtr& poll) {
        client_.list_servers(poll->complete ? "" : changed_since_, take<NovaClient::Servers>(poll),
                             then(&Impl::find_missing, poll));
    }

    void taken(const PollPtr& poll, const NovaClient::Groups& groups, NovaClient::ListedAt /*at*/) {
        used(poll, view_.take(groups));
    }

    void taken(const PollPtr& poll, const NovaClient::Servers& servers, NovaClient::ListedAt at) {
        for (const NovaServer& server : servers)
            newest_update_ = std::max(newest_update_, server.updated_at);
        used(poll, view_.take(servers, at));
    }

    /// At the first load everything is new: it is reported at its end.
    void used(const PollPtr& poll, const std::vector<GuestChange>& changes) {
        poll->changes += changes.size();
        learned(changes);
    }

    void find_missing(const PollPtr& poll) {
        if (!loaded_) view_.keep_restored();
        if (poll->complete) poll->missing = view_.missing();
        poll->missing_groups = view_.missing_groups();
        keep_above_bound(poll->missing);
        keep_above_bound(poll->missing_groups);
        ask_for_missing(poll);
    }

    template <class T>
    void keep_above_bound(std::vector<T>& missing) {
        if (missing.size() <= kMissingAsked) return;
        kept_.add(static_cast<double>(missing.size() - kMissingAsked));
        missing.resize(kMissingAsked);
    }

    void ask_for_missing(const PollPtr& poll) {
        while (poll->asking < kAskedAtOnce && !poll->missing.empty()) {
            const GuestId guest = poll->missing.back();
            poll->missing.pop_back();
            ++poll->asking;
            client_.get_server(guest, [self = shared_from_this(), poll, guest](const auto& got) {
                if (self->handler_ == nullptr) return;
                const bool found = got && *got;
                if (got && !found) poll->not_found.push_back(guest);
                if (!got) poll->not_shown.push_back(guest);
                const bool deleted = found && (*got)->deleted;
                if (found && !deleted) self->used(poll, self->view_.take(NovaClient::Servers{**got}));
                self->note_missing(poll, deleted, guest, poll->gone);
            });
        }
        while (poll->asking < kAskedAtOnce && !poll->missing_groups.empty()) {
            const GroupId group = poll->missing_groups.back();
            poll->missing_groups.pop_back();
            ++poll->asking;
            client_.get_group(group, [self = shared_from_this(), poll, group](const auto& got) {
                if (self->handler_ == nullptr) return;
                if (got && *got) self->taken(poll, NovaClient::Groups{**got}, {});
                self->note_missing(poll, got && !*got, group, poll->gone_groups);
            });
        }
        if (poll->asking == 0) poll->not_found.empty() ? finish(poll) : ask_for_deleted(poll);
    }

    /// Nova lists a deleted server among those that changed since the poll before. Who may no longer see a server is
    /// shown nothing of it, and is answered that there is none.
    void ask_for_deleted(const PollPtr& poll) {
        // What was deleted before the start is among the changes of the days before it.
        const std::string since = loaded_ ? changed_since_ : changes_since("", poll->listed_at, kBeforeStart);
        if (since.empty()) {  // a Nova without a clock: there is no other word of it
            poll->gone.insert(poll->gone.end(), poll->not_found.begin(), poll->not_found.end());
            poll->not_found.clear();
            return finish(poll);
        }
        client_.list_servers(since, take<NovaClient::Servers>(poll), then(&Impl::keep_undeleted, poll));
    }

    void keep_undeleted(const PollPtr& poll) {
        std::erase_if(poll->not_found, [this](const GuestId& guest) { return inventory_.guest(guest) == nullptr; });
        finish(poll);
    }

    template <class T>
    void note_missing(const PollPtr& poll, bool is_gone, const T& id, std::vector<T>& gone) {
        --poll->asking;
        if (is_gone) gone.push_back(id);
        if (!is_gone) kept_.add();
        ask_for_missing(poll);
    }

    void finish(const PollPtr& poll) {
        changed_since_ = changes_since(newest_update_, poll->listed_at);
        const auto changes = view_.end_poll(poll->gone, poll->gone_groups, poll->listed_at);
        poll->changes += changes.size();
        polls_.add();
        polled_at_ = base::Clock::now();
        if (poll->complete) full_poll_at_ = began_complete_ + config_.full_poll_interval;
        if (!std::exchange(loaded_, true) || poll->changes > 0)
            log::info("inventory read from Nova", {{"guests", inventory_.guests().size()},
                                                   {"groups", inventory_.groups().size()},
                                                   {"changes", poll->changes}});
        backoff_ = kFirstRetry;
        ended(config_.poll_interval);
        report_problem(kNotListed, "");
        if (poll->complete) {
            report_problem(kNotFound, listed(poll->not_found));
            report_problem(kNotShown, listed(poll->not_shown));
        }
        changed(changes, true);
    }

    void failed(const base::Error& error) {
        view_.abandon_poll();
        failed_polls_.add();
        ended(std::min(backoff_, config_.poll_interval));
        backoff_ = std::min(backoff_ * 2, kLongestRetry);
        report_problem(kNotListed, error.message + (loaded_ ? "; what it listed last still counts" : ""));
    }

    void ended(base::Millis next) {
        polling_ = false;
        if (poll_again_) next = base::Millis(0);
        poll_timer_.after(next, [this] { poll_soon(); });
    }

    void listening() {
        if (handler_ == nullptr) return;
        *listening_ = true;
        log::info("receiving Nova's notifications", {{"queue", config_.feed.queue}});
        report_problem(kNoNotifications, "");
        poll_soon();  // for what was not received
    }

    /// The broker gives each message to one of them.
    void shared(std::size_t readers) {
        report_problem(kSharedQueue, readers <= 1 ? ""
                                                  : "queue " + config_.feed.queue + " has " + std::to_string(readers) +
                                                        " readers, and each gets a part");
    }

    void not_listening(const std::string& why) {
        if (handler_ == nullptr) return;
        *listening_ = false;
        report_problem(kSharedQueue, "");
        report_problem(kNoNotifications, why);
    }

    void notified(const std::vector<std::string>& bodies) {
        if (handler_ == nullptr) return;
        received_.add(static_cast<double>(bodies.size()));
        std::vector<GuestChange> changes;
        for (const std::string& body : bodies)
            apply(body, changes);
        // Before the first poll has ended nobody knows what a change changes: it finds the state after these.
        learned(changes);
    }

    void apply(const std::string& body, std::vector<GuestChange>& changes) {
        const auto notification = read_notification(body);
        if (!notification) {
            malformed_.add();
            if (!std::exchange(logged_malformed_, true))
                log::warning("a notification could not be read; others are counted only",
                             {{"why", notification.error().message}});
            return;
        }
        auto effect = view_.apply(*notification);
        if (!effect.used) unused_.add();
        std::move(effect.changes.begin(), effect.changes.end(), std::back_inserter(changes));
        to_ask_.insert(effect.ask.begin(), effect.ask.end());
        ask_for_servers();
    }

    /// Unanswered: the next poll finds the server among those that changed.
    void ask_for_servers() {
        while (asked_ < kAskedAtOnce && !to_ask_.empty()) {
            const GuestId guest = to_ask_.extract(to_ask_.begin()).value();
            ++asked_;
            client_.get_server(guest, [self = shared_from_this(), as_of = view_.as_of(guest)](const auto& got) {
                if (self->handler_ == nullptr) return;
                --self->asked_;
                if (got && *got) self->learned(self->view_.answer(**got, as_of));
                self->ask_for_servers();
            });
        }
    }

    void learned(const std::vector<GuestChange>& changes) {
        if (loaded_) changed(changes, false);
    }

    void changed(const std::vector<GuestChange>& changes, bool always) {
        report_problem(kBadSpecs, summary(view_.spec_problems()));
        if (handler_ != nullptr && (always || !changes.empty())) handler_->on_inventory_changed(changes);
    }

    void report_problem(const std::string& what, const std::string& detail) {
        if (handler_ != nullptr) handler_->on_inventory_problem(what, detail);
    }

    const NovaInventoryConfig config_;
    Inventory& inventory_;
    NovaView view_;
    NovaClient client_;
    Handler* handler_ = nullptr;
    bool loaded_ = false;
    bool polling_ = false;
    bool poll_again_ = false;
    std::string newest_update_;  ///< of all that was listed
    std::string changed_since_;
    base::TimePoint full_poll_at_{};
    base::TimePoint polled_at_ = base::Clock::now();  ///< its end; before the first our start
    base::TimePoint began_complete_{};
    base::Millis backoff_ = kFirstRetry;
    std::unordered_set<GuestId> to_ask_;
    std::size_t asked_ = 0;  ///< of these, under way
    bool logged_malformed_ = false;
    std::shared_ptr<bool> listening_;
    runtime::Timer poll_timer_;
    runtime::Counter received_, unused_, malformed_, polls_, failed_polls_, kept_;
    NotificationFeed feed_;
};

NovaInventory::NovaInventory(boost::asio::io_context& io, Inventory& inventory, Keystone& keystone,
                             runtime::Metrics& metrics, NovaInventoryConfig config)
    : impl_(std::make_shared<Impl>(io, inventory, keystone, metrics, std::move(config))) {}

NovaInventory::~NovaInventory() {
    impl_->stop();
}

void NovaInventory::start(Handler& handler) {
    impl_->start(handler);
}

void NovaInventory::use(const runtime::AmqpAccess& access) {
    impl_->use(access);
}

void NovaInventory::reload() {
    impl_->reload();
}

void NovaInventory::stop() {
    impl_->stop();
}

bool NovaInventory::loaded() const {
    return impl_->loaded();
}

base::TimePoint NovaInventory::current_at() const {
    return impl_->polled_at();
}

}  // namespace vitalwire::controller
