#include "base/log.hpp"
#include "controller/sinks/sink_types.hpp"

namespace vitalwire::controller {

namespace {

/// Writes every event to the controller's log, for clouds without anything else and for the journal beside it.
class LogSink : public Sink {
public:
    void deliver(const AlarmEvent& event, Done done) override {
        event.change == AlarmChange::cleared ? log_clear(event.alarm) : log_raise(event);
        done(Outcome::confirmed());
    }

private:
    static void log_clear(const Alarm& alarm) {
        log::info("fault cleared", {{"kind", alarm.kind},
                                    {"guest", alarm.guest},
                                    {"host", alarm.host},
                                    {"clear_reason", alarm.clear_reason},
                                    {"fault", alarm.id}});
    }

    static void log_raise(const AlarmEvent& event) {
        const Alarm& alarm = event.alarm;
        const bool opened = event.change == AlarmChange::opened;
        log::warning(opened ? "fault opened" : "fault updated", {{"kind", alarm.kind},
                                                                 {"guest", alarm.guest},
                                                                 {"name", alarm.guest_name},
                                                                 {"host", alarm.host},
                                                                 {"severity", alarm.severity},
                                                                 {"detail", alarm.detail},
                                                                 {"reason", alarm.reason},
                                                                 {"fault", alarm.id},
                                                                 {"revision", alarm.revision}});
    }
};

}  // namespace

SinkFactory configure_log_sink(runtime::ConfigReader&) {
    return [](const SinkContext&) { return std::make_unique<LogSink>(); };
}

}  // namespace vitalwire::controller
