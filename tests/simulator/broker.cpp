// Somebody deletes what the bus has at a broker. What its port does then (bus/amqp_client, bus/amqp_transport): who
// loses its queue is told, connects again, and declares another; a controller renews its bindings every 5 s.
#include "simulation.hpp"

namespace vitalwire::simulator {

namespace {
constexpr seconds kRenewEvery{5};
}  // namespace

void Simulation::disturb_broker() {
    const auto renewed = [this] { return world_.now() + world_.between({}, kRenewEvery); };
    switch (world_.below(4)) {
        case 0:
            return delete_queue(*world_.pick(hosts_));
        case 1:
            return delete_queue(*world_.pick(controllers_));
        case 2:
            return unbind(*world_.pick(controllers_), renewed());
        default:
            // The agents' next messages end their connections, and with those their queues.
            world_.log("the exchange is deleted");
            for (const auto& host : hosts_)
                delete_queue(*host);
            for (const auto& controller : controllers_)
                unbind(*controller, renewed());
    }
}

void Simulation::delete_queue(const HostNode& host) {
    world_.log("the queue of " + host.id().str() + " is deleted");
    end_clone_of(host);
    for (const auto& cable : cables_) {
        if (cable->host() == host.id()) cable->delete_queue(Cable::kToAgent);
    }
}

void Simulation::delete_queue(const ControllerNode& controller) {
    world_.log("the queue of " + controller.name() + " is deleted");
    end_clone();
    for (const auto& cable : cables_) {
        if (cable->controller() == controller.name()) cable->delete_queue(Cable::kToController);
    }
}

void Simulation::unbind(const ControllerNode& controller, TimePoint until) {
    world_.log("the bindings of " + controller.name() + " are deleted");
    end_clone();
    for (const auto& cable : cables_) {
        if (cable->controller() == controller.name()) cable->unbind(until);
    }
}

}  // namespace vitalwire::simulator
