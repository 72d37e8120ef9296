#include "host/sources/libvirt/libvirt_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/host/unix_peer.hpp"

namespace vitalwire::host {
namespace {

using base::Millis;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using wire::ChannelKind;

constexpr const char* kUuid = "11111111-2222-4333-8444-555555555555";

/// A domain of libvirt's test driver, which lives in this process.
class TestDomain {
public:
    explicit TestDomain(const std::string& devices)
        : connection_(virConnectOpen("test:///default")),
          domain_(virDomainDefineXML(connection_, xml(devices).c_str())) {
        if (domain_ == nullptr) ADD_FAILURE() << virGetLastErrorMessage();
    }
    ~TestDomain() {
        virDomainDestroy(domain_);
        virDomainUndefine(domain_);
        virDomainFree(domain_);
        virConnectClose(connection_);
    }
    TestDomain(const TestDomain&) = delete;
    TestDomain& operator=(const TestDomain&) = delete;

    void start() { EXPECT_EQ(virDomainCreate(domain_), 0) << virGetLastErrorMessage(); }
    void suspend() { EXPECT_EQ(virDomainSuspend(domain_), 0) << virGetLastErrorMessage(); }
    void resume() { EXPECT_EQ(virDomainResume(domain_), 0) << virGetLastErrorMessage(); }
    void destroy() { EXPECT_EQ(virDomainDestroy(domain_), 0) << virGetLastErrorMessage(); }

private:
    static std::string xml(const std::string& devices) {
        return "<domain type='test'><name>web</name><uuid>" + std::string(kUuid) +
               "</uuid><memory>8192</memory><os><type>hvm</type></os><devices>" + devices + "</devices></domain>";
    }

    virConnectPtr connection_;
    virDomainPtr domain_;
};

std::string channel_xml(const std::string& name, const std::string& path) {
    return "<channel type='unix'><source mode='bind' path='" + path + "'/><target type='virtio' name='" + name +
           "'/></channel>";
}

class LibvirtSourceTest : public testing::Test, protected ChannelSource::Handler {
protected:
    void start(const std::string& uri = "test:///default", Millis deadline = Millis(10'000)) {
        source_ = std::make_unique<LibvirtSource>(io_, LibvirtOptions{uri, deadline, hot_plug_});
        ChannelSource::Handler& events = *this;
        source_->start(events);
    }
    void start_listed() {
        start();
        ASSERT_TRUE(run_until(io_, [&] { return listed_; }));
    }
    ~LibvirtSourceTest() override {
        if (source_) source_->stop();
    }
    bool told(const std::string& what) {
        return run_until(io_, [&] { return std::find(told_.begin(), told_.end(), what) != told_.end(); });
    }

    // Of the test driver's own domain, which has no channel, nothing but that it runs is told.
    void tell(const base::GuestId& guest, const std::string& what) {
        if (guest.str() == kUuid) told_.push_back(what);
    }
    void on_channel(const base::GuestId& guest, ChannelKind kind, const std::string& path, base::Millis) override {
        tell(guest, "channel " + std::string(wire::channel_name(kind)) + " at " + path);
    }
    void on_channel_gone(const base::GuestId& guest, ChannelKind kind) override {
        tell(guest, "channel gone " + std::string(wire::channel_name(kind)));
    }
    void on_machine(const base::GuestId& guest, const heartbeat::HostEvent& event) override {
        std::string what = "another event";
        if (std::holds_alternative<heartbeat::Found>(event)) what = "found";
        if (std::holds_alternative<heartbeat::FoundOff>(event)) what = "off";
        if (std::holds_alternative<heartbeat::Started>(event)) what = "started";
        if (std::holds_alternative<heartbeat::Released>(event)) what = "released";
        if (const auto* held = std::get_if<heartbeat::Inhibited>(&event))
            what = "held " + std::string(to_string(held->why));
        if (std::holds_alternative<heartbeat::Stopped>(event)) what = "stopped";
        tell(guest, what);
    }
    void on_gone(const base::GuestId& guest, heartbeat::StopReason why) override {
        tell(guest, "gone " + std::string(to_string(why)));
    }
    void on_listed(ChannelSource&, const SourceListing& listing) override {
        listed_ = true;
        told_when_listed_ = !told_.empty();
        unread_ = listing.unread.contains(base::GuestId(kUuid));
    }
    void on_source_problem(ChannelSource&, const std::string& problem) override { problems_.push_back(problem); }
    void on_attached(const base::GuestId& guest, ChannelKind kind, const std::string& failure) override {
        tell(guest, "attach " + std::string(wire::channel_name(kind)) + ": " + failure);
    }
    void on_unreadable(const base::GuestId&, const std::string&) override {}
    void on_guest_agent(const base::GuestId& guest, std::optional<bool> open) override {
        tell(guest, open ? *open ? "guest agent open" : "guest agent closed" : "no guest agent");
    }
    void on_guest_agent_returned(const base::GuestId& guest, std::int64_t, GuestAgentResult result) override {
        tell(guest, result == GuestAgentResult::answered  ? "guest agent answered"
                    : result == GuestAgentResult::unknown ? "guest agent unknown"
                                                          : "guest agent silent");
    }
    void on_unattachable(const std::set<base::GuestId>& guests) override {
        told_.push_back("unattachable " + std::to_string(guests.size()));
    }

    TempDir dir_;
    boost::asio::io_context io_;
    bool hot_plug_ = true;
    std::unique_ptr<LibvirtSource> source_;
    std::vector<std::string> told_;
    std::vector<std::string> problems_;
    bool listed_ = false;
    bool told_when_listed_ = false;
    bool unread_ = false;
};

TEST_F(LibvirtSourceTest, FindsTheDomainsThatRunBeforeItSaysListed) {
    TestDomain domain(channel_xml("org.vitalwire.0", "/run/a") + channel_xml("cgcs.heartbeat", "/run/b"));
    domain.start();
    start_listed();
    EXPECT_THAT(told_, ElementsAre("found", "released", "channel org.vitalwire.0 at /run/a",
                                   "channel cgcs.heartbeat at /run/b"));
    EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(LibvirtSourceTest, ADomainThatDoesNotRunHasNoChannels) {
    TestDomain domain(channel_xml("org.vitalwire.0", "/run/a"));
    start_listed();
    EXPECT_THAT(told_, ElementsAre("off"));
}

TEST_F(LibvirtSourceTest, FollowsADomainFromItsStartToItsEnd) {
    TestDomain domain(channel_xml("org.vitalwire.0", "/run/a"));
    start_listed();
    told_.clear();
    domain.start();
    ASSERT_TRUE(told("channel org.vitalwire.0 at /run/a"));
    domain.suspend();
    ASSERT_TRUE(told("held paused"));
    domain.resume();
    ASSERT_TRUE(told("released"));
    domain.destroy();
    ASSERT_TRUE(told("gone domain_stopped"));
    EXPECT_THAT(told_, ElementsAre("started", "found", "channel org.vitalwire.0 at /run/a", "held paused", "released",
                                   "stopped", "gone domain_stopped"));
    told_.clear();
    domain.start();
    EXPECT_TRUE(told("channel org.vitalwire.0 at /run/a"));
}

TEST_F(LibvirtSourceTest, ADomainThatChangesWhileAllAreReadIsToldOfOrNamedAsUnread) {
    TestDomain domain(channel_xml("org.vitalwire.0", "/run/a"));
    domain.start();
    std::atomic<bool> enough = false;
    std::thread changes([&] {
        while (!enough) {
            domain.suspend();
            domain.resume();
        }
    });
    start();
    EXPECT_TRUE(run_until(io_, [&] { return listed_; }));
    EXPECT_TRUE(told_when_listed_ || unread_);
    enough = true;
    changes.join();
    EXPECT_TRUE(told("channel org.vitalwire.0 at /run/a"));
}

TEST_F(LibvirtSourceTest, TellsWhyItCannotConnect) {
    start("qemu+unix:///system?socket=" + (dir_ / "nobody"));
    ASSERT_TRUE(run_until(io_, [&] { return !problems_.empty(); }));
    EXPECT_THAT(problems_.front(), HasSubstr("cannot connect: "));
    EXPECT_FALSE(listed_);
}

TEST_F(LibvirtSourceTest, ALibvirtThatDoesNotAnswerIsToldAndNotWaitedFor) {
    UnixPeer silent(dir_ / "silent");
    start("qemu+unix:///system?socket=" + (dir_ / "silent"), Millis(200));
    ASSERT_TRUE(run_until(io_, [&] { return !problems_.empty(); }));
    EXPECT_EQ(problems_.front(), "libvirt does not answer");
    const auto before = std::chrono::steady_clock::now();
    source_->stop();
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
}

TEST_F(LibvirtSourceTest, CallsThatDoNotReturnAreBounded) {
    UnixPeer silent(dir_ / "silent");
    start("qemu+unix:///system?socket=" + (dir_ / "silent"), Millis(50));
    EXPECT_TRUE(run_until(
        io_, [&] { return !problems_.empty() && problems_.back() == "too many calls to libvirt do not return"; }));
    silent.die();
    EXPECT_TRUE(run_until(io_, [&] { return problems_.back().starts_with("cannot connect: "); }))
        << "all have returned";
}

TEST_F(LibvirtSourceTest, CanBeStoppedAtAnyTime) {
    start();
    source_->stop();
    io_.poll();
    EXPECT_THAT(told_, IsEmpty());
    EXPECT_FALSE(listed_);
}

const WantedChannels kWanted = {{base::GuestId(kUuid), {ChannelKind::native}}};

// The test driver attaches nothing; that it is asked to shows in its refusal.
TEST_F(LibvirtSourceTest, AttachesAWantedChannelAndSaysWhyItCouldNot) {
    TestDomain domain("<controller type='virtio-serial' index='0'/>");
    domain.start();
    start_listed();
    source_->want(kWanted);
    EXPECT_TRUE(run_until(io_, [&] {
        return std::any_of(told_.begin(), told_.end(), [](const std::string& line) {
            return line.starts_with("attach org.vitalwire.0: this function is not supported");
        });
    }));
}

TEST_F(LibvirtSourceTest, AttachesNothingWhenItMayNot) {
    TestDomain domain("");
    domain.start();
    hot_plug_ = false;
    start_listed();
    source_->want(kWanted);
    domain.suspend();
    ASSERT_TRUE(told("held paused"));
    EXPECT_THAT(told_, Not(Contains("unattachable 1")));
}

TEST_F(LibvirtSourceTest, NamesAWantedDomainWithoutAControllerUntilItIsGone) {
    TestDomain domain("");
    domain.start();
    start_listed();
    source_->want(kWanted);
    ASSERT_TRUE(told("unattachable 1"));
    domain.destroy();
    EXPECT_TRUE(told("unattachable 0"));
}

TEST_F(LibvirtSourceTest, TellsOfAPortForAGuestAgentAndLeavesItsSocketToLibvirt) {
    TestDomain domain(channel_xml("org.qemu.guest_agent.0", "/run/qga"));
    domain.start();
    start_listed();
    EXPECT_TRUE(told("guest agent closed"));
    EXPECT_THAT(told_, Not(Contains(HasSubstr("channel"))));
}

TEST_F(LibvirtSourceTest, ACallToAGuestAgentThatCannotBeBoundedIsNotMade) {
    TestDomain domain(channel_xml("org.qemu.guest_agent.0", "/run/qga"));
    domain.start();
    start_listed();
    source_->call_guest_agent({base::GuestId(kUuid), std::chrono::seconds(5)}, 1);
    EXPECT_TRUE(told("guest agent unknown")) << "the test driver has no response timeout";
}

TEST_F(LibvirtSourceTest, ADomainThatDoesNotRunIsNoEvidenceOfItsGuestAgent) {
    TestDomain domain("");
    start_listed();
    source_->call_guest_agent({base::GuestId(kUuid), std::chrono::seconds(5)}, 1);
    EXPECT_TRUE(told("guest agent unknown"));
}

}  // namespace
}  // namespace vitalwire::host
