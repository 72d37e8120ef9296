#include "host/channels/channel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "tests/unit/host/unix_peer.hpp"
#include "wire/heartbeat_codec.hpp"

namespace vitalwire::host {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using wire::ChannelKind;

constexpr const char* kInit =
    "{\"version\":2,\"source_addr\":\"vitalwire.heartbeat\",\"dest_addr\":\"vitalwire.heartbeat\","
    "\"data\":{\"version\":1,\"msg_type\":\"init\",\"invocation_id\":7,\"name\":\"vm1\"}}";

std::vector<std::string> g_log;

/// A channel to a peer that the test plays.
class ChannelTest : public testing::Test, protected Channel::Handler {
protected:
    ChannelTest() : peer_(dir_ / "channel.sock") {
        g_log.clear();
        log::set_backend([](log::Level, std::string_view line) { g_log.emplace_back(line); });
    }

    void start(ChannelKind kind = ChannelKind::native, const ChannelLimits& limits = {}) {
        Channel::Handler& events = *this;
        channel_ =
            std::make_unique<Channel>(io_, base::GuestId("g1"), kind, dir_ / "channel.sock", limits, log_, events);
        channel_->start();
        connected();
    }
    void connected() {
        ASSERT_TRUE(run_until(io_, [&] { return peer_.accept() && channel_->up(); }));
    }
    /// The bytes of a guest, and after them an init: when that arrives everything before it was looked at.
    void guest_sends(std::string_view bytes) {
        const std::size_t before = inits_;
        std::string_view rest = bytes;
        ASSERT_TRUE(run_until(io_, [&] {
            rest.remove_prefix(peer_.write(rest));
            return rest.empty();
        }));
        const std::string end = std::string("\n") + kInit + "\n";
        ASSERT_EQ(peer_.write(end), end.size());
        ASSERT_TRUE(run_until(io_, [&] { return inits_ > before; })) << "the channel no longer understands the guest";
    }
    std::size_t dropped(Drop reason) { return drops_[reason]; }

    void on_connected(Channel&) override { ++connects_; }
    void on_closed(Channel&, const std::string& why) override { closed_ = why; }
    void on_unreachable(Channel&, const std::string& why, bool own) override {
        unreachable_ = why;
        barred_ = own;
    }
    void on_heartbeat(Channel&, wire::HeartbeatPdu pdu) override {
        if (std::holds_alternative<wire::Init>(pdu)) ++inits_;
        pdus_.push_back(std::move(pdu));
    }
    void on_group(Channel&, const wire::GroupPdu& pdu, int base_version) override {
        group_pdus_.push_back(pdu);
        group_version_ = base_version;
    }
    void on_spoke(Channel&, int base_version) override { spoke_in_ = base_version; }
    void on_drained(Channel&) override { ++drained_; }
    void on_dropped(Channel&, Drop reason, std::uint64_t count) override { drops_[reason] += count; }

    TempDir dir_;
    boost::asio::io_context io_;
    UnixPeer peer_;
    DropLog log_;
    std::unique_ptr<Channel> channel_;
    std::size_t connects_ = 0;
    std::string closed_;
    std::vector<wire::HeartbeatPdu> pdus_;
    std::size_t inits_ = 0;
    std::vector<wire::GroupPdu> group_pdus_;
    int group_version_ = 0;
    int spoke_in_ = 0;
    std::string unreachable_;
    bool barred_ = false;
    std::size_t drained_ = 0;
    std::map<Drop, std::size_t> drops_;
};

TEST_F(ChannelTest, SendsANewlineFirstOnEachConnection) {
    start();
    ASSERT_TRUE(run_until(io_, [&] { return !peer_.received().empty(); }));
    EXPECT_EQ(peer_.received(), "\n");
    peer_.hang_up();
    peer_.forget_received();
    connected();
    ASSERT_TRUE(run_until(io_, [&] { return !peer_.received().empty(); }));
    EXPECT_EQ(peer_.received(), "\n");
}

TEST_F(ChannelTest, ConnectsWhenSomebodyListensAtLast) {
    peer_.end();
    Channel::Handler& events = *this;
    Channel channel(io_, base::GuestId("g1"), ChannelKind::native, dir_ / "channel.sock", {}, log_, events);
    channel.start();
    ASSERT_TRUE(run_until(io_, [&] { return !g_log.empty(); }));
    EXPECT_THAT(g_log, testing::ElementsAre(HasSubstr("cannot be connected")));
    UnixPeer late(dir_ / "channel.sock");
    EXPECT_TRUE(run_until(io_, [&] { return late.accept() && channel.up(); }));
    EXPECT_EQ(g_log.size(), 1U) << "logged once, however often it was tried";
}

TEST_F(ChannelTest, SaysThatAPathIsTooLongForASocketInsteadOfCuttingIt) {
    Channel::Handler& events = *this;
    Channel channel(io_, base::GuestId("g1"), ChannelKind::native, dir_ / std::string(200, 'x'), {}, log_, events);
    channel.start();
    ASSERT_TRUE(run_until(io_, [&] { return !g_log.empty(); }));
    EXPECT_THAT(g_log.front(), HasSubstr("File name too long"));
}

TEST_F(ChannelTest, TellsThatTheGuestsEndClosed) {
    start();
    ASSERT_TRUE(run_until(io_, [&] { return peer_.received() == "\n"; }));
    peer_.hang_up();
    ASSERT_TRUE(run_until(io_, [&] { return !closed_.empty(); }));
    EXPECT_EQ(closed_, "closed by the other side");
}

TEST_F(ChannelTest, TakesAResetForAnEnd) {
    start();
    ASSERT_TRUE(run_until(io_, [&] { return peer_.received() == "\n"; }));
    channel_->send(wire::Challenge{base::SessionId("s"), 1});
    io_.run_for(std::chrono::milliseconds(10));
    peer_.hang_up();  // with something unread: ECONNRESET on the other side
    EXPECT_TRUE(run_until(io_, [&] { return !closed_.empty(); }));
}

TEST_F(ChannelTest, SurvivesAGuestThatClosesWithAMessagePending) {
    start();
    peer_.hang_up();
    for (int i = 0; i < 100; ++i)
        channel_->send(wire::Challenge{base::SessionId("s"), i});
    EXPECT_TRUE(run_until(io_, [&] { return !closed_.empty(); }));
}

TEST_F(ChannelTest, PutsAMessageTogetherThatCameInTwoReads) {
    start();
    const std::string message = std::string("\n") + kInit + "\n";
    peer_.write(message.substr(0, 50));
    run_until(io_, [&, turns = 0]() mutable { return ++turns > 3; });
    EXPECT_THAT(pdus_, IsEmpty());
    peer_.write(message.substr(50));
    EXPECT_TRUE(run_until(io_, [&] { return inits_ == 1; }));
}

TEST_F(ChannelTest, DoesNotCompleteHalfALineOfADeadMachineWithTheNextMachinesBytes) {
    start();
    const std::string message = std::string("\n") + kInit + "\n";
    peer_.write(message.substr(0, 50));
    run_until(io_, [&, turns = 0]() mutable { return ++turns > 3; });
    peer_.hang_up();
    connected();
    guest_sends(message.substr(50));
    EXPECT_EQ(inits_, 1U) << "only the one that ends guest_sends";
    EXPECT_EQ(dropped(Drop::malformed), 1U);
}

TEST_F(ChannelTest, RefusesTwoObjectsOnOneLine) {
    start();
    guest_sends(std::string(kInit) + kInit);
    EXPECT_EQ(dropped(Drop::malformed), 1U);
    EXPECT_EQ(inits_, 1U);
}

struct BadInput {
    const char* name;
    std::string bytes;
    Drop reason;
};

class ChannelBadInput : public ChannelTest, public testing::WithParamInterface<BadInput> {};

/// What kills or corrupts other hosts: no effect but a count and one line in the log, and the guest is heard on.
TEST_P(ChannelBadInput, IsDroppedAndCountedAndDisturbsNothing) {
    start();
    guest_sends(GetParam().bytes);
    EXPECT_EQ(dropped(GetParam().reason), 1U);
    EXPECT_EQ(inits_, 1U);
    EXPECT_EQ(closed_, "");
    EXPECT_EQ(std::count_if(g_log.begin(), g_log.end(),
                            [](const std::string& line) { return line.find("message dropped") != std::string::npos; }),
              1);
}

std::string enveloped(const std::string& address, const std::string& data) {
    return "{\"version\":2,\"source_addr\":\"vitalwire.heartbeat\",\"dest_addr\":" + address + ",\"data\":" + data +
           "}";
}

const std::string kPdu = R"({"version":1,"msg_type":"init","invocation_id":7,"name":"vm1"})";

INSTANTIATE_TEST_SUITE_P(
    All, ChannelBadInput,
    testing::Values(
        BadInput{"NullAddress", enveloped("null", kPdu), Drop::malformed},
        BadInput{"AddressOf300Bytes", enveloped('"' + std::string(300, 'a') + '"', kPdu), Drop::malformed},
        BadInput{"AddressOf5000Bytes", enveloped('"' + std::string(5000, 'a') + '"', kPdu), Drop::malformed},
        BadInput{"AddressOfAnotherSocket", enveloped("\"../../run/agent.sock\"", kPdu), Drop::malformed},
        BadInput{"AddressOfNobody", enveloped("\"some.body\"", kPdu), Drop::unknown_address},
        BadInput{"UnterminatedMegabytes", std::string(300'000, 'x'), Drop::overlong},
        BadInput{"Depth1000", std::string(1000, '[') + std::string(1000, ']'), Drop::malformed},
        BadInput{"NotANumber", enveloped("\"vitalwire.heartbeat\"", "{\"version\":NaN}"), Drop::malformed},
        BadInput{"SingleQuotes", "{'version':2}", Drop::malformed},
        BadInput{"Comment", "/* hello */ " + std::string(kInit), Drop::malformed},
        BadInput{"InvalidUtf8", "{\"version\":2,\"x\":\"\xff\xfe\"}", Drop::malformed},
        BadInput{"NulBytes", std::string("{\"ver\0sion\":2}", 14), Drop::malformed},
        BadInput{"AnotherVersion", enveloped("\"vitalwire.heartbeat\"", R"({"version":9,"msg_type":"init"})"),
                 Drop::unsupported_version},
        BadInput{"UnknownMessage", enveloped("\"vitalwire.heartbeat\"", R"({"version":1,"msg_type":"dance"})"),
                 Drop::unknown_msg_type},
        BadInput{"FieldOfAnotherType",
                 enveloped("\"vitalwire.heartbeat\"", R"({"version":1,"msg_type":"init","invocation_id":"x"})"),
                 Drop::bad_field},
        BadInput{"NackOfAGuest", enveloped("\"vitalwire.heartbeat\"", R"({"version":1,"msg_type":"nack"})"),
                 Drop::ignored}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST_F(ChannelTest, H06_AnswersAMessageThatViolatesARuleWithANackAndGoesOn) {
    start();
    guest_sends(enveloped("\"vitalwire.heartbeat\"", R"({"version":9,"msg_type":"init","invocation_id":3})"));
    EXPECT_THAT(peer_.received(), AllOf(HasSubstr("\"msg_type\":\"nack\""), HasSubstr("\"supported_versions\":[1]"),
                                        HasSubstr("\"invocation_id\":3")));
}

TEST_F(ChannelTest, AnswersInTheBaseVersionTheGuestUsed) {
    start();
    std::string old = kInit;
    old.replace(old.find("\"version\":2"), 11, "\"version\":1");
    peer_.write(old + "\n");
    ASSERT_TRUE(run_until(io_, [&] { return inits_ == 1; }));
    peer_.received();
    peer_.forget_received();
    channel_->send(wire::Challenge{base::SessionId("s"), 1});
    ASSERT_TRUE(run_until(io_, [&] { return !peer_.received().empty(); }));
    EXPECT_THAT(peer_.received(), StartsWith("\n{\"version\":1,"));
}

TEST_F(ChannelTest, DoesNotAnswerAFloodOfNonsenseForEver) {
    ChannelLimits limits;
    limits.message_burst = limits.messages_per_second = 10'000;
    start(ChannelKind::native, limits);
    std::string flood;
    for (int i = 0; i < 500; ++i)
        flood += enveloped("\"vitalwire.heartbeat\"", R"({"version":9,"msg_type":"init"})") + "\n";
    guest_sends(flood);
    EXPECT_EQ(dropped(Drop::unsupported_version), 500U);
    EXPECT_GE(dropped(Drop::nack_suppressed), 450U);
    EXPECT_LE(g_log.size(), 3U) << "a guest must not fill the journal";
}

TEST_F(ChannelTest, DropsMessagesOverTheRateUnread) {
    start();
    std::string flood;
    for (int i = 0; i < 1000; ++i)
        flood += std::string(kInit) + "\n";
    peer_.write(flood);
    ASSERT_TRUE(run_until(io_, [&] { return inits_ + dropped(Drop::rate_limited) == 1000; }));
    EXPECT_GE(dropped(Drop::rate_limited), 700U);
    EXPECT_GE(inits_, 200U);
}

TEST_F(ChannelTest, StopsReadingAGuestThatSendsMoreBytesThanItMay) {
    ChannelLimits limits;
    limits.bytes_per_second = 10'000;
    start(ChannelKind::native, limits);
    const std::string line(1000, 'x');
    std::size_t written = 0;
    const auto begin = std::chrono::steady_clock::now();
    run_until(io_, [&] {
        for (std::size_t more = 1; more > 0;)
            written += more = peer_.write(line);
        return std::chrono::steady_clock::now() > begin + std::chrono::milliseconds(300);
    });
    EXPECT_GE(dropped(Drop::throttled), 1U);
    // What the burst and the kernel's buffers hold, and no more.
    EXPECT_LT(written, 800'000U);
}

std::string broadcast(const std::string& payload) {
    return "{\"version\":2,\"source_addr\":\"vitalwire.group\",\"dest_addr\":\"vitalwire.group\","
           "\"data\":{\"version\":1,\"msg_type\":\"broadcast\",\"data\":\"" +
           payload + "\"}}\n";
}

TEST_F(ChannelTest, FindsAnAnswerBehindAFloodThatItDoesNotReadFurther) {
    ChannelLimits limits;
    limits.bytes_per_second = 10'000;
    start(ChannelKind::native, limits);
    std::string rest;
    ASSERT_TRUE(run_until(io_, [&] {
        if (rest.empty()) rest = broadcast(std::string(3000, 'x'));
        const std::size_t written = peer_.write(rest);
        rest.erase(0, written);
        return written == 0 && dropped(Drop::throttled) > 0;
    }));
    ASSERT_EQ(inits_, 0U);
    // What the guest says now, once there is room, comes after all of that.
    channel_->read_now();
    const std::string end = rest + kInit + "\n";
    ASSERT_EQ(peer_.write(end), end.size());
    channel_->read_now();
    EXPECT_EQ(inits_, 1U);
}

TEST_F(ChannelTest, AboveItsBytesAGuestIsHeardAndItsApplicationsAreNot) {
    ChannelLimits limits;
    limits.bytes_per_second = 40'000;
    start(ChannelKind::native, limits);
    group::Limits group;
    group.enabled = true;
    group.messages_per_second = 1;
    group.bytes_per_second = 1;
    channel_->allow(group);
    std::string flood;
    for (int i = 0; i < 50; ++i)
        flood += broadcast(std::string(3000, 'x'));
    guest_sends(flood);
    EXPECT_GE(dropped(Drop::throttled), 1U);
    EXPECT_LT(group_pdus_.size(), 50U);
    EXPECT_EQ(inits_, 1U);
}

TEST_F(ChannelTest, KeepsOneChallengeAtMostForAGuestThatDoesNotRead) {
    start();
    ASSERT_TRUE(run_until(io_, [&] { return peer_.received() == "\n"; }));
    for (int i = 0; i < 5000; ++i)
        channel_->send(wire::Challenge{base::SessionId("s"), i});
    EXPECT_GT(dropped(Drop::not_read), 3000U);

    // It reads again: whole messages only, and the last challenge among them.
    std::string all;
    ASSERT_TRUE(run_until(io_, [&] {
        all = peer_.received();
        return all.find("\"heartbeat_challenge\":4999") != std::string::npos && all.ends_with("}}\n");
    }));
    wire::LineFramer framer(8192);
    std::size_t lines = 0;
    framer.feed(all, [&](std::string_view line) {
        ++lines;
        EXPECT_THAT(std::string(line), AllOf(StartsWith("{\"version\":2"), EndsWith("}}")));
    });
    EXPECT_LT(lines, 2000U);
}

TEST_F(ChannelTest, DropsTheOldestMessagesForAGuestThatDoesNotRead) {
    ChannelLimits limits;
    limits.queue = 8192;
    limits.nacks_per_second = limits.nack_burst = 1e6;
    start(ChannelKind::native, limits);
    ASSERT_TRUE(run_until(io_, [&] { return peer_.received() == "\n"; }));
    for (int i = 0; i < 3000; ++i)
        channel_->send(wire::Exit{base::SessionId("s"), "number " + std::to_string(i) + "."});
    EXPECT_GT(dropped(Drop::not_read), 1000U);
    ASSERT_TRUE(run_until(io_, [&] { return peer_.received().find("number 2999.") != std::string::npos; }));
    EXPECT_THAT(peer_.received(), AllOf(HasSubstr("number 0."), Not(HasSubstr("number 2000."))));
}

TEST_F(ChannelTest, ReadsACgcsGuestWhoseOwnReasonBreaksItsResponse) {
    start(ChannelKind::cgcs_heartbeat);
    peer_.write(
        "\n{\"version\":3,\"revision\":1,\"msg_type\":\"challenge_response\",\"sequence\":2,"
        "\"heartbeat_response\":5,\"heartbeat_health\":\"healthy\",\"corrective_action\":\"none\","
        "\"log_msg\":\"disk \"sda\" is full\"}\n");
    ASSERT_TRUE(run_until(io_, [&] { return pdus_.size() == 1; }));
    EXPECT_EQ(std::get<wire::ChallengeResponse>(pdus_.front()).reason, "disk \"sda\" is full");
    EXPECT_EQ(dropped(Drop::malformed), 0U);
}

TEST_F(ChannelTest, SpeaksVersion3WithACgcsGuest) {
    start(ChannelKind::cgcs_heartbeat);
    channel_->send(wire::Challenge{{}, 31852575});
    ASSERT_TRUE(run_until(io_, [&] { return peer_.received().size() > 2; }));
    EXPECT_THAT(peer_.received(), AllOf(HasSubstr("\"heartbeat_challenge\":31852575"), HasSubstr("\"version\":3"),
                                        Not(HasSubstr("dest_addr"))));
}

TEST_F(ChannelTest, EscapesWhatAGuestSaysBeforeItIsLogged) {
    start();
    guest_sends(enveloped("\"vitalwire.heartbeat\"", "{\"version\":1,\"msg_type\":\"a\\u001b[31mb\"}"));
    ASSERT_FALSE(g_log.empty());
    EXPECT_EQ(g_log.front().find('\x1b'), std::string::npos);
}

TEST_F(ChannelTest, SaysWhenItHasWrittenAllAndMayBeGivenMore) {
    start();
    ASSERT_TRUE(run_until(io_, [&] { return channel_->idle(); }));
    const std::size_t before = drained_;
    channel_->write_group(std::string(1'000'000, 'x') + "\n");
    EXPECT_FALSE(channel_->idle()) << "the socket does not take that much";
    ASSERT_TRUE(run_until(io_, [&] {
        peer_.received();
        return drained_ > before;
    }));
    EXPECT_TRUE(channel_->idle());
}

TEST_F(ChannelTest, SaysInWhichVersionAGuestSpeaks) {
    start(ChannelKind::cgcs_messaging);
    const std::string line =
        "{\"data\":{\"version\":\"version\",\"msg_type\":\"broadcast\",\"data\":\"hello\"},\"version\":1,"
        "\"dest_addr\":\"cgcs.server_grp\",\"source_addr\":\"cgcs.server_grp\"}";
    peer_.write("\n" + line + "\n");
    ASSERT_TRUE(run_until(io_, [&] { return !group_pdus_.empty(); }));
    EXPECT_EQ(std::get<wire::Broadcast>(group_pdus_.front()).payload, "hello");
    EXPECT_EQ(group_version_, 1);
    EXPECT_EQ(spoke_in_, 1);
}

TEST_F(ChannelTest, WhatAGuestsFlavorAllowsItsGroupComesOnTopOfTheChannelsRate) {
    start();
    channel_->allow({true, 1000, 1'000'000, 2});
    std::string flood;
    for (int i = 0; i < 500; ++i)
        flood += broadcast("x");
    guest_sends(flood);
    EXPECT_EQ(group_pdus_.size(), 500U);
    EXPECT_EQ(dropped(Drop::rate_limited), 0U);
}

TEST_F(ChannelTest, AGuestThatFloodsItsGroupCanStillRegister) {
    start();
    std::string flood;
    for (int i = 0; i < 400; ++i)
        flood += broadcast("x");
    guest_sends(flood);  // and an init
    EXPECT_GT(dropped(Drop::rate_limited), 0U);
}

TEST_F(ChannelTest, AGuestThatFloodsItsGroupIsStillHeardWhenItAnswersAChallenge) {
    start();
    std::string flood;
    for (int i = 0; i < 400; ++i)
        flood += broadcast("x");
    const std::string answer =
        "{\"version\":2,\"source_addr\":\"vitalwire.heartbeat\",\"dest_addr\":\"vitalwire.heartbeat\",\"data\":"
        "{\"version\":1,\"msg_type\":\"challenge_response\",\"session_id\":\"s\",\"heartbeat_response\":1,"
        "\"healthy\":true}}\n";
    ASSERT_LT(flood.size(), 100'000U);
    peer_.write(flood + answer);
    ASSERT_TRUE(run_until(io_, [&] { return !pdus_.empty(); }));
    EXPECT_TRUE(std::holds_alternative<wire::ChallengeResponse>(pdus_.front()));
    EXPECT_GT(dropped(Drop::rate_limited), 0U);
}

class GuestAgentChannel : public ChannelTest {
protected:
    void ask(std::int64_t id) { channel_->send(wire::Challenge{{}, id}); }
    bool received(const std::string& bytes) {
        return run_until(io_, [&] { return peer_.received() == bytes; });
    }
    std::int64_t echo_of(const std::string& line) {
        pdus_.clear();
        peer_.write(line);
        if (!run_until(io_, [&] { return !pdus_.empty(); })) return -1;
        return std::get<wire::ChallengeResponse>(pdus_.front()).value;
    }
    static std::string sync(int id) {
        return "{\"execute\":\"guest-sync\",\"arguments\":{\"id\":" + std::to_string(id) + "}}\n";
    }
};

TEST_F(GuestAgentChannel, ResetsTheAgentsParserWithTheFirstCommandOfAConnection) {
    start(ChannelKind::guest_agent);
    ask(7);
    EXPECT_TRUE(received("\xff" + sync(7))) << peer_.received();
    EXPECT_EQ(echo_of("{\"error\": {\"class\": \"GenericError\", \"desc\": \"stray\"}}\n{\"return\": 7}\n"), 7);
    peer_.forget_received();
    ask(8);
    EXPECT_TRUE(received(sync(8))) << peer_.received();
    EXPECT_EQ(echo_of("{\"return\": 8}\n"), 8);
    peer_.hang_up();
    peer_.forget_received();
    connected();
    ask(9);
    EXPECT_TRUE(received("\xff" + sync(9))) << peer_.received();
}

TEST_F(GuestAgentChannel, ResetsTheParserAgainAfterACommandThatWasNotAnswered) {
    start(ChannelKind::guest_agent);
    ask(7);
    ASSERT_TRUE(received("\xff" + sync(7)));
    EXPECT_EQ(echo_of("{\"return\": 7}\n"), 7);
    peer_.forget_received();
    ask(8);
    ASSERT_TRUE(received(sync(8)));
    peer_.forget_received();
    ask(9);
    EXPECT_TRUE(received("\xff" + sync(9))) << peer_.received();
}

TEST_F(GuestAgentChannel, CountsAnErrorAndLogsNothing) {
    start(ChannelKind::guest_agent);
    peer_.write("{\"error\": {\"class\": \"GenericError\", \"desc\": \"stray\"}}\n");
    EXPECT_TRUE(run_until(io_, [&] { return dropped(Drop::ignored) == 1; }));
    EXPECT_THAT(g_log, IsEmpty());
}

TEST_F(GuestAgentChannel, BoundsWhatAnAgentSendsAndGoesOn) {
    start(ChannelKind::guest_agent);
    peer_.write("{\"return\": \"" + std::string(5000, 'x') + "\"}\ngarbage\n");
    ASSERT_TRUE(run_until(io_, [&] { return dropped(Drop::malformed) == 1; }));
    EXPECT_EQ(dropped(Drop::overlong), 1U);
    EXPECT_EQ(echo_of("{\"return\": 7}\n"), 7);
}

TEST_F(GuestAgentChannel, SendsNothingButCommands) {
    start(ChannelKind::guest_agent);
    channel_->send(wire::Nack{});
    ask(1);
    EXPECT_TRUE(received("\xff" + sync(1))) << peer_.received();
}

}  // namespace
}  // namespace vitalwire::host
