#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "controller/sinks/http_target.hpp"
#include "controller/sinks/sink_types.hpp"
#include "runtime/http/http_date.hpp"
#include "runtime/http/retry_after.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::Result;
using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

namespace {

constexpr const char* kAlerts = "/api/v2/alerts";
/// source="vitalwire", also of alerts that are silenced or inhibited.
constexpr const char* kOurAlerts = "?filter=source%3D%22vitalwire%22";
/// Where the runbook is installed; an operator who has it on a web server names that.
constexpr const char* kRunbook = "file:///usr/share/doc/vitalwire/runbook/{kind}.md";
constexpr std::string_view kKindOf = "{kind}";
/// Alarms whose alerts are asked for together: some 3 KB of URL, which a proxy has to pass.
constexpr std::size_t kAskedTogether = 64;
/// All alerts of ours are listed in pieces, by how the guest's id begins: Alertmanager has no pages, and to read 10 000
/// at once takes 0.2 s, in which the event loop does nothing else. The last piece has what is no uuid, and hosts.
constexpr std::array<const char*, 17> kPieces = {
    "%3D~%220.*%22", "%3D~%221.*%22", "%3D~%222.*%22", "%3D~%223.*%22", "%3D~%224.*%22",         "%3D~%225.*%22",
    "%3D~%226.*%22", "%3D~%227.*%22", "%3D~%228.*%22", "%3D~%229.*%22", "%3D~%22a.*%22",         "%3D~%22b.*%22",
    "%3D~%22c.*%22", "%3D~%22d.*%22", "%3D~%22e.*%22", "%3D~%22f.*%22", "!~%22%5B0-9a-f%5D.*%22"};
/// 20 000 alerts of ours.
constexpr wire::JsonLimits kAlertsLimits{16, 1'000'000};

/// A regular expression that `id` matches, of characters that need no escape in it, in a matcher or in a URL. It may
/// match others, too.
std::string pattern_of(const std::string& id) {
    std::string pattern;
    for (const char letter : id) {
        const bool plain = (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') ||
                           (letter >= 'A' && letter <= 'Z') || letter == '-' || letter == '_';
        if (plain) pattern += letter;
        if (!plain && !pattern.ends_with(".*")) pattern += ".*";
    }
    return pattern;
}

/// "VitalwireHeartbeatLost" for heartbeat_lost.
std::string alert_name(std::string_view kind) {
    std::string name = "Vitalwire";
    bool first = true;
    for (const char letter : kind) {
        const bool capital = std::exchange(first, letter == '_') && letter >= 'a' && letter <= 'z';
        if (letter != '_') name += capital ? static_cast<char>(letter - 'a' + 'A') : letter;
    }
    return name;
}

/// Alertmanager writes milliseconds; the epoch for what is no time.
base::WallTime read_time(std::string text) {
    constexpr std::size_t kWithMillis = 24;  // 2026-11-22T06:05:08.123Z
    if (text.size() == kWithMillis) text.insert(kWithMillis - 1, "000");
    return base::from_iso8601(text);
}

/// The wall clock of a receiver, as the Date header of its answers has it. It is accurate to a second: a smaller
/// difference counts as none.
class ReceiverClock {
public:
    bool known() const { return known_; }
    base::WallTime now() const { return std::chrono::system_clock::now() + ahead_; }

    void learn(const HttpClientResponse& response) {
        const auto header = response.headers.find("date");
        const auto date = header == response.headers.end() ? std::nullopt : runtime::parse_http_date(header->second);
        known_ = true;  // there will be no better answer
        if (!date) return;
        const auto ahead = *date - std::chrono::system_clock::now();
        ahead_ = std::chrono::abs(ahead) < kAccuracy ? base::WallTime::duration{} : ahead;
    }

private:
    static constexpr base::Millis kAccuracy{2'000};
    bool known_ = false;
    base::WallTime::duration ahead_{};
};

/// What Alertmanager shows, or why it could not be read.
using Alerts = tl::expected<json, Outcome>;

/// What identifies an alert: its labels.
using Labels = std::map<std::string, std::string>;

/// "heartbeat_lost of web-1 (0f8f...) on compute-1": the one line that most receivers show has to name both.
std::string summary_of(const Alarm& alarm) {
    std::string summary = alarm.kind;
    if (!alarm.guest.empty()) {
        const std::string& name = alarm.display_name.empty() ? alarm.guest_name : alarm.display_name;
        summary += " of " + (name.empty() ? alarm.guest.str() : name + " (" + alarm.guest.str() + ")");
    }
    return summary + " on " + alarm.host.str();
}

Labels labels_of(const Alarm& alarm) {
    Labels labels = {{"alertname", alert_name(alarm.kind)},
                     {"source", "vitalwire"},
                     {"severity", alarm.severity},
                     {"kind", alarm.kind},
                     {"host", alarm.host.str()},
                     {"instance", alarm.guest.str()},
                     {"instance_id", alarm.guest.str()},
                     {"group", alarm.group_name.empty() ? alarm.group.str() : alarm.group_name},
                     {"project", alarm.project},
                     {"sink", alarm.kind == kSinkFailing ? alarm.detail : ""}};
    std::erase_if(labels, [](const auto& label) { return label.second.empty(); });
    return labels;
}

/// Prometheus Alertmanager, API v2. An alert is what its labels are. Those of group and project can change while a
/// fault lasts; so an update and a clear go to what Alertmanager shows of this alarm, whatever its labels were then. It
/// is asked for the alerts of these guests alone, one question at a time for all that wait: it answers few at once, and
/// they belong to all its clients. It loses alerts when it restarts, and ends them at a time that each has to name:
/// reconciling resends what it does not show, and what would end soon. Its times are those of its own clock, never of
/// an agent's.
class AlertmanagerSink : public Sink {
public:
    struct Options {
        HttpClientRequest request;
        base::Millis reconcile_interval{};
        base::Millis lifetime{};
        std::string runbook;  ///< its URL, with kKindOf where the fault's kind belongs
    };

    AlertmanagerSink(const SinkContext& context, Options options) : http_(context.http), options_(std::move(options)) {}

    void deliver(const AlarmEvent& event, Done done) override {
        if (event.change == AlarmChange::opened && clock_.known()) return post({labels_of(event.alarm)}, event, done);
        waiting_.push_back({event, std::move(done)});
        if (!asking_) ask_for_waiting();
    }

    std::optional<base::Millis> reconcile_interval() const override { return options_.reconcile_interval; }

    void list(Listed listed) override { list_piece(0, std::make_shared<std::vector<ShownAlarm>>(), std::move(listed)); }

private:
    /// To be sent to the alerts that Alertmanager shows of it.
    struct Delivery {
        AlarmEvent event;
        Done done;
    };

    void list_piece(std::size_t piece, const std::shared_ptr<std::vector<ShownAlarm>>& shown, Listed listed) {
        if (piece == kPieces.size()) return listed(std::move(*shown));
        get_alerts(std::string("&filter=instance_id") + kPieces.at(piece),
                   [this, piece, shown, listed = std::move(listed)](const Alerts& alerts) {
                       if (!alerts) return listed(tl::make_unexpected(alerts.error()));
                       add_shown(*alerts, *shown);
                       list_piece(piece + 1, shown, listed);
                   });
    }

    void ask_for_waiting() {
        asking_ = !waiting_.empty();
        if (!asking_) return;
        const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), kAskedTogether));
        std::vector<Delivery> asked(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
        waiting_.erase(waiting_.begin(), end);
        std::set<std::string> patterns;  // of an alarm of a host: empty, as the label that its alert lacks
        for (const Delivery& delivery : asked)
            patterns.insert(pattern_of(delivery.event.alarm.guest.str()));
        std::string filter;
        for (const std::string& pattern : patterns)
            filter += (filter.empty() ? "&filter=instance_id%3D~%22(" : "%7C") + pattern;
        get_alerts(filter + ")%22", [this, asked = std::move(asked)](const Alerts& alerts) {
            std::vector<Delivery> answered = asked;
            // Whatever waits would ask in spite of Retry-After.
            const bool asked_to_wait = !alerts && alerts.error().delay > base::Millis(0);
            if (asked_to_wait) {
                for (Delivery& delivery : std::exchange(waiting_, {}))
                    answered.push_back(std::move(delivery));
            }
            for (const Delivery& delivery : answered)
                deliver_to(alerts, delivery);
            ask_for_waiting();
        });
    }

    /// An end is that of this fault's alert. Another fault's with the same labels, perhaps of another controller, has
    /// an end of its own, or runs out.
    void deliver_to(const Alerts& alerts, const Delivery& delivery) {
        if (!alerts) return delivery.done(alerts.error());
        const Shown shown = labels_shown(*alerts, delivery.event.alarm);
        if (delivery.event.change != AlarmChange::cleared) {
            std::vector<Labels> all = shown.its_own;
            all.insert(all.end(), shown.others.begin(), shown.others.end());
            if (all.empty()) all.push_back(labels_of(delivery.event.alarm));
            return post(all, delivery.event, delivery.done);
        }
        if (!shown.its_own.empty()) return post(shown.its_own, delivery.event, delivery.done);
        if (!shown.others.empty())
            return delivery.done(Outcome::skipped("Alertmanager shows the alert of another fault in its place"));
        post({labels_of(delivery.event.alarm)}, delivery.event, delivery.done);
    }

    void post(const std::vector<Labels>& alerts, const AlarmEvent& event, const Done& done) {
        json body = json::array();
        for (const Labels& labels : alerts)
            body.push_back(to_alert(labels, event));
        HttpClientRequest request = options_.request;
        request.method = "POST";
        request.url += kAlerts;
        request.body = wire::dump(body);
        send(std::move(request), [done](const auto& response) { done(outcome_of_post(response)); });
    }

    static std::string other_success(const HttpClientResponse& response) {
        return "HTTP " + std::to_string(response.status) + ", expected Alertmanager's 200";
    }

    /// It answers 200 and nothing in it, or an object. What stands before it answers otherwise, with a page to log in
    /// for one.
    static Outcome outcome_of_post(const Result<HttpClientResponse>& response) {
        Outcome outcome = outcome_of(response);
        if (outcome.kind != Outcome::Kind::confirmed) return outcome;
        if (response->status != 200) return Outcome::retry(other_success(*response));
        const bool its_own = response->body.empty() || wire::parse_object(response->body, kAlertsLimits) ||
                             wire::parse_array(response->body, kAlertsLimits);
        return its_own ? outcome : Outcome::retry("HTTP 200 with a body that is not Alertmanager's");
    }

    json to_alert(const Labels& labels, const AlarmEvent& event) const {
        const Alarm& alarm = event.alarm;
        const base::WallTime now = clock_.now();
        const base::WallTime starts = std::min(alarm.opened_at, now);
        const base::WallTime ends =
            alarm.cleared_at ? std::clamp(*alarm.cleared_at, starts, now) : now + options_.lifetime;
        return {{"labels", labels},
                {"annotations", annotations_of(event)},
                {"startsAt", base::to_iso8601(starts)},
                {"endsAt", base::to_iso8601(ends)}};
    }

    json annotations_of(const AlarmEvent& event) const {
        const Alarm& alarm = event.alarm;
        json annotations = {{"summary", summary_of(alarm)},
                            {"description", describe(event)},
                            {"fault_id", alarm.id.str()},
                            {"opened_at", base::to_iso8601(alarm.opened_at)}};
        const auto annotate = [&](const char* key, const std::string& text) {
            if (!text.empty()) annotations[key] = text;
        };
        annotate("runbook_url", runbook_of(alarm.kind));
        annotate("detail", alarm.detail);
        annotate("reason", alarm.reason);
        annotate("corrective_action", alarm.corrective_action);
        annotate("display_name", alarm.display_name);
        annotate("guest_name", alarm.guest_name);
        annotate("group_id", alarm.group.str());
        annotate("cleared_at", alarm.cleared_at ? base::to_iso8601(*alarm.cleared_at) : "");
        annotate("clear_reason", alarm.clear_reason);
        return annotations;
    }

    std::string runbook_of(const std::string& kind) const {
        std::string url = options_.runbook;
        const std::size_t at = url.find(kKindOf);
        return at == std::string::npos ? url : url.replace(at, kKindOf.size(), kind);
    }

    void get_alerts(const std::string& filter, std::function<void(const Alerts&)> got) {
        HttpClientRequest request = options_.request;
        request.url += kAlerts + (kOurAlerts + filter);
        send(std::move(request), [got = std::move(got)](const Result<HttpClientResponse>& response) {
            const auto failed = [&](std::string why, base::Millis delay = {}) {
                got(tl::make_unexpected(Outcome::retry(std::move(why), delay)));
            };
            if (!response) return failed(response.error().message);
            if (response->status / 100 != 2) return failed(outcome_of(response).why, runtime::retry_after(*response));
            if (response->status != 200) return failed(other_success(*response));
            auto alerts = wire::parse_array(response->body, kAlertsLimits);
            if (!alerts) return failed("Alertmanager's list of alerts: " + alerts.error().message);
            got(std::move(*alerts));
        });
    }

    void send(HttpClientRequest request, std::function<void(const Result<HttpClientResponse>&)> answered) {
        http_.send(std::move(request), [this, answered = std::move(answered),
                                        alive = std::weak_ptr(alive_)](const Result<HttpClientResponse>& response) {
            if (alive.expired()) return;
            if (response) clock_.learn(*response);
            answered(response);
        });
    }

    struct Shown {
        std::vector<Labels> its_own;  ///< what this fault raised, however its host was spelled then
        std::vector<Labels> others;   ///< what others of its guest, kind and host raised
    };

    static Shown labels_shown(const json& alerts, const Alarm& alarm) {
        Shown shown;
        for (const json& alert : alerts) {
            const json* labels = wire::find(alert, "labels");
            const json* annotations = wire::find(alert, "annotations");
            const bool its_own = annotations != nullptr && wire::text_or(*annotations, "fault_id") == alarm.id.str();
            const bool same = labels != nullptr && wire::text_or(*labels, "kind") == alarm.kind &&
                              wire::text_or(*labels, "instance_id") == alarm.guest.str() &&
                              (its_own || wire::text_or(*labels, "host") == alarm.host.str()) &&
                              (alarm.kind != kSinkFailing || wire::text_or(*labels, "sink") == alarm.detail);
            if (!same) continue;
            Labels& found = (its_own ? shown.its_own : shown.others).emplace_back();
            for (const auto& [name, value] : labels->items())
                found[name] = wire::text_or(*labels, name.c_str());
        }
        return shown;
    }

    void add_shown(const json& alerts, std::vector<ShownAlarm>& shown) const {
        // Half of its life is time enough to send it again.
        const base::WallTime soon = clock_.now() + options_.lifetime / 2;
        for (const json& alert : alerts) {
            const json* labels = wire::find(alert, "labels");
            const json* annotations = wire::find(alert, "annotations");
            if (labels == nullptr || annotations == nullptr) continue;
            const std::string kind = wire::text_or(*labels, "kind");
            if (kind.empty()) continue;
            shown.push_back({base::GuestId(wire::text_or(*labels, "instance_id")), kind,
                             base::FaultId(wire::text_or(*annotations, "fault_id")),
                             read_time(wire::text_or(alert, "endsAt")) <= soon});
        }
    }

    runtime::HttpClient& http_;
    Options options_;
    ReceiverClock clock_;
    std::vector<Delivery> waiting_;
    bool asking_ = false;
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< an answer that finds it gone is nobody's
};

}  // namespace

SinkFactory configure_alertmanager_sink(runtime::ConfigReader& section) {
    AlertmanagerSink::Options options;
    options.request = read_http_target(section);
    while (options.request.url.ends_with('/'))
        options.request.url.pop_back();
    options.reconcile_interval = section.duration("reconcile_interval", std::chrono::minutes(1),
                                                  std::chrono::seconds(1), std::chrono::hours(24));
    options.lifetime =
        section.duration("lifetime", std::chrono::hours(1), std::chrono::seconds(10), std::chrono::hours(24 * 7));
    options.runbook = section.text("runbook_url", kRunbook);
    if (options.lifetime < 4 * options.reconcile_interval)
        section.refuse("lifetime", "expected at least four times the reconcile_interval");
    return [options](const SinkContext& context) { return std::make_unique<AlertmanagerSink>(context, options); };
}

}  // namespace vitalwire::controller
