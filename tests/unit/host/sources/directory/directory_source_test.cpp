#include "host/sources/directory/directory_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/host/unix_peer.hpp"

namespace vitalwire::host {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using wire::ChannelKind;

TEST(SocketName, NamesTheChannelAndTheGuest) {
    const auto name = parse_socket_name("org.vitalwire.0.vm.7_a-b.sock");
    ASSERT_TRUE(name);
    EXPECT_EQ(name->guest.str(), "vm.7_a-b");
    EXPECT_EQ(name->channel, ChannelKind::native);
    EXPECT_EQ(parse_socket_name("cgcs.heartbeat.u-1.sock")->channel, ChannelKind::cgcs_heartbeat);
    EXPECT_EQ(parse_socket_name("cgcs.messaging.instance-00000001.sock")->channel, ChannelKind::cgcs_messaging);
    for (const char* file : {"org.qemu.guest_agent.0.vm.1.sock", "org.vitalwire.qga.0.vm.1.sock"}) {
        EXPECT_EQ(parse_socket_name(file)->channel, ChannelKind::guest_agent);
        EXPECT_EQ(parse_socket_name(file)->guest.str(), "vm.1");
    }
}

TEST(SocketName, NamesTheMonitorOfAGuest) {
    const auto name = parse_socket_name("vm1.qmp");
    ASSERT_TRUE(name);
    EXPECT_EQ(name->guest.str(), "vm1");
    EXPECT_FALSE(name->channel);
}

TEST(SocketName, IsExactAndNeverCut) {
    const std::string longest(128, 'g');
    EXPECT_EQ(parse_socket_name("org.vitalwire.0." + longest + ".sock")->guest.str(), longest);
    for (const std::string& other :
         {std::string("org.vitalwire.0.vm.sock.bak"), std::string("org.vitalwire.0..sock"),
          std::string("org.vitalwire.0.sock"), std::string("org.vitalwire.1.vm.sock"), std::string("vm.sock"),
          std::string("org.vitalwire.0.v m.sock"), std::string("org.vitalwire.0.v\nm.sock"), std::string(".qmp"),
          std::string("org.vitalwire.0vm.sock"), std::string(""), "org.vitalwire.0." + longest + "g.sock"})
        EXPECT_FALSE(parse_socket_name(other)) << other;
}

class DirectorySourceTest : public testing::Test, protected ChannelSource::Handler {
protected:
    void start() {
        source_ = std::make_unique<DirectorySource>(io_, dir_ / "channels", look_around_every_);
        ChannelSource::Handler& events = *this;
        source_->start(events);
        ASSERT_TRUE(run_until(io_, [&] { return listed_; }));
    }
    ~DirectorySourceTest() override {
        if (source_) source_->stop();
        io_.restart();
        io_.poll();
    }
    std::unique_ptr<UnixPeer> listen(const std::string& name) {
        std::filesystem::create_directories(dir_ / "channels");
        return std::make_unique<UnixPeer>(dir_ / ("channels/" + name));
    }
    bool told(const std::string& what) {
        return run_until(io_, [&] { return std::find(told_.begin(), told_.end(), what) != told_.end(); });
    }
    /// Lets everything happen that is under way: a fresh socket is told after all before it.
    void settle() {
        static int number = 0;
        const std::string name = "settle" + std::to_string(++number);
        const auto socket = listen("org.vitalwire.0." + name + ".sock");
        ASSERT_TRUE(told("channel " + name + " org.vitalwire.0"));
        std::erase(told_, "channel " + name + " org.vitalwire.0");
    }

    void on_channel(const base::GuestId& guest, ChannelKind kind, const std::string& path, base::Millis) override {
        told_.push_back("channel " + guest.str() + ' ' + std::string(wire::channel_name(kind)));
        path_ = path;
    }
    void on_channel_gone(const base::GuestId& guest, ChannelKind kind) override {
        told_.push_back("channel gone " + guest.str() + ' ' + std::string(wire::channel_name(kind)));
    }
    void on_machine(const base::GuestId& guest, const heartbeat::HostEvent& event) override {
        std::string what = "event";
        if (const auto* found = std::get_if<heartbeat::Found>(&event)) {
            what = "found";
            runs_.push_back(found->run);
        }
        if (std::holds_alternative<heartbeat::Started>(event)) what = "started";
        if (std::holds_alternative<heartbeat::Released>(event)) what = "released";
        if (const auto* crashed = std::get_if<heartbeat::Crashed>(&event))
            what = "crashed " + std::string(to_string(crashed->reason));
        if (const auto* stopped = std::get_if<heartbeat::Stopped>(&event))
            what = "stopped " + std::string(to_string(stopped->reason));
        told_.push_back(what + ' ' + guest.str());
    }
    void on_gone(const base::GuestId& guest, heartbeat::StopReason why) override {
        told_.push_back("gone " + guest.str() + ' ' + std::string(to_string(why)));
    }
    void on_listed(ChannelSource&, const SourceListing& listing) override {
        listed_ = true;
        unread_ = listing.unread;
        places_.push_back(listing.place);
    }
    bool is_connected(const base::GuestId& guest, ChannelKind) override { return connected_.contains(guest.str()); }
    void on_attached(const base::GuestId&, ChannelKind, const std::string&) override {}
    void on_unreadable(const base::GuestId& guest, const std::string& why) override {
        told_.push_back(why.empty() ? "readable " + guest.str() : "unreadable " + guest.str() + ": " + why);
    }
    void on_unused_entries(ChannelSource&, const std::string& entries) override { unused_.push_back(entries); }
    void on_unattachable(const std::set<base::GuestId>&) override {}
    void on_source_problem(ChannelSource&, const std::string& problem) override { problems_.push_back(problem); }

    TempDir dir_;
    boost::asio::io_context io_;
    std::unique_ptr<DirectorySource> source_;
    std::vector<std::string> told_;
    std::vector<std::string> problems_;
    std::vector<std::string> unused_;  ///< entries, as told
    std::string path_;
    base::Millis look_around_every_{50};
    std::vector<std::string> runs_;
    bool listed_ = false;
    std::set<base::GuestId> unread_;
    std::vector<std::string> places_;
    std::set<std::string> connected_;
};

TEST_F(DirectorySourceTest, MakesItsDirectory) {
    start();
    EXPECT_TRUE(std::filesystem::is_directory(dir_ / "channels"));
    EXPECT_THAT(told_, IsEmpty());
}

TEST_F(DirectorySourceTest, FindsTheSocketsThatAreThereBeforeItSaysListed) {
    const auto a = listen("org.vitalwire.0.a.sock");
    const auto b = listen("cgcs.heartbeat.b.sock");
    start();
    EXPECT_THAT(told_, UnorderedElementsAre("channel a org.vitalwire.0", "channel b cgcs.heartbeat"));
}

TEST_F(DirectorySourceTest, FindsASocketWhenItIsMade) {
    start();
    const auto a = listen("org.vitalwire.0.a.sock");
    EXPECT_TRUE(told("channel a org.vitalwire.0"));
    EXPECT_EQ(path_, dir_ / "channels/org.vitalwire.0.a.sock");
}

TEST_F(DirectorySourceTest, LeavesOtherFilesAlone) {
    start();
    std::ofstream(dir_ / "channels/org.vitalwire.0.plain.sock") << "no socket";
    const auto backup = listen("org.vitalwire.0.a.sock.bak");
    settle();
    EXPECT_THAT(told_, IsEmpty());
}

TEST_F(DirectorySourceTest, TellsThatAGuestIsGoneWhenItsLastSocketWasRemoved) {
    const auto native = listen("org.vitalwire.0.a.sock");
    const auto cgcs = listen("cgcs.heartbeat.a.sock");
    start();
    told_.clear();
    native->end();
    EXPECT_TRUE(told("channel gone a org.vitalwire.0"));
    EXPECT_THAT(told_, ElementsAre("channel gone a org.vitalwire.0"));
    cgcs->end();
    EXPECT_TRUE(told("gone a removed"));
}

TEST_F(DirectorySourceTest, TakesASocketThatIsMadeAnewAtOnceForTheSameChannel) {
    auto first = listen("org.vitalwire.0.a.sock");
    start();
    told_.clear();
    first->end();
    const auto second = listen("org.vitalwire.0.a.sock");
    EXPECT_TRUE(told("channel a org.vitalwire.0"));
    const auto other = listen("org.vitalwire.0.b.sock");
    ASSERT_TRUE(told("channel b org.vitalwire.0"));
    other->end();
    EXPECT_TRUE(told("gone b removed"));
    EXPECT_THAT(told_, testing::Not(Contains("channel gone a org.vitalwire.0")));
}

TEST_F(DirectorySourceTest, KeepsTheGuestOfASocketWhoseListenerDied) {
    const auto a = listen("org.vitalwire.0.a.sock");
    start();
    told_.clear();
    a->die();
    settle();
    EXPECT_THAT(told_, IsEmpty());
}

TEST_F(DirectorySourceTest, LearnsTheStateOfTheMachineFromItsMonitor) {
    const auto monitor = listen("a.qmp");
    start();
    ASSERT_TRUE(run_until(io_, [&] { return monitor->accept(); }));
    monitor->write("{\"QMP\": {}}\r\n");
    ASSERT_TRUE(run_until(io_, [&] { return monitor->received().find("qmp_capabilities") != std::string::npos; }));
    monitor->write("{\"return\": {}, \"id\": \"capabilities\"}\r\n");
    ASSERT_TRUE(run_until(io_, [&] { return monitor->received().find("query-status") != std::string::npos; }));
    monitor->write("{\"return\": {\"status\": \"running\"}, \"id\": \"status\"}\r\n");
    EXPECT_TRUE(told("released a"));
    monitor->die();
    EXPECT_TRUE(told("crashed failed a"));
}

TEST_F(DirectorySourceTest, AGuestWithAMonitorAloneIsUnreadUntilThatAnswers) {
    const auto monitor = listen("a.qmp");
    const auto channel = listen("org.vitalwire.0.b.sock");
    start();
    EXPECT_EQ(unread_, std::set<base::GuestId>{base::GuestId("a")});
}

TEST_F(DirectorySourceTest, AMonitorThatIsRemovedIsMissedUntilThereIsAnother) {
    const auto channel = listen("org.vitalwire.0.a.sock");
    auto monitor = listen("a.qmp");
    start();
    ASSERT_TRUE(run_until(io_, [&] { return monitor->accept(); }));
    monitor->end();
    EXPECT_TRUE(told("unreadable a: its QEMU monitor " + (dir_ / "channels/a.qmp") + " was removed"));
    monitor = listen("a.qmp");
    ASSERT_TRUE(run_until(io_, [&] { return monitor->accept(); }));
    monitor->write("{\"QMP\": {}}\r\n{\"return\": {}, \"id\": \"capabilities\"}\r\n");
    monitor->write("{\"return\": {\"status\": \"running\"}, \"id\": \"status\"}\r\n");
    EXPECT_TRUE(told("readable a"));
}

TEST_F(DirectorySourceTest, AMonitorThatIsReplacedWhileItsConnectionIsOpenIsConnectedAnew) {
    const auto channel = listen("org.vitalwire.0.a.sock");
    const auto hung = listen("a.qmp");
    start();
    ASSERT_TRUE(run_until(io_, [&] { return hung->accept(); }));
    const auto monitor = listen("a.qmp");
    EXPECT_TRUE(run_until(io_, [&] { return monitor->accept(); }));
}

TEST_F(DirectorySourceTest, AMachineThatWasEndedAndStartedIsInAnotherRun) {
    const auto found = [&](UnixPeer& monitor, std::size_t times) {
        ASSERT_TRUE(run_until(io_, [&] { return monitor.accept(); }));
        monitor.write("{\"QMP\": {}}\r\n{\"return\": {}, \"id\": \"capabilities\"}\r\n");
        monitor.write("{\"return\": {\"status\": \"running\"}, \"id\": \"status\"}\r\n");
        ASSERT_TRUE(run_until(io_, [&] { return runs_.size() == times; }));
    };
    const auto first = listen("a.qmp");
    start();
    found(*first, 1);
    source_->stop();
    first->hang_up();
    start();  // as an agent that is restarted
    found(*first, 2);
    EXPECT_EQ(runs_.at(0), runs_.at(1));
    source_->stop();
    const auto second = listen("a.qmp");
    start();
    found(*second, 3);
    EXPECT_NE(runs_.at(2), runs_.at(1));
}

TEST_F(DirectorySourceTest, ASocketBehindALinkThatIsRemovedHasEndedInOrder) {
    look_around_every_ = std::chrono::hours(1);
    std::filesystem::create_directories(dir_ / "channels");
    std::filesystem::create_directories(dir_ / "run");
    auto a = std::make_unique<UnixPeer>(dir_ / "run/a");
    std::filesystem::create_symlink(dir_ / "run/a", dir_ / "channels/org.vitalwire.0.a.sock");
    start();
    ASSERT_TRUE(told("channel a org.vitalwire.0"));
    a->end();
    EXPECT_TRUE(told("gone a removed"));
    told_.clear();
    a = std::make_unique<UnixPeer>(dir_ / "run/a");
    EXPECT_TRUE(told("channel a org.vitalwire.0")) << "it is there again, behind the same link";
    std::filesystem::remove_all(dir_ / "run");
    EXPECT_TRUE(told("gone a removed")) << "with its directory";
}

TEST_F(DirectorySourceTest, ALinkMayLeadToASocketInTheDirectoryItself) {
    look_around_every_ = std::chrono::hours(1);
    const auto a = listen("a");
    std::filesystem::create_symlink("a", dir_ / "channels/org.vitalwire.0.a.sock");
    start();
    ASSERT_TRUE(told("channel a org.vitalwire.0"));
    a->end();
    EXPECT_TRUE(told("gone a removed"));
}

TEST_F(DirectorySourceTest, ALinkThatLeadsToAnotherSocketIsFollowed) {
    look_around_every_ = std::chrono::hours(1);
    std::filesystem::create_directories(dir_ / "run");
    const auto one = std::make_unique<UnixPeer>(dir_ / "run/one");
    const auto two = std::make_unique<UnixPeer>(dir_ / "run/two");
    std::filesystem::create_directories(dir_ / "channels");
    const std::string link = dir_ / "channels/org.vitalwire.0.a.sock";
    std::filesystem::create_symlink(dir_ / "run/one", link);
    start();
    ASSERT_TRUE(told("channel a org.vitalwire.0"));
    told_.clear();
    std::filesystem::create_symlink(dir_ / "run/two", dir_ / "new");
    std::filesystem::rename(dir_ / "new", link);
    ASSERT_TRUE(told("channel a org.vitalwire.0"));
    told_.clear();
    one->end();
    settle();
    EXPECT_THAT(told_, IsEmpty());
    two->end();
    EXPECT_TRUE(told("gone a removed"));
}

TEST_F(DirectorySourceTest, FindsAMachineThatDiedWhileNobodyWatched) {
    const auto monitor = listen("a.qmp");
    monitor->die();
    start();
    EXPECT_TRUE(told("crashed failed a"));
}

TEST_F(DirectorySourceTest, AGuestIsNotGoneBecauseItsDirectoryIs) {
    const auto a = listen("org.vitalwire.0.a.sock");
    start();
    told_.clear();
    std::filesystem::rename(dir_ / "channels", dir_ / "elsewhere");
    ASSERT_TRUE(run_until(io_, [&] { return !problems_.empty(); }));
    const auto b = listen("org.vitalwire.0.b.sock");
    EXPECT_TRUE(told("channel b org.vitalwire.0"));
    settle();
    EXPECT_THAT(told_, ElementsAre("channel b org.vitalwire.0"));
    EXPECT_THAT(problems_, ElementsAre("the directory was removed")) << "and a is still missing";
    std::filesystem::rename(dir_ / "elsewhere/org.vitalwire.0.a.sock", dir_ / "channels/org.vitalwire.0.a.sock");
    EXPECT_TRUE(run_until(io_, [&] { return problems_.back().empty(); }));
    EXPECT_THAT(std::set<std::string>(places_.begin(), places_.end()), testing::SizeIs(2)) << "it is another place";
}

TEST_F(DirectorySourceTest, APlaceIsTheSameAsLongAsItsDirectoryIs) {
    const auto a = listen("org.vitalwire.0.a.sock");
    start();
    source_->stop();
    a->end();
    start();
    ASSERT_EQ(places_.size(), 2U);
    EXPECT_EQ(places_[0], places_[1]);
    EXPECT_FALSE(places_[0].empty());
}

TEST_F(DirectorySourceTest, FindsThatAnotherDirectoryIsAtItsPath) {
    const auto a = listen("org.vitalwire.0.a.sock");
    std::filesystem::rename(dir_ / "channels", dir_ / "one");
    std::filesystem::create_directory_symlink(dir_ / "one", dir_ / "channels");
    start();
    ASSERT_TRUE(told("channel a org.vitalwire.0"));
    told_.clear();
    std::filesystem::create_directory(dir_ / "two");
    const UnixPeer b(dir_ / "two/org.vitalwire.0.b.sock");
    std::filesystem::create_directory_symlink(dir_ / "two", dir_ / "new");
    std::filesystem::rename(dir_ / "new", dir_ / "channels");
    EXPECT_TRUE(told("channel b org.vitalwire.0"));
    EXPECT_THAT(told_, ElementsAre("channel b org.vitalwire.0"));
    EXPECT_THAT(problems_, ElementsAre("another directory is at its path")) << "and a is missing";
    EXPECT_EQ(places_.size(), 2U);
}

TEST_F(DirectorySourceTest, FindsASocketThatALinkLeadsToLater) {
    start();
    std::filesystem::create_symlink(dir_ / "later", dir_ / "channels/org.vitalwire.0.a.sock");
    settle();
    EXPECT_THAT(told_, IsEmpty());
    const UnixPeer a(dir_ / "later");
    EXPECT_TRUE(told("channel a org.vitalwire.0"));
}

TEST_F(DirectorySourceTest, AGuestIsNotGoneBecauseTheNameOfItsSocketIsWhileItIsConnected) {
    const auto a = listen("org.vitalwire.0.a.sock");
    start();
    told_.clear();
    connected_ = {"a"};
    std::filesystem::remove(dir_ / "channels/org.vitalwire.0.a.sock");
    EXPECT_TRUE(told("unreadable a: its socket org.vitalwire.0.a.sock was removed while it is connected"));
    ASSERT_THAT(places_, testing::SizeIs(2));
    EXPECT_NE(places_[0], places_[1]) << "at the next start it is not found where it was known";
    connected_.clear();
    settle();
    EXPECT_THAT(told_, testing::Not(Contains("gone a removed"))) << "its end is not known";
    const auto again = listen("org.vitalwire.0.a.sock");
    EXPECT_TRUE(told("readable a"));
    again->end();
    EXPECT_TRUE(told("gone a removed"));
}

TEST_F(DirectorySourceTest, AChannelIsThereAsLongAsOneOfItsSocketsIs) {
    const std::string channel = "a org.qemu.guest_agent.0";
    const auto first = listen("org.qemu.guest_agent.0.a.sock");
    start();
    const auto second = listen("org.vitalwire.qga.0.a.sock");
    ASSERT_TRUE(run_until(io_, [&] { return path_ == dir_ / "channels/org.vitalwire.qga.0.a.sock"; }));
    ASSERT_TRUE(run_until(io_, [&] { return !unused_.empty(); }));
    EXPECT_EQ(unused_.back(),
              "org.qemu.guest_agent.0.a.sock is a second channel of that kind beside org.vitalwire.qga.0.a.sock");
    second->end();
    ASSERT_TRUE(run_until(io_, [&] { return path_ == dir_ / "channels/org.qemu.guest_agent.0.a.sock"; }));
    EXPECT_TRUE(run_until(io_, [&] { return unused_.back().empty(); }));
    EXPECT_THAT(told_, testing::Not(Contains("channel gone " + channel)));
    first->end();
    EXPECT_TRUE(told("channel gone " + channel));
    EXPECT_TRUE(told("gone a removed"));
}

TEST_F(DirectorySourceTest, ASecondSocketThatIsNotUsedEndsSilentlyThoughTheChannelIsConnected) {
    const auto first = listen("org.qemu.guest_agent.0.a.sock");
    start();
    const auto second = listen("org.vitalwire.qga.0.a.sock");
    ASSERT_TRUE(run_until(io_, [&] { return !unused_.empty(); }));
    told_.clear();
    connected_ = {"a"};
    first->end();
    EXPECT_TRUE(run_until(io_, [&] { return unused_.back().empty(); }));
    EXPECT_THAT(told_, IsEmpty());
}

TEST_F(DirectorySourceTest, EntriesWithAChannelsNameThatAreNotUsedAreShown) {
    start();
    const auto shown = [&](const std::string& entries) {
        return run_until(io_, [&] { return !unused_.empty() && unused_.back() == entries; });
    };
    const std::string file = "org.vitalwire.0.a.sock";
    std::ofstream(dir_ / ("channels/" + file)) << "no socket";
    EXPECT_TRUE(shown(file + " is no socket"));
    std::filesystem::remove(dir_ / ("channels/" + file));
    EXPECT_TRUE(shown(""));
    std::filesystem::create_symlink(file, dir_ / ("channels/" + file));
    EXPECT_TRUE(shown(file + " cannot be read: Too many levels of symbolic links"));
    std::filesystem::remove(dir_ / ("channels/" + file));
    std::filesystem::create_symlink("nowhere", dir_ / ("channels/" + file));
    EXPECT_TRUE(shown(file + " is a link that leads nowhere"));
    const auto unnamed = listen("cgcs.heartbeat.v m.sock");
    EXPECT_TRUE(shown("2, such as cgcs.heartbeat.v m.sock does not name a guest"));
    const auto other = listen("vm.sock");
    settle();
    EXPECT_EQ(unused_.back(), "2, such as cgcs.heartbeat.v m.sock does not name a guest");
}

TEST_F(DirectorySourceTest, SaysWhyItCannotSee) {
    std::ofstream(dir_ / "channels") << "a file";
    source_ = std::make_unique<DirectorySource>(io_, dir_ / "channels", base::Millis(50));
    ChannelSource::Handler& events = *this;
    source_->start(events);
    ASSERT_TRUE(run_until(io_, [&] { return !problems_.empty(); }));
    EXPECT_FALSE(listed_);
    std::filesystem::remove(dir_ / "channels");
    EXPECT_TRUE(run_until(io_, [&] { return listed_; }));
    EXPECT_EQ(problems_.back(), "");
}

}  // namespace
}  // namespace vitalwire::host
