#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

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

/// Prometheus Alertmanager, API v2. An alert is what its labels are: they hold only what never changes while a fault
/// lasts. Alertmanager forgets alerts when it restarts, and ends them at a time that each has to name: the audit tells
/// again what it does not show, and what would end soon.
class AlertmanagerSink : public Sink {
public:
    struct Options {
        HttpClientRequest request;
        base::Millis audit{};
        base::Millis lifetime{};
    };

    AlertmanagerSink(const SinkContext& context, Options options) : http_(context.http), options_(std::move(options)) {}

    void deliver(const AlarmEvent& event, Done done) override {
        HttpClientRequest request = options_.request;
        request.method = "POST";
        request.url += kAlerts;
        request.body = wire::dump(json::array({to_alert(event)}));
        http_.send(std::move(request), [done = std::move(done)](const auto& response) { done(outcome_of(response)); });
    }

    std::optional<base::Millis> audit_interval() const override { return options_.audit; }

    void list(Listed listed) override {
        HttpClientRequest request = options_.request;
        request.url += std::string(kAlerts) + kOurAlerts;
        // Half of its life is time enough to tell it again.
        const base::WallTime soon = std::chrono::system_clock::now() + options_.lifetime / 2;
        http_.send(std::move(request),
                   [listed = std::move(listed), soon](const auto& response) { listed(shown_in(response, soon)); });
    }

private:
    json to_alert(const AlarmEvent& event) const {
        const Alarm& alarm = event.alarm;
        json annotations = {{"summary", describe(event)}, {"fault_id", alarm.id.str()}, {"detail", alarm.detail}};
        const auto annotate = [&](const char* key, const std::string& text) {
            if (!text.empty()) annotations[key] = text;
        };
        annotate("reason", alarm.reason);
        annotate("corrective_action", alarm.corrective_action);
        annotate("display_name", alarm.display_name);
        annotate("group", alarm.group.str());
        annotate("project", alarm.project);
        annotate("clear_reason", alarm.clear_reason);
        json labels = {{"alertname", alert_name(alarm.kind)},
                       {"source", "vitalwire"},
                       {"severity", alarm.severity},
                       {"kind", alarm.kind},
                       {"host", alarm.host.str()}};
        if (!alarm.guest.empty()) labels["instance_id"] = alarm.guest.str();
        if (alarm.kind == kSinkFailing) labels["sink"] = alarm.detail;
        return {{"labels", std::move(labels)},
                {"annotations", std::move(annotations)},
                {"startsAt", base::to_iso8601(alarm.opened_at)},
                {"endsAt",
                 base::to_iso8601(alarm.cleared_at.value_or(std::chrono::system_clock::now() + options_.lifetime))}};
    }

    static Result<std::vector<ShownAlarm>> shown_in(const Result<HttpClientResponse>& response, base::WallTime soon) {
        if (!response) return tl::make_unexpected(response.error());
        if (response->status != 200) return fail(Errc::unavailable, outcome_of(response).why);
        const auto alerts = wire::parse_array(response->body, kAlertsLimits);
        if (!alerts) return fail(Errc::malformed, "Alertmanager's list of alerts: " + alerts.error().message);
        std::vector<ShownAlarm> shown;
        for (const json& alert : *alerts) {
            const json* labels = wire::find(alert, "labels");
            const json* annotations = wire::find(alert, "annotations");
            if (labels == nullptr || annotations == nullptr) continue;
            const bool lasts = read_time(wire::text_or(alert, "endsAt")) > soon;
            const std::string kind = wire::text_or(*labels, "kind");
            if (lasts && !kind.empty())
                shown.push_back({base::GuestId(wire::text_or(*labels, "instance_id")), kind,
                                 base::FaultId(wire::text_or(*annotations, "fault_id"))});
        }
        return shown;
    }

    runtime::HttpClient& http_;
    Options options_;
};

}  // namespace

SinkFactory configure_alertmanager_sink(runtime::ConfigReader& section) {
    AlertmanagerSink::Options options;
    options.request = read_http_target(section);
    while (options.request.url.ends_with('/'))
        options.request.url.pop_back();
    options.audit = section.duration("audit", std::chrono::minutes(1), std::chrono::seconds(1), std::chrono::hours(24));
    options.lifetime =
        section.duration("lifetime", std::chrono::hours(1), std::chrono::seconds(10), std::chrono::hours(24 * 7));
    if (options.lifetime < 4 * options.audit) section.refuse("lifetime", "expected at least four times the audit");
    return [options](const SinkContext& context) { return std::make_unique<AlertmanagerSink>(context, options); };
}

}  // namespace vitalwire::controller
