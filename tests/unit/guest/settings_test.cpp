#include "guest/settings.hpp"

#include <gmock/gmock.h>

#include <vector>

#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SettingsTest : public testing::Test {
protected:
    Options options(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "vitalwired");
        std::vector<char*> argv;
        for (std::string& argument : arguments)
            argv.push_back(argument.data());
        auto parsed = parse_options(static_cast<int>(argv.size()), argv.data());
        if (!parsed) throw std::runtime_error(parsed.error().message);
        return *parsed;
    }
    /// What stands in the configuration file when the daemon starts with `arguments`.
    std::optional<Settings> load(const std::string& text, std::vector<std::string> arguments = {}) {
        arguments.insert(arguments.end(), {"--config", dir_.write("vitalwired.conf", text)});
        mistakes_.clear();
        runtime::ConfigErrors errors;
        auto settings = load_settings(options(std::move(arguments)), errors);
        for (const auto& error : errors) {
            std::string mistake = to_string(error);
            if (const auto at = mistake.find("vitalwired.conf:"); at != std::string::npos) mistake.erase(0, at + 16);
            mistakes_.push_back(mistake);
        }
        return settings;
    }

    TempDir dir_;
    std::vector<std::string> mistakes_;
};

TEST_F(SettingsTest, HasADefaultForEverything) {
    const auto settings = load("");
    ASSERT_TRUE(settings);
    EXPECT_EQ(settings->channel, "org.vitalwire.0");
    EXPECT_EQ(settings->heartbeat.detection_time, std::nullopt) << "the operator decides";
    EXPECT_EQ(settings->heartbeat.interval, std::nullopt);
    EXPECT_FALSE(settings->heartbeat.name.empty());
    EXPECT_EQ(settings->heartbeat.response_deadline, std::nullopt);
    EXPECT_EQ(settings->applications.socket, "/run/vitalwire/guest.sock");
    EXPECT_EQ(settings->applications.state, "/run/vitalwire/guest.state");
    EXPECT_EQ(settings->applications.max, 32U);
    EXPECT_EQ(settings->sdk.socket, "") << "abstract sockets have no owner";
    EXPECT_EQ(settings->sdk.application, "cgcs.server_grp");
    EXPECT_THAT(settings->checks, IsEmpty());
}

TEST_F(SettingsTest, ReadsEveryKey) {
    const auto settings = load(R"(
[channel]
name = /dev/vport0p3
[heartbeat]
name = db server 1
detection_time = 800 ms
interval = 500 ms
response_deadline = 300 ms
corrective_action = stop
[actions]
event_script = /usr/lib/vnf/on-event
user = root
vote_time = 3 s
shutdown_notice = 10 min
suspend_notice = 0 s
resume_notice = 1 s
[check disk]
command = df / | grep -q 100% && { echo full; exit 1; } || exit 0
interval = 30 s
timeout = 2 s
grace = 1 min
[applications]
socket = /run/x/apps
group = daemon
max = 7
[sdk]
socket = cgcs.messaging
application = x
[log]
level = debug
)");
    ASSERT_TRUE(settings) << mistakes_.front();
    EXPECT_EQ(settings->channel, "/dev/vport0p3");
    EXPECT_EQ(settings->sdk, (SdkSettings{"cgcs.messaging", "x"}));
    EXPECT_EQ(settings->heartbeat.name, "db server 1");
    EXPECT_EQ(settings->heartbeat.detection_time, milliseconds(800));
    EXPECT_EQ(settings->heartbeat.interval, milliseconds(500));
    EXPECT_EQ(settings->heartbeat.response_deadline, milliseconds(300));
    EXPECT_EQ(settings->heartbeat.corrective_action, model::CorrectiveAction::stop);
    EXPECT_EQ(settings->actions, (ActionSettings{"/usr/lib/vnf/on-event", "root"}));
    EXPECT_EQ(settings->heartbeat.notice_times, (model::NoticeTimes{seconds(3), seconds(600), seconds(0), seconds(1)}));
    EXPECT_THAT(settings->checks,
                ElementsAre(CheckSettings{"disk", "df / | grep -q 100% && { echo full; exit 1; } || exit 0",
                                          seconds(30), seconds(2), seconds(60)}));
    EXPECT_EQ(settings->applications,
              (ApplicationSettings{"/run/x/apps", "daemon", 7, 4, "/run/x/notify", seconds(30), "/run/x/apps.state"}))
        << "half of it each, and the other socket and the state beside";
    EXPECT_EQ(settings->log_level, log::Level::debug);
}

TEST_F(SettingsTest, ReadsChecksOfEveryType) {
    const auto settings = load(R"(
[check a]
command = true
user = root
failures = 3
successes = 2
role = startup
[check b]
type = http
url = http://[::1]:8080/healthz
role = readiness
[check c]
type = tcp
address = localhost:5432
[check d]
type = unix
path = /run/d.sock
[check e]
type = systemd
unit = getty@tty1.service
)");
    ASSERT_TRUE(settings) << mistakes_.front();
    const auto with = [](const std::string& name, CheckType type, const std::string& target) {
        return CheckSettings{name, target, seconds(10), seconds(5), seconds(0), type};
    };
    auto a = with("a", CheckType::exec, "true");
    a.user = "root";
    a.failures = 3;
    a.successes = 2;
    a.role = CheckRole::startup;
    auto b = with("b", CheckType::http, "http://[::1]:8080/healthz");
    b.role = CheckRole::readiness;
    EXPECT_THAT(settings->checks, ElementsAre(a, b, with("c", CheckType::tcp, "localhost:5432"),
                                              with("d", CheckType::unix_socket, "/run/d.sock"),
                                              with("e", CheckType::systemd, "getty@tty1.service")));
}

TEST_F(SettingsTest, NamesEveryMistakeOfAChecksTarget) {
    EXPECT_FALSE(load(R"([check a]
user = no-such-user
command = true
[check b]
type = http
url = https://127.0.0.1/
[check c]
type = tcp
address = db.example.net:5432
[check d]
type = unix
path = run/d.sock
[check e]
type = systemd
unit = $(reboot).service
[check f]
type = http
command = true
[check g]
role = soon
command = true
)"));
    EXPECT_THAT(mistakes_, ElementsAre(HasSubstr("2: [check a] user: there is no local user 'no-such-user'"),
                                       HasSubstr("6: [check b] url: expected http://HOST"),
                                       HasSubstr("9: [check c] address: expected HOST:PORT with an IP address"),
                                       HasSubstr("12: [check d] path: expected an absolute path"),
                                       HasSubstr("15: [check e] unit: expected the name of a unit"),
                                       HasSubstr("16: [check f] url: is missing"),
                                       HasSubstr("18: [check f] command: is no key of this section"),
                                       HasSubstr("20: [check g] role: expected one of liveness, readiness, startup")));
}

TEST_F(SettingsTest, DescribesEveryValueAndWhereItComesFrom) {
    const std::string path =
        dir_.write("vitalwired.conf", "[heartbeat]\nname = db\n[check web]\ntype = tcp\naddress = 127.0.0.1:80\n");
    const Options given = options({"--interval", "700", "--config", path});
    runtime::ConfigErrors errors;
    const auto settings = load_settings(given, errors);
    ASSERT_TRUE(settings);
    const std::string text = describe_settings(given, *settings);
    EXPECT_THAT(text, HasSubstr("[channel]\nname = org.vitalwire.0  # default\n"));
    EXPECT_THAT(text, HasSubstr("\nname = db  # " + path + ":2\n"));
    EXPECT_THAT(text, HasSubstr("\ninterval = 700 ms  # command line\n"));
    EXPECT_THAT(text,
                HasSubstr("\n[check web]\ntype = tcp  # " + path + ":4\naddress = 127.0.0.1:80  # " + path + ":5\n"));
    EXPECT_THAT(text, HasSubstr("\nfailures = 1  # default\n"));
    EXPECT_THAT(text, HasSubstr("\nmax_per_user = 16  # default\n"));
}

TEST_F(SettingsTest, NamesEveryMistakeWithItsLine) {
    EXPECT_FALSE(load(R"([heartbeat]
interval = 30 ms
response_deadline = 20 ms
colour = red
[check a/b]
interval = soon
[check]
[applications]
socket = here
max = 0
[voting]
[log]
level = loud
[sdk]
socket = /a/b
)"));
    EXPECT_THAT(mistakes_,
                ElementsAre(HasSubstr("2: [heartbeat] interval: expected a time from 100 ms to 1 h"),
                            HasSubstr("3: [heartbeat] response_deadline: expected a time from 50 ms to 1 h"),
                            HasSubstr("4: [heartbeat] colour: is no key of this section"),
                            HasSubstr("5: [check NAME]: expected a name of at most 32 letters"),
                            HasSubstr("5: [check a/b] command: is missing"),
                            HasSubstr("6: [check a/b] interval: expected a time from 100 ms to 1 d"),
                            HasSubstr("7: unknown section [check]"),
                            HasSubstr("9: [applications] socket: expected an absolute path"),
                            HasSubstr("10: [applications] max: expected a whole number from 1 to 1024, found '0'"),
                            HasSubstr("11: unknown section [voting]"),
                            HasSubstr("13: [log] level: expected one of debug, info, warning, error, found 'loud'"),
                            HasSubstr("15: [sdk] socket: expected at most 107 letters")));
}

TEST_F(SettingsTest, TheDetectionTimeIsTheSumOfIntervalAndDeadline) {
    EXPECT_TRUE(load("[heartbeat]\ndetection_time = 200 ms\n"));
    EXPECT_TRUE(load("[heartbeat]\ndetection_time = 900 ms\ninterval = 850 ms\n"));
    for (const char* times :
         {"detection_time = 900 ms\ninterval = 300 ms\nresponse_deadline = 500 ms\n",
          "detection_time = 900 ms\ninterval = 851 ms\n", "detection_time = 900 ms\nresponse_deadline = 801 ms\n"}) {
        mistakes_.clear();
        EXPECT_FALSE(load("[heartbeat]\n" + std::string(times)));
        EXPECT_THAT(mistakes_, ElementsAre(HasSubstr("detection_time: expected the sum of interval and")));
    }
}

TEST_F(SettingsTest, RefusesTimesThatHostsRefuse) {
    for (const char* times :
         {"interval = 1 h\n", "response_deadline = 50 ms\n", "response_deadline = 3599900 ms\n",
          "interval = 150 ms\nresponse_deadline = 50 ms\n", "interval = 30 min\nresponse_deadline = 30 min\n"})
        EXPECT_TRUE(load("[heartbeat]\n" + std::string(times))) << times;
    for (const char* times :
         {"response_deadline = 1 h\n", "interval = 149 ms\nresponse_deadline = 50 ms\n",
          "interval = 1 h\nresponse_deadline = 1 h\n", "interval = 100 ms\nresponse_deadline = 3599901 ms\n"}) {
        mistakes_.clear();
        EXPECT_FALSE(load("[heartbeat]\n" + std::string(times))) << times;
        EXPECT_THAT(mistakes_, ElementsAre(HasSubstr("response_deadline: expected 200 ms to 1 h together with")));
    }
}

TEST_F(SettingsTest, TheTimesOfTheCommandLineReplaceThoseOfTheFile) {
    const std::string file = "[heartbeat]\ndetection_time = 2 s\nresponse_deadline = 1 s\n";
    const auto settings = load(file, {"--detection-time", "600"});
    ASSERT_TRUE(settings);
    EXPECT_EQ(settings->heartbeat.detection_time, milliseconds(600));
    EXPECT_EQ(settings->heartbeat.response_deadline, std::nullopt);
    EXPECT_FALSE(load(file, {"--detection-time", "600", "--interval", "551"}));
}

TEST_F(SettingsTest, TheCommandLineWinsOverTheFile) {
    const auto settings =
        load("[heartbeat]\nname = file\ninterval = 2 s\nresponse_deadline = 1 s\n[log]\nlevel = debug\n",
             {"--name", "line", "--interval", "700", "--channel", "unix:/x/c", "--app-socket", "none", "--log-level",
              "error"});
    ASSERT_TRUE(settings);
    EXPECT_EQ(settings->heartbeat.name, "line");
    EXPECT_EQ(settings->heartbeat.interval, milliseconds(700));
    EXPECT_EQ(settings->heartbeat.response_deadline, std::nullopt) << "the times of the file belong together";
    EXPECT_EQ(settings->channel, "unix:/x/c");
    EXPECT_EQ(settings->applications.socket, "");
    EXPECT_EQ(settings->log_level, log::Level::error);
}

TEST_F(SettingsTest, NamesEveryMistakeOfTheCommandLine) {
    EXPECT_FALSE(load(
        "", {"--name", std::string(65, 'n'), "--channel", "a b", "--app-socket", "relative", "--log-level", "loud"}));
    EXPECT_THAT(mistakes_,
                ElementsAre("command line: --channel: expected the name of a virtio-serial port, /dev/... or "
                            "unix:PATH",
                            "command line: --name: expected 1 to 64 bytes of UTF-8",
                            "command line: --app-socket: expected an absolute path of at most 107 bytes, or "
                            "none",
                            "command line: --log-level: expected one of debug, info, warning, error"));
}

TEST_F(SettingsTest, AGroupThatDoesNotExistIsAMistakeWhenOnlyChecked) {
    const std::string file = "[applications]\ngroup = no-such-group\n";
    EXPECT_TRUE(load(file)) << "it may be made later, and the heartbeat does not wait for it";
    EXPECT_FALSE(load(file, {"--check-config"}));
    EXPECT_THAT(mistakes_, ElementsAre(HasSubstr("2: [applications] group: there is no local group 'no-such-group'")));
}

TEST_F(SettingsTest, NothingSharesAPathWithASocket) {
    EXPECT_FALSE(load("[applications]\nsocket = /x/a\nnotify_socket = /x/a\n"));
    EXPECT_THAT(mistakes_, ElementsAre(HasSubstr("3: [applications] notify_socket: expected another path than that of "
                                                 "[applications] socket, found /x/a")));
    EXPECT_FALSE(load("[applications]\nsocket = /x/notify\n")) << "where the default of the other one is";
    EXPECT_THAT(mistakes_, ElementsAre(HasSubstr("2: [applications] notify_socket: expected another path")));
    EXPECT_FALSE(load("[channel]\nname = unix:/x/c\n[sdk]\nheartbeat_socket = /x/c\n"));
    EXPECT_THAT(mistakes_, ElementsAre(HasSubstr("4: [sdk] heartbeat_socket: expected another path")));
    EXPECT_FALSE(load("[applications]\nsocket = /x/a\nstate = /x/a\n"));
    EXPECT_FALSE(load("[applications]\nnotify_socket = /x/n\n", {"--app-socket", "/x/n"}));
    EXPECT_TRUE(load("[applications]\nsocket = none\nnotify_socket = none\nstate = none\n"));
}

TEST_F(SettingsTest, ANamedFileThatIsMissingIsAMistake) {
    runtime::ConfigErrors errors;
    EXPECT_FALSE(load_settings(options({"--config", dir_ / "missing.conf"}), errors));
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_THAT(to_string(errors[0]), HasSubstr("missing.conf: cannot read: No such file or directory"));
}

TEST_F(SettingsTest, RefusesOptionsThatDoNotExist) {
    EXPECT_THROW(options({"--no-such-option"}), std::runtime_error);
    EXPECT_THROW(options({"stray"}), std::runtime_error);
    EXPECT_THROW(options({"--interval", "99"}), std::runtime_error);
    EXPECT_THROW(options({"--interval", "1s"}), std::runtime_error);
    EXPECT_THROW(options({"--detection-time", "199"}), std::runtime_error);
}

}  // namespace
}  // namespace vitalwire::guest::test
