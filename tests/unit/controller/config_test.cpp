#include "controller/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "controller/sources/inventory_file.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ControllerConfigTest : public ::testing::Test {
protected:
    ControllerConfig read(const std::string& text, const std::vector<std::string>& settings = {}) {
        auto file = runtime::ConfigFile::parse(text, "c", errors);
        for (const auto& setting : settings)
            file.set(setting, errors);
        return read_controller_config(file, errors);
    }
    /// The mistakes that --check-config reports of policies for the sink a, which is a log.
    std::vector<std::string> check(const std::string& policies) {
        errors.clear();
        auto file = runtime::ConfigFile::parse("[sink a]\ntype = log\n" + policies, "c", errors);
        file.only_checked = true;
        read_controller_config(file, errors);
        std::vector<std::string> of_policies = mistakes();
        std::erase_if(of_policies,
                      [](const std::string& mistake) { return mistake.find("[policy") == std::string::npos; });
        return of_policies;
    }
    std::vector<std::string> mistakes() const {
        std::vector<std::string> out;
        for (const auto& error : errors)
            out.push_back(runtime::to_string(error));
        return out;
    }

    runtime::ConfigErrors errors;
};

TEST_F(ControllerConfigTest, RefusesTwoListenersOnOneAddress) {
    read("[bus]\nlisten = tcp://127.0.0.1:9001\nallow_plain_tcp = yes\n[http]\nlisten = 127.0.0.1:9001 unix:/run/a\n");
    EXPECT_THAT(mistakes(), ElementsAre("c:5: listen: 127.0.0.1:9001 is taken by line 2"));
}

TEST_F(ControllerConfigTest, TheCheckReportsAFileThatCannotBeReadOnce) {
    auto file = runtime::ConfigFile::parse(
        "[bus]\nlisten = tls://127.0.0.1:0\nca = /nowhere/a\ncertificate = /nowhere/b\nkey = /nowhere/c\n", "c",
        errors);
    file.only_checked = true;
    read_controller_config(file, errors);
    auto of_bus = mistakes();
    std::erase_if(of_bus, [](const std::string& mistake) { return mistake.find("[bus]") == std::string::npos; });
    EXPECT_THAT(of_bus,
                ElementsAre(HasSubstr("ca: /nowhere/a: cannot read"), HasSubstr("certificate: /nowhere/b: cannot read"),
                            HasSubstr("key: /nowhere/c: cannot read")));
}

TEST_F(ControllerConfigTest, RefusesListenersThatOverlap) {
    const auto with = [this](const std::string& bus, const std::string& http) {
        errors.clear();
        read("[bus]\nallow_plain_tcp = yes\nlisten = " + bus + "\n[http]\nlisten = " + http + "\n");
        return mistakes();
    };
    EXPECT_THAT(with("unix:///run/a", "unix:/run/a"), ElementsAre("c:5: listen: /run/a is taken by line 3"));
    for (const char* http : {"0.0.0.0:9001", "[::]:9001"})
        EXPECT_THAT(with("tcp://127.0.0.1:9001", http), ElementsAre(HasSubstr("is taken by line 3, which listens on")));
    EXPECT_THAT(with("tcp://0.0.0.0:9001", "127.0.0.1:9001"), ElementsAre(HasSubstr("is taken by line 3")));
    EXPECT_THAT(with("tcp://0.0.0.0:9001", "127.0.0.1:9002 [::1]:9001 unix:/run/a"), IsEmpty());
}

TEST_F(ControllerConfigTest, TakesPortsThatTheKernelChooses) {
    read("[http]\nlisten = 127.0.0.1:0\nlisten = 127.0.0.1:0\n");
    EXPECT_THAT(mistakes(), IsEmpty());
}

TEST_F(ControllerConfigTest, TellsAgentsAfterHowMuchSilenceTheirHostIsUnreachable) {
    EXPECT_EQ(read("").transport.silence, base::Millis(900));
    EXPECT_EQ(read("[self_monitoring]\nhost_unreachable_after = 600 ms\n").transport.silence, base::Millis(600));
    EXPECT_THAT(mistakes(), IsEmpty());
    read("[self_monitoring]\nhost_unreachable_after = 3 s\n");
    EXPECT_THAT(mistakes(), ElementsAre(HasSubstr("host_unreachable_after")));
}

TEST_F(ControllerConfigTest, WorksWithoutAFile) {
    const ControllerConfig config = read("");
    EXPECT_THAT(mistakes(), IsEmpty());
    EXPECT_FALSE(config.host.empty());
    EXPECT_EQ(config.state, "/var/lib/vitalwire/controller/controller.db");
    EXPECT_THAT(config.bus_listen, ElementsAre("unix:///run/vitalwire/controller.sock", "tcp://127.0.0.1:8991"));
    EXPECT_THAT(config.http_listen, ElementsAre("unix:/run/vitalwire/controller-http.sock", "127.0.0.1:8990"));
    EXPECT_FALSE(config.inventory_required);
    ASSERT_EQ(config.sinks.size(), 1U);
    EXPECT_EQ(config.sinks[0].type, "log");
}

TEST_F(ControllerConfigTest, ReadsSinks) {
    const ControllerConfig config = read(
        "[sink inspector]\ntype = doctor\nurl = http://h:1/events\nparallel = 2\n"
        "[sink journal]\ntype = log\n");
    EXPECT_THAT(mistakes(), IsEmpty());
    ASSERT_EQ(config.sinks.size(), 2U);
    EXPECT_EQ(config.sinks[0].name, "inspector");
    EXPECT_EQ(config.sinks[0].delivery.parallel, 2);
    EXPECT_EQ(config.sinks[1].type, "log");
}

TEST_F(ControllerConfigTest, TakesTheCommandLineOverTheFile) {
    const ControllerConfig config =
        read("[bus]\nlisten = tcp://127.0.0.1:1\n[sink s]\ntype = doctor\nurl = http://a/\n",
             {"bus.listen=unix:///x", "inventory.file=/i", "sink.s.mode=single"});
    EXPECT_THAT(mistakes(), IsEmpty());
    EXPECT_THAT(config.bus_listen, ElementsAre("unix:///x"));
    EXPECT_EQ(config.inventory, "/i");
    EXPECT_TRUE(config.inventory_required);
}

TEST_F(ControllerConfigTest, ReportsEveryMistakeAtOnce) {
    read(
        "[controller]\nhost = a b\nlog_level = loud\n[bus]\nlisten = udp://x\n[http]\ntypo = 1\n"
        "[sink a]\ntype = pager\n[sink b/c]\ntype = log\n[sink d]\n[sink e]\ntype = log\nurl = x\n[snk f]\n");
    EXPECT_THAT(
        mistakes(),
        ElementsAre(HasSubstr("c:16: unknown section [snk f]"),
                    HasSubstr("c:2: [controller] host: expected 1 to 253 letters"),
                    HasSubstr("c:3: [controller] log_level: expected one of debug"),
                    HasSubstr("c:5: [bus] listen: expected unix:///path"), HasSubstr("c:7: [http] typo: is no key"),
                    HasSubstr("c:9: [sink a] type: expected one of log, doctor, webhook, vitrage, "
                              "nova_reset_state, masakari, alertmanager, tacker, found 'pager'"),
                    HasSubstr("c:10: [sink NAME]: expected a name of 1 to 64 letters"),
                    HasSubstr("c:12: [sink d] type: is missing"), HasSubstr("c:15: [sink e] url: is no key")));
}

TEST_F(ControllerConfigTest, SharesOutPoliciesToTheSinksThatTheyName) {
    const ControllerConfig config = read(
        "[sink a]\ntype = log\n[sink b]\ntype = log\n"
        "[policy all]\nsinks = a\n"
        "[policy later]\nkinds = heartbeat_lost\nflavors = nfv.* vnf\nhold_off = 2 intervals\nsinks = a b\n");
    EXPECT_THAT(mistakes(), IsEmpty());
    ASSERT_EQ(config.sinks[0].policies->size(), 2U);
    ASSERT_EQ(config.sinks[1].policies->size(), 1U);
    const Policy& later = config.sinks[1].policies->at(0);
    EXPECT_THAT(later.kinds, ElementsAre("heartbeat_lost"));
    EXPECT_THAT(later.flavors, ElementsAre("nfv.*", "vnf"));
    EXPECT_EQ(later.hold_off_intervals, 2);
    EXPECT_FALSE(read("[sink a]\ntype = log\n").sinks[0].policies);
}

TEST_F(ControllerConfigTest, APolicyMayWaitForAGuestWithoutIo) {
    const auto config = read(
        "[sink a]\ntype = log\n"
        "[policy act]\nkinds = heartbeat_lost vm_crashed\nwhen_no_io_for = 120 s\nsinks = a\n");
    EXPECT_THAT(mistakes(), IsEmpty());
    EXPECT_EQ(config.sinks[0].policies->at(0).no_io_for, std::chrono::seconds(120));
    read(
        "[sink a]\ntype = log\n"
        "[policy act]\nkinds = vm_crashed\nwhen_no_io_for = 120 s\nsinks = a\n"
        "[policy soon]\nwhen_no_io_for = 5 s\nsinks = a\n");
    EXPECT_THAT(mistakes(), ElementsAre(HasSubstr("c:5: [policy act] when_no_io_for: has no effect on these kinds"),
                                        HasSubstr("c:8: [policy soon] when_no_io_for: ")));
}

TEST_F(ControllerConfigTest, ReportsEveryMistakeOfThePolicies) {
    read(
        "[sink a]\ntype = log\n[sink b]\ntype = log\n"
        "[policy 1]\nkinds = heartbeat_lost asleep\nsinks = a c\nhold_off = 2 beets\n"
        "[policy 2]\nhold_off = 0 intervals\ntypo = 1\n[policy x/y]\nsinks = b\n");
    EXPECT_THAT(
        mistakes(),
        ElementsAre(HasSubstr("c:6: [policy 1] kinds: expected some of heartbeat_lost, unhealthy, "
                              "not_established, vm_crashed, stopped_by_host, watchdog_fired, running_twice, "
                              "host_unreachable, agent_lost, agent_degraded, sink_failing, test_event, found 'asleep'"),
                    HasSubstr("c:8: [policy 1] hold_off: expected a time"),
                    HasSubstr("c:7: [policy 1] sinks: there is no [sink c]"),
                    HasSubstr("c:10: [policy 2] hold_off: expected a time ('5 s'), or 1 to 1000 intervals"),
                    HasSubstr("c:9: [policy 2] sinks: is missing"), HasSubstr("c:11: [policy 2] typo: is no key"),
                    HasSubstr("c:12: [policy NAME]: expected a name"), HasSubstr("c:3: [sink b]: no policy names it")));
}

/// A default configuration file as it would be with everything in it switched on.
std::string switched_on(const std::string& name) {
    std::ifstream file(std::string(VITALWIRE_SOURCE_DIR) + "/controller/" + name);
    std::string text;
    for (std::string line; std::getline(file, line);) {
        const bool off = testing::Value(line, testing::MatchesRegex(R"(#(\[.*\]|[a-z_]+ = .+))"));
        text += (off ? line.substr(1) : line) + "\n";
    }
    return text;
}

TEST_F(ControllerConfigTest, EveryLineOfTheDefaultFileIsRight) {
    const ControllerConfig config = read(switched_on("vitalwire-controller.conf"));
    // The files with secrets, with certificates, and of the cloud, are an example's.
    EXPECT_THAT(
        mistakes(),
        Each(AnyOf(HasSubstr(": cannot read: No such file"), HasSubstr("secret_file: expected a readable file"),
                   HasSubstr("clouds.yaml cannot be read"), HasSubstr("password_file: expected a readable file"),
                   HasSubstr("token_file: expected a readable file"))));
    ASSERT_EQ(config.sinks.size(), 8U);
    EXPECT_EQ(config.bus_listen, ControllerConfig(read("")).bus_listen);
}

TEST_F(ControllerConfigTest, EveryLineOfTheDefaultInventoryIsRight) {
    const auto file = runtime::ConfigFile::parse(switched_on("inventory.conf"), "i", errors);
    const InventorySnapshot snapshot = read_inventory(file, errors);
    EXPECT_THAT(mistakes(), IsEmpty());
    ASSERT_EQ(snapshot.guests.size(), 1U);
    EXPECT_EQ(snapshot.guests[0].group, snapshot.groups.at(0).id);
}

TEST_F(ControllerConfigTest, TheCheckReportsPoliciesThatCanNeverMatch) {
    EXPECT_THAT(check("[policy hosts]\nkinds = agent_lost host_unreachable\ngroups = g\nsinks = a\n"
                      "[policy rest]\nsinks = a\n"),
                ElementsAre(HasSubstr("c:4: [policy hosts] kinds: can never match: alarms of a whole host")));
    EXPECT_THAT(
        check("[sink t]\ntype = tacker\nlisten = 127.0.0.1:9\n[policy hosts]\nkinds = agent_lost\nsinks = t\n"
              "[policy rest]\nsinks = a\n"),
        ElementsAre(HasSubstr("c:7: [policy hosts] kinds: can never match: its sinks take no alarms of a whole")));
}

TEST_F(ControllerConfigTest, TheCheckReportsAPolicyThatAnotherOneCovers) {
    EXPECT_THAT(check("[policy all]\nsinks = a\n[policy later]\nkinds = unhealthy\nhold_off = 5 s\nsinks = a\n"),
                ElementsAre(HasSubstr("c:6: [policy later] kinds: has no effect: [policy all] sends the same")));
    EXPECT_THAT(check("[policy x]\nflavors = nfv.*\nsinks = a\n[policy y]\nflavors = nfv.small\nsinks = a\n"),
                ElementsAre(HasSubstr("[policy y] sinks: has no effect: [policy x]")));
    EXPECT_THAT(check("[policy x]\nsinks = a\n[policy y]\nwhen_no_io_for = 120 s\nsinks = a\n"),
                ElementsAre(HasSubstr("[policy y] sinks: has no effect: [policy x]")));
    EXPECT_THAT(check("[policy x]\nsinks = a\n[policy y]\nsinks = a\n"),
                ElementsAre(HasSubstr("[policy y] sinks: has no effect: [policy x]")));
}

TEST_F(ControllerConfigTest, TheCheckAcceptsPoliciesThatEachHaveAnEffect) {
    EXPECT_THAT(check("[policy all]\nhold_off = 2 intervals\nsinks = a\n"
                      "[policy soon]\nkinds = vm_crashed\nhold_off = 1 s\nsinks = a\n"
                      "[policy small]\nflavors = nfv.[12]\nhold_off = 10 ms\nsinks = a\n"
                      "[policy large]\nflavors = nfv.3 nfv.*\nhold_off = 500 ms\nsinks = a\n"),
                IsEmpty());
}

TEST_F(ControllerConfigTest, PoliciesWithoutEffectDoNotKeepTheControllerFromStarting) {
    read("[sink a]\ntype = log\n[policy all]\nsinks = a\n[policy later]\nhold_off = 5 s\nsinks = a\n");
    EXPECT_THAT(mistakes(), IsEmpty());
}

}  // namespace
}  // namespace vitalwire::controller
