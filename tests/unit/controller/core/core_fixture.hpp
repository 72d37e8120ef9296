#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/core.hpp"
#include "controller/delivery/sink_worker.hpp"
#include "controller/state/alarm_store.hpp"
#include "tests/unit/controller/support/alarms.hpp"
#include "tests/unit/controller/support/faults.hpp"
#include "tests/unit/controller/support/memory_store.hpp"

namespace vitalwire::controller {

inline constexpr const char* kForeign = "hosts report faults of guests that the inventory has elsewhere";

/// Confirms at once unless it is held, and keeps "f1 opened 1" and the alarm.
class RecordingSink : public Sink {
public:
    RecordingSink(std::vector<std::string>& lines, Alarm& last, const bool& hold, std::vector<Done>& held)
        : lines_(lines), last_(last), hold_(hold), held_(held) {}
    void deliver(const AlarmEvent& event, Done done) override {
        lines_.push_back(line(event));
        last_ = event.alarm;
        if (hold_) return held_.push_back(std::move(done));
        done(Outcome::confirmed());
    }

private:
    std::vector<std::string>& lines_;
    Alarm& last_;
    const bool& hold_;
    std::vector<Done>& held_;
};

/// A core with one sink, an inventory, and agents that are played, in virtual time.
class CoreTest : public ::testing::Test, protected Core::Output {
protected:
    CoreTest() { start(); }
    ~CoreTest() override { core->stop(); }

    void start() {
        store = std::make_unique<MemoryStore>(disk);
        rows = std::make_unique<AlarmStore>(*store);
        metrics = std::make_unique<runtime::Metrics>();
        core = std::make_unique<Core>(Core::Options{{base::HostId("ctl")}, {}, std::chrono::hours(24), moment.wall},
                                      Core::Context{problems, *rows, inventory, *this});
        core->alarms().add_sink(std::make_unique<SinkWorker>(
            "a", "recording", std::make_unique<RecordingSink>(notified, last_alarm, hold_sink, held_events),
            DeliveryOptions{}, policies, SinkWorker::Shell{io, *metrics, problems}, core->alarms().context_of("a")));
        core->load(moment);
    }
    void restart() {
        core->stop();
        core.reset();
        start();
    }

    // Core::Output
    void send(const Session& session, const bus::ToAgent& message) override {
        sent[session.name.str()].push_back(message);
    }
    void refresh_inventory() override { ++refreshed; }
    void ask_peers() override { ++asked_peers; }
    Evidence::Source inventory_source() const override { return source; }
    bool reachable() const override { return true; }
    void defer(std::function<void()> call) override { deferred.push_back(std::move(call)); }
    base::Moment now() const override { return moment; }

    void pass(base::Millis time) {
        const base::TimePoint end = moment.steady + time;
        run_deferred();
        while (core->next_due() <= end) {
            const base::TimePoint due = std::max(core->next_due(), moment.steady);
            moment.wall += std::chrono::duration_cast<base::WallTime::duration>(due - moment.steady);
            moment.steady = due;
            core->tick(moment);
            run_deferred();
        }
        moment.wall += std::chrono::duration_cast<base::WallTime::duration>(end - moment.steady);
        moment.steady = end;
    }
    void run_deferred() {
        for (auto& call : std::exchange(deferred, {}))
            call();
        io.restart();
        io.poll();
    }

    /// `starts`: 0: the agent was started once more than before.
    bus::Hello hello(const std::string& host, const std::string& state = "state", std::uint64_t starts = 0) {
        bus::Hello hello;
        hello.host = base::HostId(host);
        hello.instance = "life-" + std::to_string(++lives);
        hello.is_primary = true;
        if (!state.empty()) hello.state = state + "-of-" + host;
        hello.state_starts = starts == 0 ? static_cast<std::uint64_t>(lives) : starts;
        return hello;
    }
    void up(const bus::Hello& hello, const std::vector<model::Fault>& faults = {},
            const std::vector<model::GuestReport>& guests = {}) {
        core->agent_up(0, hello, "peer", moment);
        message(hello.host.str(), bus::SnapshotBegin{});
        message(hello.host.str(), bus::Guests{guests, {}});
        message(hello.host.str(), bus::Faults{faults, {}});
        message(hello.host.str(), bus::SnapshotEnd{});
        pass(base::Millis(1));
    }
    void down(const std::string& host) { core->agent_down(0, base::HostId(host), "EOF", moment); }
    /// `hosts` keep alive for that long.
    void keep_alive(const std::vector<std::string>& hosts, base::Millis time) {
        for (const base::TimePoint end = moment.steady + time; moment.steady < end;) {
            for (const std::string& host : hosts)
                core->agent_alive(0, base::HostId(host), moment);
            pass(base::Millis(100));
        }
    }
    void message(const std::string& host, const bus::ToController& message) {
        core->message(0, base::HostId(host), message, moment);
        run_deferred();
    }
    void report(const std::string& host, const model::Fault& fault) { message(host, bus::Faults{{fault}, {}}); }

    static model::GuestReport answering(const std::string& guest, const std::string& state = "registered") {
        model::GuestReport report;
        report.guest = base::GuestId(guest);
        report.state = state;
        report.responses = 3;
        report.channels = {"org.vitalwire.0"};
        return report;
    }
    static InventoryGuest placed(const std::string& guest, const std::string& host) {
        InventoryGuest made;
        made.id = base::GuestId(guest);
        made.host = base::HostId(host);
        made.policy = {base::GuestId(guest), true, false};
        return made;
    }
    void place(const std::string& guest, const std::string& host) {
        const auto change = inventory.put(placed(guest, host));
        if (change) core->inventory_changed({*change}, moment);
    }
    void change(const InventoryGuest& guest) { core->inventory_changed({*inventory.put(guest)}, moment); }
    void remove(const std::string& guest) {
        core->inventory_changed({*inventory.remove(base::GuestId(guest))}, moment);
    }

    void release_sink() {
        hold_sink = false;
        for (auto& done : std::exchange(held_events, {}))
            done(Outcome::confirmed());
        run_deferred();
    }
    std::vector<std::string> take() { return std::exchange(notified, {}); }
    template <class Message>
    std::vector<Message> received(const std::string& host) {
        std::vector<Message> found;
        for (const bus::ToAgent& message : sent[host]) {
            if (const auto* one = std::get_if<Message>(&message)) found.push_back(*one);
        }
        return found;
    }
    const TrackedFault* tracked(const std::string& fault) const {
        return core->alarms().table().find(base::FaultId(fault));
    }
    std::string problem(const std::string& what) const {
        for (const auto& problem : problems.list()) {
            if (problem.what == what) return problem.detail;
        }
        return {};
    }

    base::Moment moment{base::TimePoint(std::chrono::hours(100)), base::WallTime(std::chrono::seconds(1'700'000'000))};
    boost::asio::io_context io;
    MemoryStore::Disk disk;
    std::unique_ptr<MemoryStore> store;
    std::unique_ptr<AlarmStore> rows;
    std::unique_ptr<runtime::Metrics> metrics;
    runtime::Problems problems{[this] { return moment.wall; }};
    Inventory inventory;
    Evidence::Source source{true, false};
    std::vector<std::string> notified;
    Alarm last_alarm;                             ///< of them
    std::optional<std::vector<Policy>> policies;  ///< of the sink, from its next start on
    bool hold_sink = false;
    std::vector<Sink::Done> held_events;
    std::map<std::string, std::vector<bus::ToAgent>> sent;
    std::vector<std::function<void()>> deferred;
    int refreshed = 0;
    int asked_peers = 0;
    int lives = 0;
    std::unique_ptr<Core> core;
    const model::Fault f1 = open_fault("g1", "f1");
};

}  // namespace vitalwire::controller
