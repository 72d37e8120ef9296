#include <algorithm>
#include <chrono>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "controller/model/kinds.hpp"
#include "controller/openstack/keystone.hpp"
#include "controller/sinks/http_target.hpp"
#include "controller/sinks/sink_types.hpp"
#include "runtime/http/retry_after.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

namespace {

constexpr const char* kInstanceHa = "instance-ha";
/// Within this time of the last one Masakari answers 409 to a notification of the same type, host and payload, be it of
/// another failure.
constexpr base::Millis kDuplicateWindow = std::chrono::minutes(3);
/// It takes some 20 s to stop and start a server.
constexpr base::Millis kWhileRecovering{5'000};
constexpr std::size_t kMaxTimes = 100;
constexpr std::size_t kSecondsOfTime = 19;  // 2026-11-22T06:05:08: what Masakari's database keeps of a time
constexpr wire::JsonLimits kNotificationsLimits{16, 50'000};

/// Both are acted on; a guest that does not answer is to Masakari what its own guest-agent monitor reports.
const char* event_of(const std::string& kind) {
    return kind == "vm_crashed" || kind == "stopped_by_host" ? "LIFECYCLE" : "QEMU_GUEST_AGENT_ERROR";
}

/// Masakari's time format has no zone; it is UTC. Whole seconds, so that it is found again as it was sent.
std::string seconds_of(base::WallTime time) {
    return base::to_iso8601(time).substr(0, kSecondsOfTime);
}

std::string time_of(const AlarmEvent& event) {
    return seconds_of(event.alarm.opened_at);
}

/// Maintenance of the host or its segment is a 409, too. The message names the host, which may be called anything.
bool is_duplicate(const HttpClientResponse& response, const base::HostId& host) {
    std::string body = response.body;
    for (std::size_t at = 0; !host.empty() && (at = body.find(host.str(), at)) != std::string::npos;)
        body.erase(at, host.str().size());
    return response.status == 409 && body.find("maintenance") == std::string::npos;
}

/// Masakari stops and starts a server of whose fault it is notified. It has no update and no clear. 202 proves that it
/// has this fault; 409 means only that it has one like it, so its list is read: the notification of this fault is the
/// one of this server, event and time. While it recovers a server another fault of that guest waits, as it would only
/// make Masakari start over; it is sent if it is still open afterwards.
class MasakariSink : public Sink {
public:
    MasakariSink(const SinkContext& context, std::set<std::string> kinds)
        : keystone_(*context.keystone), kinds_(std::move(kinds)) {}

    void deliver(const AlarmEvent& event, Done done) override {
        const std::string useless = why_useless(event);
        if (!useless.empty()) {
            if (event.change != AlarmChange::updated) duplicates_.erase(event.alarm.id);
            return done(Outcome::skipped(useless));
        }
        // What was accepted before a restart, or from another controller, only Masakari knows.
        const bool may_be_recovering = !accepted_.contains(event.alarm.guest) && !others_that_count(event).empty();
        if (may_be_recovering) return look_for_earlier(event, std::move(done));
        send(event, std::move(done));
    }

    bool takes_hosts() const override { return false; }

private:
    void send(const AlarmEvent& event, Done done) {
        if (const Accepted* earlier = recovering(event))
            return done(Outcome::later("Masakari recovers this server because of " +
                                           (earlier->fault.empty() ? earlier->kind : "fault " + earlier->fault.str()),
                                       kWhileRecovering));
        HttpClientRequest request;
        request.method = "POST";
        request.url = "/notifications";
        const bool again = duplicates_.contains(event.alarm.id);
        const std::string time = again ? seconds_of(std::chrono::system_clock::now()) : time_of(event);
        if (again) duplicates_[event.alarm.id].insert(time);
        request.body = wire::dump(notification(event, time));
        call(std::move(request), [this, event, time, done = std::move(done)](const auto& response) {
            if (response && is_duplicate(*response, event.alarm.host)) return look_for(event, time, done);
            end(event, outcome(response), done);
        });
    }

    /// The last fault of a guest that Masakari has accepted.
    struct Accepted {
        base::FaultId fault;  ///< empty: found in its list
        std::string kind;
        base::TimePoint at;
    };

    std::string why_useless(const AlarmEvent& event) const {
        if (event.change == AlarmChange::updated) return "Masakari has no update of a notification";
        if (event.change == AlarmChange::cleared) return "Masakari has no clear of a notification";
        if (!kinds_.contains(event.alarm.kind)) return "its kind is none of this sink's";
        if (!base::is_uuid(event.alarm.guest.str())) return "the guest is no server of Nova's";
        return event.over ? "it was over before Masakari could be notified" : "";
    }

    std::vector<std::string> others_that_count(const AlarmEvent& event) const {
        std::vector<std::string> kinds;
        std::copy_if(event.others_open.begin(), event.others_open.end(), std::back_inserter(kinds),
                     [&](const std::string& kind) { return kinds_.contains(kind); });
        return kinds;
    }

    void look_for_earlier(const AlarmEvent& event, Done done) {
        HttpClientRequest request;
        request.url = "/notifications?type=VM&generated-since=" + seconds_of(event.alarm.opened_at - kDuplicateWindow);
        call(std::move(request), [this, event, done = std::move(done)](const auto& response) {
            Outcome listed = outcome_of(response);
            if (listed.kind != Outcome::Kind::confirmed) return done(std::move(listed));
            const auto body = wire::parse_object(response->body, kNotificationsLimits);
            const json* list = body ? wire::find(*body, "notifications") : nullptr;
            if (list == nullptr || !list->is_array())
                return done(Outcome::retry("Masakari's answer holds no list of notifications"));
            for (const json& entry : *list)
                note_earlier(event, entry);
            send(event, done);
        });
    }

    /// One of another fault of this guest that is open. By two clocks it is as old as it may be, and no older than now.
    void note_earlier(const AlarmEvent& event, const json& entry) {
        const json* payload = wire::find(entry, "payload");
        if (payload == nullptr || wire::text_or(*payload, "instance_uuid") != event.alarm.guest.str()) return;
        const std::string what = wire::text_or(*payload, "event");
        const std::string time = wire::text_or(entry, "generated_time").substr(0, kSecondsOfTime);
        if (what == event_of(event.alarm.kind) && time == time_of(event)) return;
        const auto age = std::chrono::system_clock::now() - base::from_iso8601(time + ".000000Z");
        const auto window = base::WallTime::duration(kDuplicateWindow);
        for (const std::string& kind : others_that_count(event)) {
            if (what != event_of(kind)) continue;
            accepted_[event.alarm.guest] = {
                {}, kind, base::Clock::now() - std::clamp(age, base::WallTime::duration::zero(), window)};
        }
    }

    const Accepted* recovering(const AlarmEvent& event) const {
        const auto earlier = accepted_.find(event.alarm.guest);
        if (earlier == accepted_.end() || earlier->second.fault == event.alarm.id) return nullptr;
        const auto& open = event.others_open;
        const bool lasts = std::find(open.begin(), open.end(), earlier->second.kind) != open.end();
        return lasts && base::Clock::now() - earlier->second.at < kDuplicateWindow ? &earlier->second : nullptr;
    }

    void note_accepted(const AlarmEvent& event) {
        const base::TimePoint now = base::Clock::now();
        std::erase_if(accepted_, [&](const auto& item) { return now - item.second.at >= kDuplicateWindow; });
        accepted_[event.alarm.guest] = {event.alarm.id, event.alarm.kind, now};
    }

    static json notification(const AlarmEvent& event, const std::string& time) {
        return {{"notification",
                 {{"type", "VM"},
                  {"hostname", event.alarm.host.str()},
                  {"generated_time", time + ".000000"},
                  {"payload",
                   {{"event", event_of(event.alarm.kind)},
                    {"instance_uuid", event.alarm.guest.str()},
                    {"vir_domain_event", "STOPPED_FAILED"}}}}}};
    }

    static Outcome outcome(const base::Result<HttpClientResponse>& response) {
        if (!response) return Outcome::retry(response.error().message);
        if (response->status == 202) return Outcome::confirmed();
        if (response->status / 100 == 2)
            return Outcome::retry("HTTP " + std::to_string(response->status) + ", expected Masakari's 202");
        return outcome_of(response);
    }

    /// Masakari compares the times of notifications with each other, not with its clock: what it takes for a duplicate
    /// stays one under the same time, so the next attempt has the time at which it is made.
    void look_for(const AlarmEvent& event, const std::string& time, const Done& done) {
        std::set<std::string>& times = duplicates_[event.alarm.id];
        times.insert(time);
        if (times.size() > kMaxTimes) times.erase(times.begin());

        HttpClientRequest request;
        request.url = "/notifications?type=VM&generated-since=" + time_of(event);
        call(std::move(request), [this, event, done](const auto& response) {
            if (!response) return done(Outcome::retry(response.error().message));
            if (lists(*response, event)) return end(event, Outcome::confirmed(), done);
            if (response->status != 200)
                return done(Outcome::refused(
                    "HTTP 409, and Masakari's list of notifications cannot be read: " + describe_answer(*response),
                    runtime::retry_after(*response)));
            done(Outcome::refused(
                "HTTP 409: Masakari has an earlier notification of this server and takes no other within 3 min"));
        });
    }

    bool lists(const HttpClientResponse& response, const AlarmEvent& event) const {
        if (response.status != 200) return false;
        const auto body = wire::parse_object(response.body, kNotificationsLimits);
        const json* list = body ? wire::find(*body, "notifications") : nullptr;
        if (list == nullptr || !list->is_array()) return false;
        const auto sent = duplicates_.find(event.alarm.id);
        return std::any_of(list->begin(), list->end(), [&](const json& entry) {
            const json* payload = wire::find(entry, "payload");
            return payload != nullptr && wire::text_or(*payload, "instance_uuid") == event.alarm.guest.str() &&
                   wire::text_or(*payload, "event") == event_of(event.alarm.kind) && sent != duplicates_.end() &&
                   sent->second.contains(wire::text_or(entry, "generated_time").substr(0, kSecondsOfTime));
        });
    }

    void end(const AlarmEvent& event, Outcome outcome, const Done& done) {
        if (outcome.kind == Outcome::Kind::confirmed) {
            duplicates_.erase(event.alarm.id);
            note_accepted(event);
        }
        done(std::move(outcome));
    }

    void call(HttpClientRequest request, std::function<void(const base::Result<HttpClientResponse>&)> answered) {
        keystone_.call(kInstanceHa, std::move(request),
                       [alive = std::weak_ptr(alive_), answered = std::move(answered)](const auto& response) {
                           if (!alive.expired()) answered(response);
                       });
    }

    Keystone& keystone_;
    std::set<std::string> kinds_;
    std::unordered_map<base::GuestId, Accepted> accepted_;                 ///< within the window only
    std::unordered_map<base::FaultId, std::set<std::string>> duplicates_;  ///< times under which it was taken for one
    std::shared_ptr<int> alive_ = std::make_shared<int>();                 ///< an answer that finds it gone is nobody's
};

}  // namespace

SinkFactory configure_masakari_sink(runtime::ConfigReader& section) {
    const auto kinds = read_kinds(section);
    return [kinds](const SinkContext& context) { return std::make_unique<MasakariSink>(context, kinds); };
}

}  // namespace vitalwire::controller
