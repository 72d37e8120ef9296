#include <nlohmann/json.hpp>

#include "controller/sinks/http_target.hpp"
#include "controller/sinks/sink_types.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;

namespace {

/// OPNFV Doctor's southbound interface: an event of time, type and details. The specification knows hosts only, so a
/// guest's fault has a type of its own and names the instance in the details.
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
        const std::string& type = alarm.guest.empty() ? options_.host_event_type : options_.event_type;
        return {{"time", time}, {"type", type}, {"details", std::move(details)}};
    }

    runtime::HttpClient& http_;
    Options options_;
};

}  // namespace

SinkFactory configure_doctor_sink(runtime::ConfigReader& section) {
    DoctorSink::Options options;
    options.request = read_http_target(section);
    options.list = section.choice("mode", "list", {"list", "single"}) == "list";
    options.request.method = options.list ? "PUT" : "POST";
    options.event_type = section.text("event_type", "compute.instance.fault");
    options.host_event_type = section.text("host_event_type", "compute.host.vitalwire");
    options.monitor_id = section.text("monitor_id", "vitalwire");
    return [options](const SinkContext& context) { return std::make_unique<DoctorSink>(context, options); };
}

}  // namespace vitalwire::controller
