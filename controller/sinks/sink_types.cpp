#include "controller/sinks/sink_types.hpp"

namespace vitalwire::controller {

const std::vector<SinkType>& sink_types() {
    static const std::vector<SinkType> types = {
        {"log", configure_log_sink},
        {"doctor", configure_doctor_sink},
        {"webhook", configure_webhook_sink},
        {"vitrage", configure_vitrage_sink, true},
        {"nova_reset_state", configure_reset_state_sink, true},
        {"masakari", configure_masakari_sink, true},
        {"alertmanager", configure_alertmanager_sink},
        {"tacker", configure_tacker_sink},
    };
    return types;
}

}  // namespace vitalwire::controller
