#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "controller/openstack/keystone.hpp"
#include "controller/openstack/vitrage_client.hpp"
#include "controller/sinks/http_target.hpp"
#include "controller/sinks/sink_types.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller {

using nlohmann::json;

namespace {

struct Name {
    std::string_view kind;
    std::string_view alarm;
};
/// What the datasource calls the kinds of fault (controller/vitrage/README.md).
constexpr std::array kNames = {
    Name{"heartbeat_lost", "guest.heartbeat.lost"},
    Name{"vm_crashed", "guest.vm.crashed"},
    Name{"unhealthy", "guest.unhealthy"},
    Name{"not_established", "guest.heartbeat.not_established"},
    Name{"stopped_by_host", "guest.vm.stopped_by_host"},
    Name{"watchdog_fired", "guest.watchdog.fired"},
    Name{"running_twice", "guest.running_twice"},
};

/// When Vitrage is asked after it has taken an event, each time after the answer before; it needs 0.4 s in the median,
/// and the cloud is to know within a second. After the last the event is sent again.
constexpr std::array kAskAfter = {base::Millis(100), base::Millis(100), base::Millis(150),  base::Millis(150),
                                  base::Millis(250), base::Millis(500), base::Millis(1000), base::Millis(1500)};

std::string_view alarm_of(std::string_view kind) {
    for (const Name& name : kNames) {
        if (name.kind == kind) return name.alarm;
    }
    return {};
}

std::string_view kind_of(std::string_view alarm) {
    for (const Name& name : kNames) {
        if (name.alarm == alarm) return name.kind;
    }
    return {};
}

/// Vitrage, through the datasource that this project ships. Vitrage answers 200 to everything: an event counts as sent
/// when the list of alarms agrees with it.
class VitrageSink : public Sink {
public:
    struct Options {
        std::string monitor_id;
        base::Millis reconcile_interval{};
    };

    VitrageSink(const SinkContext& context, Options options)
        : io_(context.io), vitrage_(*context.keystone), options_(std::move(options)) {}

    void deliver(const AlarmEvent& event, Done done) override {
        const std::string_view name = alarm_of(event.alarm.kind);
        if (name.empty())
            return done(Outcome::skipped("Vitrage's datasource has no alarm for a fault '" + event.alarm.kind + "'"));
        if (!base::is_uuid(event.alarm.guest.str()))
            return done(Outcome::skipped("Vitrage takes alarms on Nova's servers: the guest '" +
                                         event.alarm.guest.str() + "' is no uuid"));
        // Vitrage has one alarm for both: it is the other's now, which is open (on another host, after an evacuation).
        if (event.change == AlarmChange::cleared && is_open_elsewhere(event))
            return done(
                Outcome::skipped("another fault of this guest and kind is open, Vitrage has one alarm for both"));
        auto attempt = std::make_shared<Attempt>(io_);
        attempt->alarm = name;
        attempt->instance = event.alarm.guest.str();
        attempt->raised = event.change != AlarmChange::cleared;
        attempt->done = std::move(done);
        vitrage_.post(to_event(event, name), [this, attempt](const auto& response) { posted(attempt, response); });
    }

    bool takes_hosts() const override { return false; }

    std::optional<base::Millis> reconcile_interval() const override { return options_.reconcile_interval; }

    void list(Listed listed) override {
        vitrage_.list([listed = std::move(listed)](const tl::expected<VitrageClient::Alarms, Outcome>& alarms) {
            if (!alarms) return listed(tl::make_unexpected(alarms.error()));
            std::vector<ShownAlarm> shown;
            for (const VitrageAlarm& alarm : *alarms) {
                const std::string_view kind = kind_of(alarm.name);
                if (kind.empty() || alarm.instance.empty()) continue;
                shown.push_back({base::GuestId(alarm.instance), std::string(kind), base::FaultId(alarm.event)});
            }
            listed(shown);
        });
    }

private:
    /// An event that Vitrage was sent, until it is known what came of it.
    struct Attempt {
        explicit Attempt(boost::asio::io_context& io) : timer(io) {}

        std::string alarm;
        std::string instance;
        bool raised = false;
        std::size_t asked = 0;
        runtime::Timer timer;
        Done done;
    };
    using AttemptPtr = std::shared_ptr<Attempt>;

    json to_event(const AlarmEvent& event, std::string_view name) const {
        // The datasource's time format has a fraction and no zone; it is UTC.
        std::string time = base::to_iso8601(event.time());
        time.pop_back();
        const bool cleared = event.change == AlarmChange::cleared;
        return {{"time", time},
                {"type", "vitalwire.heartbeat"},
                {"details",
                 {{"instance_id", event.alarm.guest.str()},
                  {"alarm", name},
                  {"state", cleared ? "up" : "down"},  // not "status": Vitrage renames such events
                  {"severity", event.alarm.severity},
                  {"cause", describe(event)},
                  {"monitor_id", options_.monitor_id},
                  {"monitor_event_id", event.alarm.id.str()}}}};
    }

    void posted(const AttemptPtr& attempt, const base::Result<runtime::HttpClientResponse>& response) {
        Outcome outcome = outcome_of(response);
        if (outcome.kind != Outcome::Kind::confirmed) return attempt->done(std::move(outcome));
        ask_later(attempt);
    }

    void ask_later(const AttemptPtr& attempt) {
        if (attempt->asked == kAskAfter.size()) {
            const char* what = attempt->raised ? "does not show the alarm" : "still shows the alarm";
            return attempt->done(Outcome::retry(std::string("Vitrage took the event and ") + what));
        }
        attempt->timer.after(kAskAfter.at(attempt->asked++), [this, attempt, alive = std::weak_ptr(alive_)] {
            if (!alive.expired()) ask(attempt);
        });
    }

    void ask(const AttemptPtr& attempt) {
        vitrage_.list([this, attempt](const tl::expected<VitrageClient::Alarms, Outcome>& alarms) {
            if (!alarms) return attempt->done(alarms.error());
            if (shows(*alarms, *attempt) == attempt->raised) return attempt->done(Outcome::confirmed());
            ask_later(attempt);
        });
    }

    static bool is_open_elsewhere(const AlarmEvent& event) {
        const auto& others = event.others_open;
        return std::find(others.begin(), others.end(), event.alarm.kind) != others.end();
    }

    static bool shows(const VitrageClient::Alarms& alarms, const Attempt& attempt) {
        return std::any_of(alarms.begin(), alarms.end(), [&](const VitrageAlarm& alarm) {
            return alarm.name == attempt.alarm && alarm.instance == attempt.instance;
        });
    }

    boost::asio::io_context& io_;
    VitrageClient vitrage_;
    Options options_;
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< a timer that finds it gone does nothing
};

}  // namespace

SinkFactory configure_vitrage_sink(runtime::ConfigReader& section) {
    VitrageSink::Options options;
    options.monitor_id = section.text("monitor_id", "vitalwire");
    options.reconcile_interval = section.duration("reconcile_interval", std::chrono::minutes(1),
                                                  std::chrono::seconds(1), std::chrono::hours(24));
    return [options](const SinkContext& context) { return std::make_unique<VitrageSink>(context, options); };
}

}  // namespace vitalwire::controller
