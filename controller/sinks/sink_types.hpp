#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controller/delivery/sink.hpp"
#include "controller/delivery/sink_context.hpp"
#include "runtime/config.hpp"

namespace vitalwire::controller {

/// Makes a sink from what `configure` has read.
using SinkFactory = std::function<std::unique_ptr<Sink>(const SinkContext&)>;

/// A kind of sink: the `type` of a `[sink NAME]` section and how the rest of the section is read. Mistakes go to the
/// reader's errors; the factory is used only when there were none.
struct SinkType {
    std::string_view name;
    SinkFactory (*configure)(runtime::ConfigReader& section);
    bool needs_openstack = false;  ///< the section [openstack] has to be right
    bool guests_only = false;      ///< takes no alarms of hosts
    bool listens = false;          ///< two of them at one moment would want one address
};

/// All kinds. A new one is a file of its own and a line here.
const std::vector<SinkType>& sink_types();
/// That of a name; null when there is none.
const SinkType* sink_type(std::string_view name);

// One each file.
SinkFactory configure_log_sink(runtime::ConfigReader& section);
SinkFactory configure_doctor_sink(runtime::ConfigReader& section);
SinkFactory configure_webhook_sink(runtime::ConfigReader& section);
SinkFactory configure_vitrage_sink(runtime::ConfigReader& section);
SinkFactory configure_reset_state_sink(runtime::ConfigReader& section);
SinkFactory configure_masakari_sink(runtime::ConfigReader& section);
SinkFactory configure_alertmanager_sink(runtime::ConfigReader& section);
SinkFactory configure_tacker_sink(runtime::ConfigReader& section);

}  // namespace vitalwire::controller
