#include "guest/group_app.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>

#include "guest/app_protocol.hpp"
#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

using base::Errc;
using nlohmann::json;
using testing::IsEmpty;
using testing::SizeIs;

class RecordingMember : public GroupApp::Member {
public:
    void deliver(const group::Outgoing& message) override {
        got.push_back(json::parse(*message.line(wire::Dialect::native, 2)).at("data"));
    }
    void lost(std::uint64_t count) override { dropped += count; }
    /// The last message, which came as the only new one.
    json take() {
        EXPECT_THAT(got, SizeIs(1));
        json last = got.empty() ? json() : got.back();
        got.clear();
        return last;
    }

    std::vector<json> got;
    std::uint64_t dropped = 0;
};

wire::MemberState state_of(const std::string& instance) {
    wire::MemberState state;
    state.instance_id = instance;
    state.state = "active";
    return state;
}

class GroupAppTest : public testing::Test {
protected:
    GroupAppTest() {
        group_.join(one_, {true, true});
        group_.join(two_, {false, true});
        group_.host_connected();
    }

    json last_sent() const { return json::parse(channel_.sent.back()).at("data"); }
    wire::Nack nack(Errc code, std::int64_t seq) {
        wire::Nack out{code, "why", "broadcast"};
        out.seq = seq;
        return out;
    }

    FakeChannel channel_;
    GroupApp group_{channel_};
    RecordingMember one_, two_;
};

TEST_F(GroupAppTest, GivesEachMemberItsOwnSeqBack) {
    group_.send(one_, wire::StatusQuery{7});
    const std::int64_t first = last_sent().at("seq");
    group_.send(two_, wire::StatusQuery{7});
    const std::int64_t second = last_sent().at("seq");
    ASSERT_NE(first, second);
    group_.receive(wire::StatusResponse{second, state_of("vm-1")});
    EXPECT_EQ(two_.take().at("seq"), 7);
    group_.receive(wire::StatusDone{first, 1});
    EXPECT_EQ(one_.take().at("seq"), 7);
    EXPECT_THAT(two_.got, IsEmpty());
}

TEST_F(GroupAppTest, ANackGoesToTheMemberWhoseMessageWasRefused) {
    group_.send(two_, wire::Broadcast{"x", app::kMaxSeq});
    group_.receive(nack(Errc::not_in_group, last_sent().at("seq")));
    const json told = two_.take();
    EXPECT_EQ(told.at("code"), "not_in_group");
    EXPECT_EQ(told.at("seq"), app::kMaxSeq);
    EXPECT_THAT(one_.got, IsEmpty());
}

TEST_F(GroupAppTest, P14_ANackWithoutSeqGoesToThoseThatSentWhatItIsAbout) {
    group_.send(one_, wire::Broadcast{"x", 1});
    group_.send(two_, wire::StatusQuery{1});
    wire::Nack limited{Errc::rate_limited, "why", "broadcast"};
    limited.unknown_code = "of_a_later_revision";
    group_.receive(limited);
    EXPECT_EQ(one_.take().at("code"), "of_a_later_revision");
    EXPECT_THAT(two_.got, IsEmpty());
    limited.orig_msg_type = "status_query";
    group_.receive(limited);
    EXPECT_EQ(two_.take().at("orig_msg_type"), "status_query");
    EXPECT_THAT(one_.got, IsEmpty());
    RecordingMember bystander;
    group_.join(bystander, {true, true});
    limited.orig_msg_type = "unknown";
    group_.receive(limited);
    EXPECT_EQ(one_.take().at("orig_msg_type"), "unknown");
    EXPECT_EQ(two_.take().at("orig_msg_type"), "unknown");
    EXPECT_THAT(bystander.got, IsEmpty());
}

TEST_F(GroupAppTest, P14_ANackWithoutSeqIsAboutWhatWasSentSinceTheLastButOne) {
    const wire::Nack limited{Errc::rate_limited, "why", "broadcast"};
    group_.send(one_, wire::Broadcast{"x", 1});
    group_.receive(limited);
    group_.receive(limited);
    EXPECT_THAT(one_.got, SizeIs(2)) << "its message may have been on its way when the host sent the first one";
    one_.got.clear();
    group_.receive(limited);
    EXPECT_THAT(one_.got, IsEmpty());
    group_.send(one_, wire::Broadcast{"x", 2});
    group_.receive(limited);
    EXPECT_EQ(one_.take().at("code"), "rate_limited");
}

TEST_F(GroupAppTest, WhatIsForAMemberThatLeftIsNobodys) {
    group_.send(one_, wire::StatusQuery{7});
    group_.leave(one_);
    RecordingMember successor;
    group_.join(successor, {});
    group_.receive(wire::StatusDone{last_sent().at("seq"), 0});
    EXPECT_THAT(successor.got, IsEmpty());
    EXPECT_EQ(group_.counters().unclaimed, 1U);
}

TEST_F(GroupAppTest, EachMemberGetsWhatItAskedFor) {
    group_.receive(wire::Delivery{"vm-2", "hello"});
    EXPECT_EQ(one_.take().at("data"), "hello");
    EXPECT_THAT(two_.got, IsEmpty());
    group_.receive(wire::Notification{"changed", "", state_of("vm-2")});
    EXPECT_EQ(one_.take().at("event_type"), "changed");
    EXPECT_EQ(two_.take().at("event_type"), "changed");
    group_.join(one_, {});
    group_.receive(wire::Delivery{"vm-2", "hello"});
    EXPECT_THAT(one_.got, IsEmpty());
}

TEST_F(GroupAppTest, PassesFieldsOnThatItDoesNotKnow) {
    wire::MemberState state = state_of("vm-2");
    state.raw = R"({"instance_id":"vm-2","display_name":"","state":"active","state_description":"","colour":"red"})";
    group_.receive(wire::Notification{"changed", "", state});
    EXPECT_EQ(one_.take().at("data").at("colour"), "red");
}

TEST_F(GroupAppTest, P15_DropsOfTheHostAreToldToEveryMember) {
    group_.receive(wire::Delivery{"vm-2", "hello", false, 3});
    EXPECT_EQ(one_.dropped, 3U);
    EXPECT_EQ(two_.dropped, 3U);
    EXPECT_FALSE(one_.take().contains("dropped")) << "each member's own count goes with its message";
}

TEST_F(GroupAppTest, P11_WithoutAHostNothingIsSentAndTheSenderIsTold) {
    group_.host_disconnected();
    EXPECT_EQ(one_.take().at("orig_msg_type"), "unknown") << "whatever was under way is lost";
    two_.got.clear();
    group_.send(one_, wire::Broadcast{"x", 5});
    const json told = one_.take();
    EXPECT_EQ(told.at("code"), "disconnected");
    EXPECT_EQ(told.at("seq"), 5);
    EXPECT_THAT(channel_.sent, IsEmpty());
    EXPECT_THAT(two_.got, IsEmpty());
}

TEST_F(GroupAppTest, P10_AFullChannelRefusesAndLeavesRoomForTheHeartbeat) {
    channel_.full = true;
    group_.send(one_, wire::Broadcast{"x", 5});
    EXPECT_EQ(one_.take().at("code"), "rate_limited");
    channel_.full = false;
    group_.send(one_, wire::Broadcast{"x", 6});
    EXPECT_EQ(channel_.last_priority, Priority::bulk);
}

}  // namespace
}  // namespace vitalwire::guest::test
