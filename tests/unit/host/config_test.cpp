#include "host/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::host {
namespace {

using base::Millis;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class AgentConfigTest : public testing::Test {
protected:
    AgentConfig read(std::string_view text) {
        const auto file = runtime::ConfigFile::parse(text, "agent.conf", errors_);
        return read_agent_config(file, errors_);
    }
    std::vector<std::string> mistakes() const {
        std::vector<std::string> out;
        for (const auto& error : errors_)
            out.push_back(runtime::to_string(error));
        return out;
    }

    runtime::ConfigErrors errors_;
};

TEST_F(AgentConfigTest, WorksWithoutAFile) {
    const AgentConfig config = read("");
    EXPECT_THAT(mistakes(), IsEmpty());
    EXPECT_FALSE(config.host.empty());
    EXPECT_THAT(config.directories, ElementsAre("/run/vitalwire/channels"));
    EXPECT_FALSE(config.libvirt);
    EXPECT_THAT(config.controllers, ElementsAre("unix:///run/vitalwire/controller.sock"));
    EXPECT_EQ(config.heartbeat.defaults, heartbeat::HostPolicy{});
}

TEST_F(AgentConfigTest, TheCheckReportsAFileThatCannotBeReadOnce) {
    auto file = runtime::ConfigFile::parse(
        "[bus]\ncontroller = tls://127.0.0.1:1\nca = /nowhere/a\ncertificate = /nowhere/b\nkey = /nowhere/c\n",
        "agent.conf", errors_);
    file.only_checked = true;
    read_agent_config(file, errors_);
    auto of_bus = mistakes();
    std::erase_if(of_bus, [](const std::string& mistake) { return mistake.find("[bus]") == std::string::npos; });
    EXPECT_THAT(of_bus,
                ElementsAre(HasSubstr("ca: /nowhere/a: cannot read"), HasSubstr("certificate: /nowhere/b: cannot read"),
                            HasSubstr("key: /nowhere/c: cannot read")));
}

TEST_F(AgentConfigTest, ReadsEveryKey) {
    const AgentConfig config = read(R"(
[agent]
host = compute-7
state = /srv/agent.db
listen = unix:/srv/agent.sock
log_level = debug
[source directory]
path = /srv/channels
[source libvirt]
uri = qemu+unix:///system?socket=/srv/libvirt-sock
call_deadline = 3 s
guest_agent_calls = 4
[bus]
controller = unix:///srv/a.sock
controller = tcp://127.0.0.1:7001
report_interval = 1 min
controller_silent_after = 600 ms
[heartbeat]
guests = enabled
min_interval = 500 ms
cgcs_min_interval = 1 s
detect_multiplier = 2
cgcs_detect_multiplier = 3
guest_agent = all
guest_agent_interval = 30 s
guest_agent_detect_multiplier = 2
establish_timeout = 5 min
resume_grace = 10 s
action_timeout_max = 45 s
action_votes = no
[limits]
messages_per_second = 50
message_burst = 60
bytes_per_second = 64K
queue = 32K
nacks_per_second = 1
nack_burst = 2
[messaging]
messages_per_second = 7
bytes_per_second = 8K
queue = 16K
)");
    EXPECT_THAT(mistakes(), IsEmpty());
    EXPECT_EQ(config.host.str(), "compute-7");
    EXPECT_EQ(config.state, "/srv/agent.db");
    EXPECT_EQ(config.listen, "unix:/srv/agent.sock");
    EXPECT_EQ(config.log_level, "debug");
    EXPECT_THAT(config.directories, ElementsAre("/srv/channels"));
    EXPECT_EQ(config.libvirt->uri, "qemu+unix:///system?socket=/srv/libvirt-sock");
    EXPECT_EQ(config.libvirt->call_deadline, Millis(3'000));
    EXPECT_THAT(config.controllers, ElementsAre("unix:///srv/a.sock", "tcp://127.0.0.1:7001"));
    EXPECT_EQ(config.report_interval, Millis(60'000));
    EXPECT_EQ(config.transport.silence, Millis(600));
    EXPECT_TRUE(config.heartbeat.only_enabled);
    EXPECT_EQ(config.heartbeat.defaults.native_min_interval, Millis(500));
    EXPECT_EQ(config.heartbeat.defaults.cgcs_min_interval, Millis(1000));
    EXPECT_EQ(config.heartbeat.defaults.native_detect_multiplier, 2);
    EXPECT_EQ(config.heartbeat.defaults.cgcs_detect_multiplier, 3);
    EXPECT_EQ(config.libvirt->guest_agent_calls, 4);
    EXPECT_EQ(config.guest_agents.calls, 4);
    EXPECT_EQ(config.heartbeat.guest_agents, Monitor::GuestAgents::all);
    EXPECT_EQ(config.heartbeat.defaults.guest_agent_interval, Millis(30'000));
    EXPECT_EQ(config.heartbeat.defaults.guest_agent_detect_multiplier, 2);
    EXPECT_EQ(config.messaging, (group::Limits{false, 7, 8192, 2}));
    EXPECT_EQ(config.limits.group_queue, 16'384U);
    EXPECT_EQ(config.heartbeat.defaults.establish_timeout, Millis(300'000));
    EXPECT_EQ(config.heartbeat.defaults.resume_grace, Millis(10'000));
    EXPECT_EQ(config.actions.timeout_max, Millis(45'000));
    EXPECT_FALSE(config.actions.votes);
    EXPECT_EQ(config.limits.messages_per_second, 50);
    EXPECT_EQ(config.limits.message_burst, 60);
    EXPECT_EQ(config.limits.bytes_per_second, 65536);
    EXPECT_EQ(config.limits.queue, 32768U);
    EXPECT_EQ(config.limits.nacks_per_second, 1);
    EXPECT_EQ(config.limits.nack_burst, 2);
}

TEST_F(AgentConfigTest, ASourceThatIsNamedTakesThePlaceOfTheDefaultOne) {
    const AgentConfig config = read("[source libvirt]\n");
    EXPECT_THAT(mistakes(), IsEmpty());
    EXPECT_EQ(config.libvirt->uri, "qemu:///system");
    EXPECT_EQ(config.libvirt->call_deadline, Millis(10'000));
    EXPECT_TRUE(config.libvirt->hot_plug);
    EXPECT_THAT(config.directories, IsEmpty());
}

TEST_F(AgentConfigTest, ASourceOfLibvirtIsOfThisHostAndAnswersInTime) {
    read(
        "[source libvirt]\n"
        "uri = qemu+ssh://elsewhere/system\n"
        "call_deadline = 0 s\n");
    EXPECT_THAT(mistakes(), ElementsAre(HasSubstr("agent.conf:2: [source libvirt] uri"),
                                        HasSubstr("agent.conf:3: [source libvirt] call_deadline")));
}

TEST_F(AgentConfigTest, ReportsEveryMistakeAtOnceWithItsLine) {
    read(
        "[agent]\n"
        "host = two words\n"
        "log_level = loud\n"
        "[source cloud]\n"
        "[source directory]\n"
        "path = relative\n"
        "[bus]\n"
        "controller = http://somewhere\n"
        "[heartbeat]\n"
        "detect_multiplier = none\n"
        "min_interval = 10 ms\n"
        "[limits]\n"
        "quue = 1\n");
    EXPECT_THAT(mistakes(), testing::UnorderedElementsAre(
                                HasSubstr("agent.conf:2: [agent] host"), HasSubstr("agent.conf:3: [agent] log_level"),
                                HasSubstr("agent.conf:4: unknown source 'cloud'"), HasSubstr("agent.conf:6: "),
                                HasSubstr("agent.conf:8: [bus] controller"),
                                HasSubstr("agent.conf:10: [heartbeat] detect_multiplier"),
                                HasSubstr("agent.conf:11: [heartbeat] min_interval"), HasSubstr("agent.conf:13: ")));
}

TEST_F(AgentConfigTest, ServesMetricsOverTcpOnlyWhereItIsTold) {
    EXPECT_THAT(read("").metrics_listen, IsEmpty());
    EXPECT_THAT(read("[metrics]\nlisten = 127.0.0.1:9108 [::1]:9108\n").metrics_listen,
                ElementsAre("127.0.0.1:9108", "[::1]:9108"));
    EXPECT_THAT(mistakes(), IsEmpty());
    read("[metrics]\nlisten = localhost:9108\n");
    EXPECT_THAT(mistakes(), ElementsAre(HasSubstr("agent.conf:2: [metrics] listen: expected an IP address")));
}

TEST_F(AgentConfigTest, CanDoWithoutAController) {
    EXPECT_THAT(read("[bus]\ncontroller = none\n").controllers, IsEmpty());
    EXPECT_THAT(mistakes(), IsEmpty());
}

}  // namespace
}  // namespace vitalwire::host
