#include "guest/probe.hpp"

#include "guest/exec_probe.hpp"
#include "guest/socket_probe.hpp"

namespace vitalwire::guest {

std::unique_ptr<Probe> start_probe(MonitorClock& clock, Children& children, const CheckSettings& check,
                                   Probe::Done done) {
    switch (check.type) {
        case CheckType::exec:
        case CheckType::systemd:
            return std::make_unique<ExecProbe>(clock, children, check, std::move(done));
        case CheckType::http:
        case CheckType::tcp:
        case CheckType::unix_socket:
            break;
    }
    return std::make_unique<SocketProbe>(clock, check, std::move(done));
}

}  // namespace vitalwire::guest
