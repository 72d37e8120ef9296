#include "inspector.hpp"

#include <memory>
#include <utility>

#include "controller/alarms/evidence.hpp"

namespace vitalwire::simulator {

namespace {

constexpr double kRefused = 0.2;
constexpr double kAnswerLost = 0.2;
constexpr seconds kTimeout{5};

}  // namespace

void Inspector::controller_ended() {
    controller_ended_ = world_.now();
}

void Inspector::sent(const controller::AlarmEvent& event) {
    if (event.change != controller::AlarmChange::cleared) raises_sent_.insert(event.alarm.id);
}

controller::Outcome Inspector::receive(const controller::AlarmEvent& event) {
    if (away_) return controller::Outcome::retry("503");
    if (unreliable_ && world_.chance(kRefused)) return controller::Outcome::refused("400");
    take(event);
    if (unreliable_ && world_.chance(kAnswerLost)) return controller::Outcome::retry("timed out");
    return controller::Outcome::confirmed();
}

void Inspector::take(const controller::AlarmEvent& event) {
    ++events_;
    collapsed_ += event.collapsed;
    const controller::Alarm& alarm = event.alarm;
    world_.log(name_ + " is sent: " + alarm.guest.str() + " " + alarm.kind + " " +
               std::string(to_string(event.change)) + " " + alarm.id.str());
    if (on_received) on_received(event);
    const bool clear = event.change == controller::AlarmChange::cleared;
    const auto [at, is_new] = received_.try_emplace(alarm.id, Acked{alarm.kind, alarm.guest.str()});
    // A controller that does not know whether its raise has arrived, perhaps in its last life, has to clear it.
    const auto opened = opened_.find(alarm.id);
    const bool since = opened != opened_.end() && opened->second > controller_ended_;
    // Nor does one that ends the fault of an absent host know what that host's primary has raised.
    const bool by_evidence = controller::is_evidence(alarm.clear_reason);
    if (clear && is_new && !raises_sent_.contains(alarm.id) && since && !by_evidence)
        world_.violated(name_ + ": clear before raise: " + alarm.guest.str() + " " + alarm.kind);
    at->second.open = !clear;
    at->second.cleared |= clear;
}

std::multiset<std::string> Inspector::open_alarms() const {
    std::multiset<std::string> open;
    for (const auto& [id, alarm] : received_) {
        if (alarm.open) open.insert(alarm.guest + " " + alarm.kind);
    }
    return open;
}

void InspectorSink::deliver(const controller::AlarmEvent& event, Done done) {
    const auto result = std::make_shared<controller::Outcome>(controller::Outcome::retry("no connection"));
    Duration way = kTimeout;
    sends_(event);
    inspector_.sent(event);
    if (!cut_off_) {
        // A message that is on its way arrives, whatever becomes of its sender.
        way = world_.between(Millis(1), Millis(20));
        world_.after(way, [&inspector = inspector_, event, result] { *result = inspector.receive(event); });
    }
    world_.after(2 * way, [this, event, done = std::move(done), result, alive = std::weak_ptr(alive_)] {
        if (alive.expired()) return;
        done(*result);
        if (result->kind == controller::Outcome::Kind::confirmed) confirmed_(event);
    });
}

}  // namespace vitalwire::simulator
