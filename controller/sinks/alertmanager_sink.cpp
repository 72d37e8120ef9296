#include <algorithm>
#include <chrono>
#include <ctime>
#include <iomanip>
#include <locale>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "controller/sinks/http_target.hpp"
#include "controller/sinks/sink_types.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::Errc;
using base::fail;
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
/// 20 000 alerts of ours.
constexpr wire::JsonLimits kAlertsLimits{16, 1'000'000};

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

/// "Sun, 29 Nov 2026 09:25:56 GMT"; absent for what is no such date.
std::optional<base::WallTime> read_http_date(const std::string& text) {
    std::tm fields{};
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    in >> std::get_time(&fields, "%a, %d %b %Y %H:%M:%S");
    if (in.fail()) return std::nullopt;
    return std::chrono::system_clock::from_time_t(::timegm(&fields));
}

/// The wall clock of a receiver, as the Date header of its answers has it. It is accurate to a second: a smaller
/// difference counts as none.
class ReceiverClock {
public:
    bool known() const { return known_; }
    base::WallTime now() const { return std::chrono::system_clock::now() + ahead_; }

    void learn(const HttpClientResponse& response) {
        const auto header = response.headers.find("date");
        const auto date = header == response.headers.end() ? std::nullopt : read_http_date(header->second);
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
/// loses alerts when it restarts, and ends them at a time that each has to name: reconciling resends what it does not
/// show, and what would end soon. Its times are those of its own clock, never of an agent's.
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
        get_alerts([this, event, done = std::move(done)](const Result<json>& alerts) {
            if (!alerts) return done(Outcome::retry(alerts.error().message));
            auto shown = labels_shown(*alerts, event.alarm);
            if (shown.empty()) shown.push_back(labels_of(event.alarm));
            post(shown, event, done);
        });
    }

    std::optional<base::Millis> reconcile_interval() const override { return options_.reconcile_interval; }

    void list(Listed listed) override {
        get_alerts([this, listed = std::move(listed)](const Result<json>& alerts) {
            if (!alerts) return listed(tl::make_unexpected(alerts.error()));
            listed(shown_in(*alerts));
        });
    }

private:
    void post(const std::vector<Labels>& alerts, const AlarmEvent& event, const Done& done) {
        json body = json::array();
        for (const Labels& labels : alerts)
            body.push_back(to_alert(labels, event));
        HttpClientRequest request = options_.request;
        request.method = "POST";
        request.url += kAlerts;
        request.body = wire::dump(body);
        send(std::move(request), [done](const auto& response) { done(outcome_of(response)); });
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

    void get_alerts(std::function<void(const Result<json>&)> got) {
        HttpClientRequest request = options_.request;
        request.url += std::string(kAlerts) + kOurAlerts;
        send(std::move(request), [got = std::move(got)](const Result<HttpClientResponse>& response) {
            if (!response) return got(tl::make_unexpected(response.error()));
            if (response->status != 200) return got(fail(Errc::unavailable, outcome_of(response).why));
            auto alerts = wire::parse_array(response->body, kAlertsLimits);
            if (!alerts) return got(fail(Errc::malformed, "Alertmanager's list of alerts: " + alerts.error().message));
            got(std::move(alerts));
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

    /// Its alarms of a guest, kind and host, whichever fault raised them; and what this fault raised, however its host
    /// was spelled then.
    static std::vector<Labels> labels_shown(const json& alerts, const Alarm& alarm) {
        std::vector<Labels> shown;
        for (const json& alert : alerts) {
            const json* labels = wire::find(alert, "labels");
            const json* annotations = wire::find(alert, "annotations");
            const bool its_own = annotations != nullptr && wire::text_or(*annotations, "fault_id") == alarm.id.str();
            const bool same = labels != nullptr && wire::text_or(*labels, "kind") == alarm.kind &&
                              wire::text_or(*labels, "instance_id") == alarm.guest.str() &&
                              (its_own || wire::text_or(*labels, "host") == alarm.host.str()) &&
                              (alarm.kind != kSinkFailing || wire::text_or(*labels, "sink") == alarm.detail);
            if (!same) continue;
            Labels& found = shown.emplace_back();
            for (const auto& [name, value] : labels->items())
                found[name] = wire::text_or(*labels, name.c_str());
        }
        return shown;
    }

    std::vector<ShownAlarm> shown_in(const json& alerts) const {
        // Half of its life is time enough to send it again.
        const base::WallTime soon = clock_.now() + options_.lifetime / 2;
        std::vector<ShownAlarm> shown;
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
        return shown;
    }

    runtime::HttpClient& http_;
    Options options_;
    ReceiverClock clock_;
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
