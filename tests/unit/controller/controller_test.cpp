#include "controller/controller.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <csignal>

#include "tests/unit/controller/support/controller_fixture.hpp"
#include "tests/unit/controller/support/faults.hpp"
#include "tests/unit/support/certificates.hpp"

namespace vitalwire::controller {
namespace {

using model::Fault;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ControllerTest, BringsAFaultFromTheAgentToTheInspectorAndConfirmsIt) {
    inventory("[guest vm-1]\nname = web\nhost = compute-1\n");
    start();
    const auto one = welcomed_agent();
    one->report(f1);
    ASSERT_TRUE(loop.until([&] { return one->confirmed.size() == 1; }));
    one->report(cleared(f1));
    ASSERT_TRUE(loop.until([&] { return one->confirmed.size() == 2; }));
    EXPECT_THAT(inspected(), ElementsAre("f1 down", "f1 up"));
    EXPECT_THAT(one->confirmed, ElementsAre("f1 1", "f1 2"));
    EXPECT_EQ(receiver.confirmed[0][0]["details"]["display_name"], "web");
}

TEST_F(ControllerTest, AcceptsAgentsOnEveryUrl) {
    start();
    const auto by_unix = welcomed_agent();
    TestAgent by_tcp(loop.io, controller->bus_addresses().at(1), "compute-2");
    ASSERT_TRUE(loop.until([&] { return by_tcp.welcomed; }));
    EXPECT_EQ(get("/v1/status")["agents"]["connected"], 2);
}

TEST_F(ControllerTest, AnAgentIsConnectedByOneUrlAtATime) {
    start();
    const auto by_unix = welcomed_agent();
    TestAgent by_tcp(loop.io, controller->bus_addresses().at(1), "compute-1");
    ASSERT_TRUE(loop.until([&] { return !by_tcp.rejected.empty(); }));
    EXPECT_THAT(by_tcp.rejected, HasSubstr("another URL"));
    EXPECT_EQ(by_unix->rejected, "");
    EXPECT_EQ(get("/v1/status")["agents"]["connected"], 1);
}

TEST_F(ControllerTest, DeliversInOrderWhatCameAndWentWhileTheInspectorWasAway) {
    start();
    const std::string address = receiver.address();
    receiver.status = 503;
    const auto one = welcomed_agent();
    one->report(f1);
    one->report(cleared(f1));
    one->report(open_fault("vm-1", "f2"));
    ASSERT_TRUE(loop.until([&] { return receiver.requests.size() >= 2; }));
    const json fault = get("/v1/faults")["faults"].at(0);
    EXPECT_EQ(fault["deliveries"].at(0)["sink"], "inspector");
    EXPECT_THAT(fault["deliveries"].at(0)["last_error"].get<std::string>(), HasSubstr("HTTP 503"));
    EXPECT_EQ(get("/v1/status")["sinks"].at(0)["state"], "retrying");
    EXPECT_FALSE(get("/v1/status")["healthy"].get<bool>());
    receiver.status = 200;
    ASSERT_TRUE(loop.until([&] { return inspected().size() == 3; }));
    EXPECT_THAT(inspected(), ElementsAre("f1 down", "f1 up", "f2 down"));
    EXPECT_TRUE(get("/v1/status")["healthy"].get<bool>());
}

TEST_F(ControllerTest, ARestartRepeatsNothingAndLosesNothing) {
    start();
    auto one = welcomed_agent();
    one->report(f1);
    ASSERT_TRUE(loop.until([&] { return one->confirmed.size() == 1; }));
    restart();
    EXPECT_EQ(get("/v1/faults")["faults"].size(), 1U) << "known before any agent is back";
    one->faults = {cleared(f1)};
    ASSERT_TRUE(loop.until([&] { return one->confirmed.size() == 2; }));
    EXPECT_THAT(inspected(), ElementsAre("f1 down", "f1 up"));
    EXPECT_EQ(get("/v1/faults")["faults"].size(), 0U);
    EXPECT_EQ(get("/v1/faults", "all=1")["faults"].size(), 1U);
}

TEST_F(ControllerTest, SendsThePoliciesOfItsHostAtOnceAndWhenTheyChange) {
    inventory("[guest vm-1]\nhost = compute-1\nheartbeat = yes\n[guest vm-2]\nhost = compute-2\n");
    start();
    const auto one = agent();
    ASSERT_TRUE(loop.until([&] { return !one->policies.empty(); }));
    EXPECT_TRUE(one->policies[0].complete);
    ASSERT_EQ(one->policies[0].policies.size(), 1U);
    EXPECT_EQ(one->policies[0].policies[0].guest.str(), "vm-1");
    EXPECT_TRUE(one->policies[0].policies[0].heartbeat);
    inventory(
        "[guest vm-1]\nhost = compute-1\nheartbeat = yes\ndetect_multiplier = 4\n[guest vm-2]\nhost = compute-2\n");
    ASSERT_TRUE(loop.until([&] { return one->policies.size() == 2; }));
    EXPECT_EQ(one->policies[1].policies[0].detect_multiplier, 4);
}

TEST_F(ControllerTest, SendsNoPoliciesFromAnInventoryThatCouldNotBeRead) {
    inventory("[guest vm-1]\ntypo = 1\n");
    start();
    const auto one = welcomed_agent();
    one->report(f1);
    ASSERT_TRUE(loop.until([&] { return one->confirmed.size() == 1; }));
    EXPECT_TRUE(one->policies.empty());
    EXPECT_EQ(get("/readyz", "", 503)["inventory"], false);
    inventory("[guest vm-1]\nhost = compute-1\n");
    EXPECT_TRUE(loop.until([&] { return !one->policies.empty(); }));
    EXPECT_EQ(get("/readyz")["ready"], true);
}

TEST_F(ControllerTest, ShowsGuestsOfAgentsAndOfTheInventory) {
    inventory("[guest vm-1]\nname = web\nhost = compute-1\n[guest vm-2]\nname = db\nhost = compute-1\n");
    start();
    const auto one = welcomed_agent();
    model::GuestReport report;
    report.guest = base::GuestId("vm-1");
    report.state = "registered";
    one->send(bus::Guests{{report}});
    ASSERT_TRUE(loop.until([&] { return get("/v1/status")["guests"]["registered"] == 1; }));
    const json guests = get("/v1/guests")["guests"];
    ASSERT_EQ(guests.size(), 2U);
    EXPECT_EQ(guests[0]["guest"], "vm-2") << "those that no agent reports come first";
    EXPECT_EQ(guests[0]["state"], "unregistered");
    EXPECT_EQ(guests[1]["guest"], "vm-1");
    EXPECT_EQ(guests[1]["display_name"], "web");
    EXPECT_EQ(guests[1]["host"], "compute-1");
    EXPECT_EQ(get("/v1/status")["guests"]["total"], 2);
    EXPECT_EQ(get("/v1/status")["guests"]["unregistered"], 1);
}

TEST_F(ControllerTest, KeepsTheFaultsOfAnAgentThatIsLostAndShowsThatItIs) {
    start();
    auto one = welcomed_agent();
    one->report(f1);
    ASSERT_TRUE(loop.until([&] { return one->confirmed.size() == 1; }));
    one.reset();
    ASSERT_TRUE(loop.until([&] { return get("/v1/agents")["agents"].at(0)["connected"] == false; }));
    EXPECT_EQ(get("/v1/faults")["faults"].size(), 1U);
    EXPECT_THAT(inspected(), ElementsAre("f1 down"));
    ASSERT_TRUE(loop.until([&] { return !get("/v1/status")["problems"].empty(); }));
    EXPECT_EQ(get("/v1/status")["problems"].at(0)["what"], "agent compute-1 is not connected");
    EXPECT_EQ(get("/v1/status")["faults_open"]["critical"], 1);
}

TEST_F(ControllerTest, EndsTheFaultOfAGuestThatIsElsewhereWhileItsAgentIsAway) {
    inventory("[guest vm-1]\nhost = compute-1\n[guest vm-2]\nhost = compute-1\n");
    start();
    auto one = welcomed_agent();
    one->report(f1);
    one->report(open_fault("vm-2", "f2"));
    ASSERT_TRUE(loop.until([&] { return one->confirmed.size() == 2; }));
    TestAgent other(loop.io, controller->bus_addresses().at(1), "compute-2");
    ASSERT_TRUE(loop.until([&] { return other.welcomed; }));
    one.reset();
    inventory("[guest vm-1]\nhost = compute-2\n[guest vm-2]\nhost = compute-1\n");  // evacuated, one of them yet
    ASSERT_TRUE(loop.until([&] { return inspected().size() == 3; }));
    EXPECT_EQ(inspected().back(), "f1 up");
    const json past = get("/v1/faults", "all=1")["faults"];
    ASSERT_EQ(past.size(), 2U);
    const json& ended = past[past[0]["id"] == "f1" ? 0 : 1];
    EXPECT_EQ(ended["clear_reason"], "moved");
    ASSERT_TRUE(loop.until([&] { return get("/v1/faults")["faults"].size() == 1; }));

    const auto back = agent();  // the host returns and reports what it had last
    back->faults = {f1, updated(open_fault("vm-2", "f2"), "late")};
    ASSERT_TRUE(loop.until([&] { return !back->confirmed.empty(); }));
    const json open = get("/v1/faults")["faults"];
    ASSERT_EQ(open.size(), 1U) << "what is over is not opened again: " << open;
    EXPECT_EQ(open[0]["id"], "f2");
}

TEST_F(ControllerTest, KeepsTheFaultOfAGuestThatIsElsewhereWhileItsAgentIsThere) {
    inventory("[guest vm-1]\nhost = compute-1\n");
    start();
    const auto one = welcomed_agent();
    one->report(f1);
    ASSERT_TRUE(loop.until([&] { return one->confirmed.size() == 1; }));
    inventory("[guest vm-1]\nhost = compute-2\n");
    const auto looked = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);  // more than one look
    loop.until([&] { return std::chrono::steady_clock::now() > looked; });
    EXPECT_EQ(get("/v1/faults")["faults"].size(), 1U) << "only its agent knows whether it moved";
}

TEST_F(ControllerTest, CountsWhatAnAgentMustNotSay) {
    start();
    const auto one = welcomed_agent();
    one->report(f1);
    ASSERT_TRUE(loop.until([&] { return one->confirmed.size() == 1; }));
    TestAgent other(loop.io, controller->bus_addresses().at(0), "compute-2");
    ASSERT_TRUE(loop.until([&] { return other.welcomed; }));
    other.report(cleared(f1));
    ASSERT_TRUE(loop.until([&] { return !controller->problems().empty(); }));
    EXPECT_THAT(controller->api().metrics.text(), HasSubstr("vitalwire_controller_bus_refused_total 1"));
    EXPECT_EQ(get("/v1/faults")["faults"].at(0)["state"], "open");
    EXPECT_EQ(controller->problems().list()[0].what, "reports of agent compute-2 are rejected");
}

TEST_F(ControllerTest, SendsThousandsOfPoliciesInPieces) {
    std::string text;
    for (int i = 0; i < 5000; ++i)
        text += "[guest vm-" + std::to_string(i) + "]\nhost = compute-1\nheartbeat = yes\n";
    inventory(text);
    start();
    const auto one = agent();
    ASSERT_TRUE(loop.until([&] { return one->policies.size() == 3; }));
    EXPECT_TRUE(one->policies[0].complete);
    EXPECT_FALSE(one->policies[1].complete);
    EXPECT_EQ(one->policies[0].policies.size() + one->policies[1].policies.size() + one->policies[2].policies.size(),
              5000U);
}

TEST_F(ControllerTest, AcceptsAgentsOverTls) {
    const test::Authority authority(dir);
    const auto ours = authority.issue("controller", "IP:127.0.0.1");
    const auto theirs = authority.issue("compute-1", "DNS:compute-1");
    start("[bus]\nlisten = tls://127.0.0.1:0\nca = " + authority.file() + "\ncertificate = " + ours.certificate +
          "\nkey = " + ours.key + "\n");
    TestAgent one(loop.io, controller->bus_addresses().at(0), "compute-1", true,
                  {authority.file(), theirs.certificate, theirs.key});
    EXPECT_TRUE(loop.until([&] { return one.welcomed; }));
}

TEST_F(ControllerTest, ReportsThatItsStoreWasUnreadable) {
    std::ofstream(dir / "controller.db") << std::string(4096, 'x');
    start();
    ASSERT_EQ(controller->problems().list().size(), 1U);
    EXPECT_THAT(controller->problems().list()[0].detail, HasSubstr("controller.db.unreadable-"));
}

TEST_F(ControllerTest, DeliversAndReportsItWhileTheDiskIsFull) {
    start();
    const auto one = welcomed_agent();
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit full{0, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &full);
    one->report(f1);
    const bool acknowledged = loop.until([&] { return one->confirmed.size() == 1; });
    const bool seen = loop.until([&] { return !controller->problems().empty(); });
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_TRUE(acknowledged);
    ASSERT_TRUE(seen);
    EXPECT_EQ(controller->problems().list()[0].what, "the store cannot be written");
    EXPECT_TRUE(loop.until([&] { return controller->problems().empty(); })) << "there is room again";
}

TEST_F(ControllerTest, DoesNotStartOnAnAddressThatIsTaken) {
    start();
    auto store = runtime::Store::open(loop.io, dir / "second.db");
    Controller second(loop.io, config, "1.0", std::move(*store));
    const auto started = second.start();
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().message, HasSubstr("bus.sock"));
    second.stop();
}

}  // namespace
}  // namespace vitalwire::controller
