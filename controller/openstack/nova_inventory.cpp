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
constexpr const char* kBadSpecs = "flavors have extra specs that cannot be used";

constexpr base::Millis kFirstRetry{1'000};
constexpr base::Millis kLongestRetry{60'000};
/// Servers asked for by id at once; the rest waits.
constexpr std::size_t kAskedAtOnce = 8;
/// Of one audit: the others are found missing again by the next one.
constexpr std::size_t kMissingAsked = 500;
constexpr std::size_t kShownProblems = 5;

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

}  // namespace

class NovaInventory::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(boost::asio::io_context& io, Inventory& inventory, Keystone& keystone, runtime::Metrics& metrics,
         NovaInventoryConfig config)
        : config_(std::move(config)),
          inventory_(inventory),
          view_(inventory),
          client_(keystone),
          look_timer_(io),
          feed_(io, config_.feed,
                {[this](const auto& bodies) { notified(bodies); }, [this] { listening(); },
                 [this](const std::string& why) { not_listening(why); }}) {
        const auto counter = [&](const std::string& what, const std::string& help) {
            return metrics.counter("vitalwire_controller_nova_" + what + "_total", help);
        };
        received_ = counter("notifications", "Notifications of Nova's that arrived.");
        unused_ = counter("notifications_unused", "Of these, repetitions and events that say nothing new.");
        malformed_ = counter("notifications_malformed", "Of these, messages that could not be read.");
        looks_ = counter("looks", "Looks at what Nova lists that came to their end.");
        failed_looks_ = counter("looks_failed", "Looks at what Nova lists that failed.");
        kept_ = counter("servers_kept", "Servers and groups that Nova did not list and did not answer to be gone.");
        listening_ = std::make_shared<bool>(false);
        metrics.gauge("vitalwire_controller_nova_listening", "1 while Nova's notifications are received.",
                      [up = listening_] { return *up ? 1.0 : 0.0; });
    }

    void start(Handler& handler) {
        handler_ = &handler;
        look();
        feed_.start();
    }

    void stop() {
        handler_ = nullptr;
        look_timer_.cancel();
        feed_.stop();
    }

    void reload() {
        audit_at_ = {};
        look_soon();
    }

    bool loaded() const { return loaded_; }

private:
    /// One pass over Nova's lists. What they say is used page by page: a large cloud must not hold up the loop.
    struct Look {
        bool complete = false;
        std::size_t changes = 0;
        std::string changed_since;     ///< the newest change that was listed
        std::vector<GuestId> missing;  ///< not asked for yet
        std::vector<GuestId> gone;
        std::vector<GroupId> missing_groups;
        std::vector<GroupId> gone_groups;
        std::size_t asking = 0;
    };
    using LookPtr = std::shared_ptr<Look>;

    template <class T>
    NovaClient::Page<T> take(const LookPtr& look) {
        return [self = shared_from_this(), look](const T& page) {
            if (self->handler_ != nullptr) self->taken(look, page);
        };
    }

    NovaClient::Done<void> then(void (Impl::*next)(const LookPtr&), const LookPtr& look) {
        return [self = shared_from_this(), look, next](const Result<void>& listed) {
            if (self->handler_ == nullptr) return;
            if (!listed) return self->failed(listed.error());
            (self.get()->*next)(look);
        };
    }

    void look_soon() {
        if (looking_) {
            look_again_ = true;
            return;
        }
        look();
    }

    void look() {
        looking_ = true;
        look_again_ = false;
        view_.begin_look();
        auto look = std::make_shared<Look>();
        const base::TimePoint now = base::Clock::now();
        look->complete = !loaded_ || changed_since_.empty() || now >= audit_at_;
        if (look->complete) began_complete_ = now;
        client_.list_groups(take<NovaClient::Groups>(look), then(&Impl::list_servers, look));
    }

    /// After the groups: servers are found with their group then.
    void list_servers(const LookPtr& look) {
        client_.list_servers(look->complete ? "" : changed_since_, take<NovaClient::Servers>(look),
                             then(&Impl::find_missing, look));
    }

    void taken(const LookPtr& look, const NovaClient::Groups& groups) { used(look, view_.take(groups)); }

    void taken(const LookPtr& look, const NovaClient::Servers& servers) {
        for (const NovaServer& server : servers)
            look->changed_since = std::max(look->changed_since, server.updated_at);
        used(look, view_.take(servers));
    }

    /// At the first load everything is new: it is told at its end.
    void used(const LookPtr& look, const std::vector<GuestChange>& changes) {
        look->changes += changes.size();
        if (loaded_) changed(changes, false);
    }

    void find_missing(const LookPtr& look) {
        if (look->complete) look->missing = view_.missing();
        look->missing_groups = view_.missing_groups();
        keep_above_bound(look->missing);
        keep_above_bound(look->missing_groups);
        ask_for_missing(look);
    }

    template <class T>
    void keep_above_bound(std::vector<T>& missing) {
        if (missing.size() <= kMissingAsked) return;
        kept_.add(static_cast<double>(missing.size() - kMissingAsked));
        missing.resize(kMissingAsked);
    }

    void ask_for_missing(const LookPtr& look) {
        while (look->asking < kAskedAtOnce && !look->missing.empty()) {
            const GuestId guest = look->missing.back();
            look->missing.pop_back();
            ++look->asking;
            client_.get_server(guest, [self = shared_from_this(), look, guest](const auto& got) {
                if (self->handler_ == nullptr) return;
                self->note_missing(look, got && (!*got || (*got)->deleted), guest, look->gone);
            });
        }
        while (look->asking < kAskedAtOnce && !look->missing_groups.empty()) {
            const GroupId group = look->missing_groups.back();
            look->missing_groups.pop_back();
            ++look->asking;
            client_.get_group(group, [self = shared_from_this(), look, group](const auto& got) {
                if (self->handler_ == nullptr) return;
                if (got && *got) self->taken(look, NovaClient::Groups{**got});
                self->note_missing(look, got && !*got, group, look->gone_groups);
            });
        }
        if (look->asking == 0) finish(look);
    }

    template <class T>
    void note_missing(const LookPtr& look, bool is_gone, const T& id, std::vector<T>& gone) {
        --look->asking;
        if (is_gone) gone.push_back(id);
        if (!is_gone) kept_.add();
        ask_for_missing(look);
    }

    void finish(const LookPtr& look) {
        changed_since_ = std::max(changed_since_, look->changed_since);
        const auto changes = view_.end_look(look->gone, look->gone_groups);
        look->changes += changes.size();
        looks_.add();
        if (look->complete) audit_at_ = began_complete_ + config_.audit;
        if (!std::exchange(loaded_, true) || look->changes > 0)
            log::info("inventory looked up in Nova", {{"guests", inventory_.guests().size()},
                                                      {"groups", inventory_.groups().size()},
                                                      {"changes", look->changes}});
        backoff_ = kFirstRetry;
        ended(config_.look);
        tell_problem(kNotListed, "");
        changed(changes, true);
    }

    void failed(const base::Error& error) {
        view_.abandon_look();
        failed_looks_.add();
        ended(std::min(backoff_, config_.look));
        backoff_ = std::min(backoff_ * 2, kLongestRetry);
        tell_problem(kNotListed, error.message + (loaded_ ? "; what it said last still counts" : ""));
    }

    void ended(base::Millis next) {
        looking_ = false;
        if (look_again_) next = base::Millis(0);
        look_timer_.after(next, [this] { look_soon(); });
    }

    void listening() {
        if (handler_ == nullptr) return;
        *listening_ = true;
        log::info("receiving Nova's notifications", {{"queue", config_.feed.queue}});
        tell_problem(kNoNotifications, "");
        look_soon();  // for what was not heard
    }

    void not_listening(const std::string& why) {
        if (handler_ == nullptr) return;
        *listening_ = false;
        tell_problem(kNoNotifications, why);
    }

    void notified(const std::vector<std::string>& bodies) {
        if (handler_ == nullptr) return;
        received_.add(static_cast<double>(bodies.size()));
        std::vector<GuestChange> changes;
        for (const std::string& body : bodies)
            apply(body, changes);
        // Before the first look ended nobody knows what a change changes: it finds the state after these.
        if (loaded_) changed(changes, false);
    }

    void apply(const std::string& body, std::vector<GuestChange>& changes) {
        const auto notification = read_notification(body);
        if (!notification) {
            malformed_.add();
            if (!std::exchange(said_malformed_, true))
                log::warning("a notification could not be read; others are counted only",
                             {{"why", notification.error().message}});
            return;
        }
        auto effect = view_.apply(*notification, base::Clock::now());
        if (!effect.used) unused_.add();
        std::move(effect.changes.begin(), effect.changes.end(), std::back_inserter(changes));
        for (const GuestId& guest : effect.ask) {
            if (asked_.insert(guest).second) ask_for_flavor(guest);
        }
    }

    /// Unversioned notifications do not say what the flavor asks for. Unanswered: the next look finds the server among
    /// those that changed.
    void ask_for_flavor(const GuestId& guest) {
        client_.get_server(guest, [self = shared_from_this(), guest](const auto& got) {
            if (self->handler_ == nullptr) return;
            self->asked_.erase(guest);
            if (got && *got) self->changed(self->view_.answer(**got), false);
        });
    }

    void changed(const std::vector<GuestChange>& changes, bool always) {
        tell_problem(kBadSpecs, summary(view_.spec_problems()));
        if (handler_ != nullptr && (always || !changes.empty())) handler_->on_inventory_changed(changes);
    }

    void tell_problem(const std::string& what, const std::string& detail) {
        if (handler_ != nullptr) handler_->on_inventory_problem(what, detail);
    }

    const NovaInventoryConfig config_;
    Inventory& inventory_;
    NovaView view_;
    NovaClient client_;
    Handler* handler_ = nullptr;
    bool loaded_ = false;
    bool looking_ = false;
    bool look_again_ = false;
    std::string changed_since_;  ///< by Nova's clock: the newest change that was listed
    base::TimePoint audit_at_{};
    base::TimePoint began_complete_{};
    base::Millis backoff_ = kFirstRetry;
    std::unordered_set<GuestId> asked_;
    bool said_malformed_ = false;
    std::shared_ptr<bool> listening_;
    runtime::Timer look_timer_;
    runtime::Counter received_, unused_, malformed_, looks_, failed_looks_, kept_;
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

void NovaInventory::reload() {
    impl_->reload();
}

void NovaInventory::stop() {
    impl_->stop();
}

bool NovaInventory::loaded() const {
    return impl_->loaded();
}

}  // namespace vitalwire::controller
