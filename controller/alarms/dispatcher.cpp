#include "controller/alarms/dispatcher.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

Dispatcher::Dispatcher(AlarmStore& rows, Context context) : rows_(rows), context_(std::move(context)) {
    for (const std::string& name : rows_.load_sinks())
        known_.insert(name);
}

void Dispatcher::add_sink(const std::string& name, const std::string& type, std::unique_ptr<Sink> sink,
                          DeliveryOptions options, std::optional<std::vector<Policy>> policies) {
    options.fresh = !known_.contains(name);
    const std::size_t index = sinks_.size();
    SinkWorkerContext context{context_.io,
                              context_.metrics,
                              context_.problems,
                              context_.enrich,
                              context_.inventory_known,
                              context_.interval,
                              context_.add_others_open,
                              [this, index] { context_.progress(*sinks_[index]); },
                              [this, index] { context_.reconcile(*sinks_[index]); }};
    sinks_.push_back(
        std::make_unique<SinkWorker>(name, type, std::move(sink), options, std::move(policies), std::move(context)));
    rows_.put_sink(name);
}

void Dispatcher::erase_unconfigured() {
    for (const std::string& name : known_) {
        if (find(name) == nullptr) rows_.erase_sink(name);
    }
}

void Dispatcher::stop() {
    for (const auto& sink : sinks_)
        sink->stop();
}

void Dispatcher::restore(const Alarm& alarm) {
    for (const auto& sink : sinks_)
        sink->restore(alarm, {});
}

/// All queues have it before the first answer can come: "settled" is about this state in each of them.
void Dispatcher::offer(const Alarm& alarm) {
    for (const auto& sink : sinks_)
        sink->offer(alarm);
    pump();
}

void Dispatcher::finish(const Alarm& alarm, bool others_done) {
    for (const auto& sink : sinks_)
        sink->finish(alarm, others_done);
    pump();
}

void Dispatcher::withdraw(const Alarm& alarm) {
    for (const auto& sink : sinks_)
        sink->withdraw(alarm);
}

void Dispatcher::forget(const Alarm& alarm) {
    for (const auto& sink : sinks_) {
        sink->forget(alarm);
        rows_.erase_told(sink->name(), alarm.id);
    }
}

void Dispatcher::pump() {
    for (const auto& sink : sinks_)
        sink->pump();
}

bool Dispatcher::settled(const Alarm& alarm) const {
    return std::all_of(sinks_.begin(), sinks_.end(), [&](const auto& sink) { return sink->settled(alarm); });
}

bool Dispatcher::busy(const Alarm& alarm) const {
    return std::any_of(sinks_.begin(), sinks_.end(), [&](const auto& sink) { return sink->busy(alarm); });
}

bool Dispatcher::asks_inventory() const {
    return std::any_of(sinks_.begin(), sinks_.end(), [](const auto& sink) { return sink->gate().asks_inventory(); });
}

SinkWorker* Dispatcher::find(const std::string& name) const {
    const auto at = std::find_if(sinks_.begin(), sinks_.end(), [&](const auto& sink) { return sink->name() == name; });
    return at == sinks_.end() ? nullptr : at->get();
}

}  // namespace vitalwire::controller
