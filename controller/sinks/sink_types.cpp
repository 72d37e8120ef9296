#include "controller/sinks/sink_types.hpp"

#include <algorithm>

namespace vitalwire::controller {

const std::vector<SinkType>& sink_types() {
    static const std::vector<SinkType> types = {
        {"log", configure_log_sink},
        {"doctor", configure_doctor_sink},
        {"webhook", configure_webhook_sink},
        {"vitrage", configure_vitrage_sink, true, true},
        {"nova_reset_state", configure_reset_state_sink, true, true},
        {"masakari", configure_masakari_sink, true, true},
        {"alertmanager", configure_alertmanager_sink},
        {"tacker", configure_tacker_sink, false, true, true},
    };
    return types;
}

const SinkType* sink_type(std::string_view name) {
    const auto& types = sink_types();
    const auto found =
        std::find_if(types.begin(), types.end(), [&](const SinkType& type) { return type.name == name; });
    return found == types.end() ? nullptr : &*found;
}

}  // namespace vitalwire::controller
