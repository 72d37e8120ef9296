#include <nlohmann/json.hpp>

#include "controller/model/alarm_json.hpp"
#include "controller/sinks/http_target.hpp"
#include "controller/sinks/sink_types.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

namespace {

/// Posts {"event": "opened|updated|cleared", "fault": {...}} to any HTTP receiver.
class WebhookSink : public Sink {
public:
    WebhookSink(const SinkContext& context, runtime::HttpClientRequest request)
        : http_(context.http), request_(std::move(request)) {}

    void deliver(const AlarmEvent& event, Done done) override {
        runtime::HttpClientRequest request = request_;
        nlohmann::json body = {{"event", to_string(event.change)},
                               {"time", base::to_iso8601(event.time())},
                               {"summary", describe(event)},
                               {"fault", to_json(event.alarm)}};
        if (event.collapsed > 0) body["collapsed"] = event.collapsed;
        request.body = wire::dump(body);
        request.status_only = true;
        http_.send(std::move(request), [done = std::move(done)](const base::Result<runtime::HttpClientResponse>& got) {
            done(outcome_of(got));
        });
    }

private:
    runtime::HttpClient& http_;
    runtime::HttpClientRequest request_;
};

}  // namespace

SinkFactory configure_webhook_sink(runtime::ConfigReader& section) {
    runtime::HttpClientRequest request = read_http_target(section);
    request.method = section.choice("method", "POST", {"POST", "PUT", "PATCH"});
    return [request](const SinkContext& context) { return std::make_unique<WebhookSink>(context, request); };
}

}  // namespace vitalwire::controller
