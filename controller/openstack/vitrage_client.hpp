#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "controller/model/outcome.hpp"
#include "controller/openstack/keystone.hpp"

namespace vitalwire::controller {

/// An open alarm of the project's own datasource, as Vitrage shows it (controller/vitrage/README.md).
struct VitrageAlarm {
    std::string name;
    std::string instance;  ///< empty: the alarm is a host's
    std::string event;     ///< monitor_event_id of the event that raised it
};

/// Vitrage's API, as far as one needs it who raises alarms. All calls and callbacks are on the event loop's thread;
/// destroyed, it calls back no more.
class VitrageClient {
public:
    using Posted = std::function<void(const base::Result<runtime::HttpClientResponse>&)>;
    using Alarms = std::vector<VitrageAlarm>;
    using Listed = std::function<void(const tl::expected<Alarms, Outcome>&)>;

    explicit VitrageClient(Keystone& keystone);
    ~VitrageClient();
    VitrageClient(const VitrageClient&) = delete;
    VitrageClient& operator=(const VitrageClient&) = delete;

    /// POST /v1/event. 200 means no more than that Vitrage has read the request.
    void post(const nlohmann::json& event, Posted posted);
    /// The datasource's alarms of all projects, at some moment after this call. One list is asked for at a time; who
    /// asks while it is under way shares the next one. Otherwise: why it could not be read, to be retried.
    void list(Listed listed);

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace vitalwire::controller
