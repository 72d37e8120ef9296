#include "model/corrective_action.hpp"

namespace vitalwire::model {

std::string_view to_string(CorrectiveAction action) {
    switch (action) {
        case CorrectiveAction::none:
            return "none";
        case CorrectiveAction::log:
            return "log";
        case CorrectiveAction::reboot:
            return "reboot";
        case CorrectiveAction::stop:
            return "stop";
    }
    return "none";
}

std::optional<CorrectiveAction> parse_corrective_action(std::string_view text) {
    for (const auto action :
         {CorrectiveAction::none, CorrectiveAction::log, CorrectiveAction::reboot, CorrectiveAction::stop}) {
        if (to_string(action) == text) return action;
    }
    return std::nullopt;
}

}  // namespace vitalwire::model
