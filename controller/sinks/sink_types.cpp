#include "controller/sinks/sink_types.hpp"

namespace vitalwire::controller {

const std::vector<SinkType>& sink_types() {
    static const std::vector<SinkType> types = {
        {"log", configure_log_sink},
        {"doctor", configure_doctor_sink},
        {"webhook", configure_webhook_sink},
    };
    return types;
}

}  // namespace vitalwire::controller
