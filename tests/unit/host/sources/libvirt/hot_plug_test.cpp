#include "host/sources/libvirt/hot_plug.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;
using base::TimePoint;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using wire::ChannelKind;

class HotPlugTest : public testing::Test {
protected:
    static DomainReading domain(const std::string& guest, int id = 1) {
        DomainReading reading;
        reading.guest = GuestId(guest);
        reading.id = id;
        reading.ports.controller = true;
        return reading;
    }
    static DomainReading with(DomainReading reading, ChannelKind kind) {
        reading.ports.taken.insert(kind);
        return reading;
    }
    static DomainReading without_controller(DomainReading reading) {
        reading.ports.controller = false;
        return reading;
    }
    void want(const std::string& guest, std::set<ChannelKind> kinds = {ChannelKind::native}) {
        wanted[GuestId(guest)] = std::move(kinds);
        plug.want(wanted);
    }
    void see(const DomainReading& reading) { plug.see(reading, true); }

    /// "g org.vitalwire.0", or nothing.
    std::string next() {
        const auto attachment = plug.next(now);
        return attachment ? attachment->guest.str() + " " + std::string(wire::channel_name(attachment->kind)) : "";
    }
    /// All that can be attached now, each successfully.
    std::vector<std::string> attach_all() {
        std::vector<std::string> attached;
        for (std::string what = next(); !what.empty(); what = next()) {
            attached.push_back(what);
            plug.attached(now);
        }
        return attached;
    }

    TimePoint now{seconds(1000)};
    WantedChannels wanted;
    HotPlug plug;
};

TEST_F(HotPlugTest, AttachesWhatIsWantedAndMissing) {
    see(domain("a"));
    see(domain("b"));
    see(with(domain("c"), ChannelKind::native));
    want("a");
    want("c");
    EXPECT_THAT(attach_all(), ElementsAre("a org.vitalwire.0"));
    EXPECT_EQ(plug.next_due(), base::kNever);
}

TEST_F(HotPlugTest, ADomainThatAppearsAfterThePolicyIsAttachedToo) {
    want("a");
    EXPECT_EQ(next(), "");
    see(domain("a"));
    EXPECT_EQ(next(), "a org.vitalwire.0");
}

TEST_F(HotPlugTest, OneAtATime) {
    see(domain("a"));
    see(domain("b"));
    want("a");
    want("b");
    EXPECT_EQ(next(), "a org.vitalwire.0");
    EXPECT_EQ(next(), "");
    EXPECT_EQ(plug.next_due(), base::kNever);
    plug.attached(now);
    EXPECT_EQ(next(), "b org.vitalwire.0");
}

TEST_F(HotPlugTest, SeveralChannelsOfAGuestComeOneAfterTheOther) {
    see(domain("a"));
    want("a", {ChannelKind::cgcs_heartbeat, ChannelKind::cgcs_messaging});
    EXPECT_THAT(attach_all(), ElementsAre("a cgcs.heartbeat"));
    now = plug.next_due();
    EXPECT_THAT(attach_all(), ElementsAre("a cgcs.messaging"));
}

TEST_F(HotPlugTest, AReadingFromBeforeTheAttachmentDoesNotRepeatIt) {
    see(domain("a"));
    want("a");
    attach_all();
    see(domain("a"));
    EXPECT_EQ(next(), "");
    see(with(domain("a"), ChannelKind::native));
    now += seconds(10);
    EXPECT_EQ(next(), "");
}

TEST_F(HotPlugTest, ADomainThatWasMadeAnewGetsItsChannelAgain) {
    see(domain("a", 1));
    want("a");
    attach_all();
    see(domain("a", 2));
    EXPECT_THAT(attach_all(), ElementsAre("a org.vitalwire.0"));
    plug.gone(GuestId("a"));
    EXPECT_EQ(next(), "");
    see(domain("a", 3));
    EXPECT_THAT(attach_all(), ElementsAre("a org.vitalwire.0"));
}

TEST_F(HotPlugTest, ADomainThatDoesNotRunIsLeftAlone) {
    want("a");
    see(domain("a", -1));
    EXPECT_EQ(next(), "");
    plug.see(domain("a"), false);  // paused, saved, migrating, arriving
    EXPECT_EQ(next(), "");
    EXPECT_EQ(plug.next_due(), base::kNever);
    see(domain("a"));
    EXPECT_EQ(next(), "a org.vitalwire.0");
}

TEST_F(HotPlugTest, TheDefinitionIsChangedOnlyWhereThereIsOne) {
    DomainReading reading = domain("a");
    want("a");
    see(reading);
    EXPECT_TRUE(plug.next(now)->persistent);
    plug.failed(now);
    reading.id = 2;
    reading.persistent = false;
    see(reading);
    EXPECT_FALSE(plug.next(now)->persistent);
}

TEST_F(HotPlugTest, AFailureIsTriedAgainLaterAndLater) {
    see(domain("a"));
    see(domain("b"));
    want("a");
    std::vector<std::int64_t> pauses;
    for (int i = 0; i < 9; ++i) {
        ASSERT_EQ(next(), "a org.vitalwire.0");
        plug.failed(now);
        EXPECT_EQ(next(), "");
        pauses.push_back(std::chrono::duration_cast<seconds>(plug.next_due() - now).count());
        now = plug.next_due();
    }
    EXPECT_THAT(pauses, ElementsAre(1, 2, 4, 8, 16, 32, 60, 60, 60));
    want("b");
    EXPECT_EQ(next(), "a org.vitalwire.0");
    plug.failed(now);
    EXPECT_EQ(next(), "b org.vitalwire.0") << "one that fails does not hold another up";
}

TEST_F(HotPlugTest, WithoutAControllerNothingIsTriedAndTheGuestIsNamed) {
    see(without_controller(domain("a")));
    see(without_controller(domain("b")));
    want("a");
    EXPECT_EQ(next(), "");
    EXPECT_EQ(plug.next_due(), base::kNever);
    EXPECT_THAT(plug.unattachable(), ElementsAre(GuestId("a")));
    see(domain("a", 2));
    EXPECT_THAT(plug.unattachable(), IsEmpty());
    EXPECT_EQ(next(), "a org.vitalwire.0");
}

TEST_F(HotPlugTest, WhatIsNoLongerWantedIsForgotten) {
    see(without_controller(domain("a")));
    see(domain("b"));
    want("a");
    want("b");
    plug.want({});
    EXPECT_THAT(plug.unattachable(), IsEmpty());
    EXPECT_EQ(next(), "");
}

TEST_F(HotPlugTest, AnAttachmentMayEndAfterItsDomain) {
    see(domain("a"));
    want("a");
    ASSERT_NE(next(), "");
    plug.gone(GuestId("a"));
    plug.failed(now);
    EXPECT_EQ(next(), "");
}

}  // namespace
}  // namespace vitalwire::host
