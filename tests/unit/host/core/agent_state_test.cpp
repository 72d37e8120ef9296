#include "host/core/agent_state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;
using heartbeat::SaveRegistration;

/// A disk that is a map.
class MemoryRows final : public AgentState::Rows {
public:
    std::map<std::string, std::string> load(const std::string& table) override { return tables[table]; }
    void put(const std::string& table, const std::string& key, std::string value) override {
        tables[table][key] = std::move(value);
    }
    void erase(const std::string& table, const std::string& key) override { tables[table].erase(key); }

    std::map<std::string, std::map<std::string, std::string>> tables;
};

class Ignore final : public Monitor::Output {
public:
    void send(const GuestKey&, wire::Dialect, const wire::HeartbeatPdu&) override {}
    void final_drain(const GuestKey&, wire::Dialect) override {}
    void fault_changed(const model::Fault&) override {}
    void fault_delivered(const model::Fault&) override {}
    void fault_forgotten(const base::FaultId&, bool) override {}
    void guest_changed(const GuestId&) override {}
    void guest_gone(const GuestId&) override {}
    void guest_warned(const GuestId&, const std::string&, const std::string&) override {}
    void save(const GuestId&, const SaveRegistration&) override {}
    void closed_changed(const GuestId&, model::FaultKind, const std::optional<heartbeat::OpenFault>&) override {}
    void standing_changed(const GuestId&, std::optional<heartbeat::Inhibit>) override {}
    void waited_changed(const GuestId&, const heartbeat::Waited&) override {}
};

SaveRegistration registered() {
    heartbeat::Registration registration;
    registration.dialect = wire::Dialect::cgcs;
    registration.session = base::SessionId("s-1");
    registration.name = "vm \"1\"";
    registration.interval = Millis(500);
    registration.response_deadline = Millis(400);
    registration.corrective_action = model::CorrectiveAction::stop;
    registration.since = base::WallTime{} + std::chrono::seconds(5);
    registration.revision = 1;
    registration.detection_time = Millis(900);
    registration.challenge_interval = Millis(450);
    registration.restart_time = std::chrono::seconds(600);
    registration.run = "boot-1/7";
    return {registration, false, {}};
}

class AgentStateTest : public testing::Test {
protected:
    MemoryRows store_;
    AgentState state_{store_};
    SystemIdGenerator ids_;
    Ignore output_;
    Monitor monitor_{{}, ids_, output_};
};

TEST_F(AgentStateTest, WritesARegistrationThatReadsBackTheSame) {
    EXPECT_EQ(saved_from_json(to_json(registered())).value(), registered());
    SaveRegistration by_guest_agent = registered();
    by_guest_agent.registration->dialect = wire::Dialect::guest_agent;
    EXPECT_EQ(saved_from_json(to_json(by_guest_agent)).value(), by_guest_agent);
    const SaveRegistration rebooting{std::nullopt, true, std::chrono::seconds(600)};
    EXPECT_EQ(saved_from_json(to_json(rebooting)).value(), rebooting);
}

TEST_F(AgentStateTest, BringsBackGuestsFaultsAndPolicies) {
    model::Fault fault;
    fault.id = base::FaultId("f-1");
    fault.guest = GuestId("a");
    fault.opened_at = fault.updated_at = base::WallTime{} + std::chrono::seconds(5);
    model::GuestPolicy policy;
    policy.guest = GuestId("a");
    policy.detect_multiplier = 3;
    state_.keep(GuestId("a"), registered());
    state_.keep(fault);
    state_.keep({true, {policy}}, monitor_);

    EXPECT_EQ(state_.load_into(monitor_), 0U);
    monitor_.found(GuestId("a"), {});
    EXPECT_EQ(monitor_.report(GuestId("a"))->name, "vm \"1\"");
    EXPECT_EQ(monitor_.report(GuestId("a"))->state, "lost");
    EXPECT_EQ(monitor_.faults().size(), 1U);
    EXPECT_EQ(monitor_.policies().at(GuestId("a")), policy);
}

TEST_F(AgentStateTest, ForgetsWhatIsOver) {
    state_.keep(GuestId("a"), registered());
    state_.keep(GuestId("a"), SaveRegistration{});
    model::Fault fault;
    fault.id = base::FaultId("f-1");
    state_.keep(fault);
    state_.forget(fault.id);
    EXPECT_TRUE(store_.tables["guests"].empty());
    EXPECT_TRUE(store_.tables["faults"].empty());
}

TEST_F(AgentStateTest, ReplacesThePoliciesByACompleteList) {
    model::GuestPolicy policy;
    policy.guest = GuestId("a");
    monitor_.set_policies({true, {policy}}, {}, {});
    state_.keep({true, {policy}}, monitor_);
    policy.guest = GuestId("b");
    state_.keep({true, {policy}}, monitor_);
    EXPECT_EQ(store_.tables["policies"].size(), 1U);
    EXPECT_TRUE(store_.tables["policies"].contains("b"));
}

TEST_F(AgentStateTest, KeepsAndCountsRowsThatCannotBeRead) {
    store_.tables["guests"]["a"] = "{";
    store_.tables["guests"]["b"] = R"({"registration":{"dialect":"klingon"}})";
    store_.tables["faults"]["f"] = R"({"id":5})";
    state_.keep(GuestId("c"), registered());
    EXPECT_EQ(state_.load_into(monitor_), 3U);
    EXPECT_EQ(store_.tables["guests"].size(), 1U);
    EXPECT_TRUE(store_.tables["faults"].empty());
    EXPECT_THAT(store_.tables["unreadable"],
                testing::UnorderedElementsAre(testing::Pair("guests/a", "{"),
                                              testing::Pair("guests/b", R"({"registration":{"dialect":"klingon"}})"),
                                              testing::Pair("faults/f", R"({"id":5})")));
}

TEST_F(AgentStateTest, RowsThatCouldNotBeReadAreCountedAtEveryStartAndNeverReplaced) {
    store_.tables["unreadable"]["guests/a"] = "earlier";
    store_.tables["guests"]["a"] = "{";
    EXPECT_EQ(state_.load_into(monitor_), 2U);
    EXPECT_EQ(state_.newly_unreadable(), 1U);
    EXPECT_EQ(state_.load_into(monitor_), 2U);
    EXPECT_EQ(state_.newly_unreadable(), 0U);
    EXPECT_THAT(store_.tables["unreadable"],
                testing::ElementsAre(testing::Pair("guests/a", "earlier"), testing::Pair("guests/a#2", "{")));
}

}  // namespace
}  // namespace vitalwire::host
