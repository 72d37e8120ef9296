#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/text.hpp"
#include "controller/openstack/keystone.hpp"
#include "controller/sinks/http_target.hpp"
#include "controller/sinks/kinds.hpp"
#include "controller/sinks/sink_types.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

namespace {

constexpr const char* kInstanceHa = "instance-ha";

/// Both are acted on; a guest that does not answer is to Masakari what its own guest-agent monitor reports.
const char* event_of(const std::string& kind) {
    return kind == "vm_crashed" ? "LIFECYCLE" : "QEMU_GUEST_AGENT_ERROR";
}

/// Masakari stops and starts a server whose fault it is told of. It knows no update and no clear. While it is at work
/// on a server, another fault of the same guest would only make it start over.
class MasakariSink : public Sink {
public:
    MasakariSink(const SinkContext& context, std::set<std::string> kinds)
        : keystone_(*context.keystone), kinds_(std::move(kinds)) {}

    void deliver(const AlarmEvent& event, Done done) override {
        if (!concerned(event)) return done(Outcome::confirmed());
        HttpClientRequest request;
        request.method = "POST";
        request.url = "/notifications";
        request.body = wire::dump(notification(event));
        keystone_.call(kInstanceHa, std::move(request),
                       [alive = std::weak_ptr(alive_), done = std::move(done)](const auto& response) {
                           if (!alive.expired()) done(outcome(response));
                       });
    }

    bool takes_hosts() const override { return false; }

private:
    bool concerned(const AlarmEvent& event) const {
        const bool news = event.change == AlarmChange::opened && !event.over;
        if (!news || !kinds_.contains(event.alarm.kind) || !base::is_uuid(event.alarm.guest.str())) return false;
        return std::none_of(event.others_open.begin(), event.others_open.end(),
                            [&](const std::string& kind) { return kinds_.contains(kind); });
    }

    static json notification(const AlarmEvent& event) {
        // Masakari's time format has no zone; it is UTC.
        std::string time = base::to_iso8601(event.time());
        time.pop_back();
        return {{"notification",
                 {{"type", "VM"},
                  {"hostname", event.alarm.host.str()},
                  {"generated_time", time},
                  {"payload",
                   {{"event", event_of(event.alarm.kind)},
                    {"instance_uuid", event.alarm.guest.str()},
                    {"vir_domain_event", "STOPPED_FAILED"}}}}}};
    }

    static Outcome outcome(const base::Result<HttpClientResponse>& response) {
        if (!response) return Outcome::retry(response.error().message);
        if (response->status == 202) return Outcome::confirmed();
        // The same notification within Masakari's three minutes: it has ours. Of a host under maintenance it takes
        // none.
        const bool duplicate = response->status == 409 && response->body.find("maintenance") == std::string::npos;
        if (duplicate) return Outcome::confirmed();
        if (response->status / 100 == 2)
            return Outcome::retry("HTTP " + std::to_string(response->status) + ", Masakari says 202");
        return outcome_of(response);
    }

    Keystone& keystone_;
    std::set<std::string> kinds_;
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< an answer that finds it gone is nobody's
};

}  // namespace

SinkFactory configure_masakari_sink(runtime::ConfigReader& section) {
    const auto kinds = read_kinds(section);
    return [kinds](const SinkContext& context) { return std::make_unique<MasakariSink>(context, kinds); };
}

}  // namespace vitalwire::controller
