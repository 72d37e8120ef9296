#include <nlohmann/json.hpp>
#include <string_view>

#include "base/text.hpp"
#include "controller/sinks/http_target.hpp"
#include "controller/sinks/sink_types.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;

namespace {

/// Doctor's sample inspector, and what is modelled on it, reads the type alone: an event of this type ends in all
/// servers of the host being set to ERROR, whatever its status is.
constexpr std::string_view kDown = ".down";

/// OPNFV Doctor's southbound interface: an event of time, type and details. The specification has hosts only, so a
/// guest's fault has a type of its own and names the instance in the details. 2xx proves that the receiver has the
/// event; what it does with it cannot be seen.
class DoctorSink : public Sink {
public:
    struct Options {
        runtime::HttpClientRequest request;
        bool list = true;
        std::string event_type;
        std::string host_event_type;
        std::string monitor_id;
    };

    DoctorSink(const SinkContext& context, Options options) : http_(context.http), options_(std::move(options)) {}

    void deliver(const AlarmEvent& event, Done done) override {
        runtime::HttpClientRequest request = options_.request;
        const json body = to_event(event);
        request.body = wire::dump(options_.list ? json::array({body}) : body);
        request.status_only = true;
        http_.send(std::move(request), [done = std::move(done)](const base::Result<runtime::HttpClientResponse>& got) {
            done(outcome_of(got));
        });
    }

private:
    json to_event(const AlarmEvent& event) const {
        const Alarm& alarm = event.alarm;
        // The receivers' time format has a fraction and no zone; it is UTC.
        std::string time = base::to_iso8601(event.time());
        time.pop_back();
        json details = {{"hostname", alarm.host.str()},
                        {"source", "vitalwire"},
                        {"cause", describe(event)},
                        {"severity", alarm.severity},
                        {"status", event.change == AlarmChange::cleared ? "up" : "down"},
                        {"monitor_id", options_.monitor_id},
                        {"monitor_event_id", alarm.id.str() + ":" + std::to_string(alarm.revision)},
                        {"fault_id", alarm.id.str()},
                        {"kind", alarm.kind},
                        {"detail", alarm.detail},
                        {"reason", alarm.reason},
                        {"revision", alarm.revision},
                        {"corrective_action", alarm.corrective_action}};
        if (!alarm.guest.empty()) details["instance_id"] = alarm.guest.str();
        if (!alarm.display_name.empty()) details["display_name"] = alarm.display_name;
        if (!alarm.clear_reason.empty()) details["clear_reason"] = alarm.clear_reason;
        if (event.collapsed > 0) details["collapsed"] = event.collapsed;
        return {{"time", time}, {"type", type_of(event)}, {"details", std::move(details)}};
    }

    /// The clear of "x.down" is "x.up": a receiver that never reads the status would act on the fault once more.
    std::string type_of(const AlarmEvent& event) const {
        std::string type = event.alarm.guest.empty() ? options_.host_event_type : options_.event_type;
        if (event.change == AlarmChange::cleared && type.ends_with(kDown))
            type.replace(type.size() - kDown.size(), kDown.size(), ".up");
        return type;
    }

    runtime::HttpClient& http_;
    Options options_;
};

/// Not a mistake: there are inspectors that read the details. But who configures it has to know.
void warn_of_action_on_host(runtime::ConfigReader& section, const char* key, const std::string& type) {
    if (!type.ends_with(kDown)) return;
    section.warn(key, "'" + base::escape(type, 64) +
                          "': receivers that read the type alone, as Doctor's sample inspector, force the whole host "
                          "down and set all its servers to ERROR");
}

}  // namespace

SinkFactory configure_doctor_sink(runtime::ConfigReader& section) {
    DoctorSink::Options options;
    options.request = read_http_target(section);
    options.list = section.choice("mode", "list", {"list", "single"}) == "list";
    options.request.method = options.list ? "PUT" : "POST";
    options.event_type = section.text("event_type", "compute.instance.fault");
    options.host_event_type = section.text("host_event_type", "compute.host.vitalwire");
    options.monitor_id = section.text("monitor_id", "vitalwire");
    warn_of_action_on_host(section, "event_type", options.event_type);
    warn_of_action_on_host(section, "host_event_type", options.host_event_type);
    return [options](const SinkContext& context) { return std::make_unique<DoctorSink>(context, options); };
}

}  // namespace vitalwire::controller
