#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/alarms/alarm_manager.hpp"
#include "controller/delivery/sink_worker.hpp"
#include "controller/state/alarm_store.hpp"
#include "tests/unit/controller/support/alarms.hpp"
#include "tests/unit/controller/support/faults.hpp"
#include "tests/unit/controller/support/loop.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::controller {

inline const base::HostId kHost("compute-1");

/// What a sink was sent, and how it answers.
struct Receipts {
    std::vector<std::string> lines;
    std::vector<AlarmEvent> events;
    Outcome answer = Outcome::confirmed();
    bool hold = false;
    std::vector<Sink::Done> held;
    std::optional<base::Millis> reconcile;
    bool takes_hosts = true;
    std::vector<Sink::Listed> asked;  ///< what it shows
};

class ScriptedSink : public Sink {
public:
    explicit ScriptedSink(Receipts& receipts) : receipts_(receipts) {}
    void deliver(const AlarmEvent& event, Done done) override {
        receipts_.lines.push_back(line(event));
        receipts_.events.push_back(event);
        if (receipts_.hold) return receipts_.held.push_back(std::move(done));
        done(receipts_.answer);
    }
    bool takes_hosts() const override { return receipts_.takes_hosts; }
    std::optional<base::Millis> reconcile_interval() const override { return receipts_.reconcile; }
    void list(Listed listed) override { receipts_.asked.push_back(std::move(listed)); }

private:
    Receipts& receipts_;
};

class AlarmManagerTest : public ::testing::Test {
protected:
    void start(std::vector<std::string> sinks = {"a"}, std::chrono::milliseconds grace = std::chrono::seconds(60)) {
        auto opened = runtime::Store::open(loop.io, dir / "controller.db");
        ASSERT_TRUE(opened) << opened.error().message;
        store = std::move(*opened);
        rows = std::make_unique<AlarmStore>(*store);
        metrics = std::make_unique<runtime::Metrics>();
        fleet = Fleet();
        for (auto& [host, agent] : rows->load_agents())
            fleet.restore(host, agent);
        AlarmManager::Dependencies dependencies{
            fleet,
            [] {
                return base::Moment{base::Clock::now(), std::chrono::system_clock::now()};
            },
            [this](Alarm& alarm) { alarm.project = project; },
            [this](const base::HostId&, const bus::FaultsDelivered& delivered) {
                confirmed_to = delivered.items.back().to;
                for (const auto& item : delivered.items)
                    confirmed.push_back(item.fault.str() + " " + std::to_string(item.revision));
            },
            [this](std::function<void()> call) { boost::asio::post(loop.io, std::move(call)); },
            [this](const auto&) { return inventory_known; }};
        alarms = std::make_unique<AlarmManager>(AlarmManager::Options{100, grace}, *rows, std::move(dependencies));
        for (const auto& name : sinks)
            alarms->add_sink(std::make_unique<SinkWorker>(
                name, "scripted", std::make_unique<ScriptedSink>(receipts[name]), DeliveryOptions{}, policies[name],
                SinkWorker::Shell{loop.io, *metrics, problems}, alarms->context_of(name, receivers[name])));
        alarms->load(now);
    }

    void restart(std::vector<std::string> sinks = {"a"}, std::chrono::milliseconds grace = std::chrono::seconds(60)) {
        alarms->stop();
        alarms.reset();
        store->close();
        store.reset();
        for (auto& [name, of_sink] : receipts)
            of_sink.lines.clear();
        confirmed.clear();
        start(std::move(sinks), grace);
    }

    void agent_up(bool is_primary = true) {
        bus::Hello hello;
        hello.host = kHost;
        hello.is_primary = is_primary;
        hello.state = state;
        hello.state_starts = ++starts;
        fleet.up(kHost, hello, "peer", std::chrono::system_clock::now());
        rows->put_agent(kHost, *fleet.find(kHost));
        alarms->agent_up(kHost);
    }
    void agent_down() {
        fleet.down(kHost, {now, wall});
        alarms->agent_down(kHost);
    }
    void set_primary(bool is_primary) {
        fleet.set_primary(kHost, {is_primary, {}, {}});
        alarms->primary_changed(kHost);
    }
    void report(const model::Fault& fault) {
        alarms->report(kHost, {fault}, std::chrono::system_clock::now());
        loop.poll();
    }
    void snapshot(const std::vector<model::Fault>& faults) {
        alarms->begin_snapshot(kHost);
        alarms->report(kHost, faults, wall);
        alarms->end_snapshot(kHost, wall);
        loop.poll();
    }
    std::vector<std::string> take(const std::string& sink) { return std::exchange(receipts[sink].lines, {}); }

    const base::TimePoint now{std::chrono::hours(1)};
    const base::WallTime wall = std::chrono::system_clock::now();  ///< as the sinks' filters have it
    test::TempDir dir;
    Loop loop;
    std::unique_ptr<runtime::Store> store;
    std::unique_ptr<AlarmStore> rows;
    std::unique_ptr<runtime::Metrics> metrics;
    runtime::Problems problems;
    Fleet fleet;
    std::map<std::string, Receipts> receipts;
    std::map<std::string, std::string> receivers;  ///< of the sinks
    std::map<std::string, std::optional<std::vector<Policy>>> policies;
    std::uint64_t starts = 0;       ///< of the agent, from its state
    std::string state = "state-1";  ///< of the agent; another one is a fresh one
    std::string project;            ///< of every guest
    bool inventory_known = true;
    std::vector<std::string> confirmed;
    std::optional<std::vector<std::string>> confirmed_to;  ///< the last of them
    std::unique_ptr<AlarmManager> alarms;
    const model::Fault f1 = open_fault("g1", "f1");
};

}  // namespace vitalwire::controller
