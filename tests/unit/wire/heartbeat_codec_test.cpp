#include "wire/heartbeat_codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "read_text.hpp"
#include "wire/inbound.hpp"

namespace vitalwire::wire {
namespace {

using base::Errc;
using base::Millis;
using base::SessionId;
using nlohmann::json;
using testing::EndsWith;
using testing::StartsWith;

HeartbeatPdu through_the_wire(const HeartbeatPdu& pdu, Dialect dialect) {
    const std::string line = encode_heartbeat(pdu, dialect, 1);
    const Text message(line.substr(1, line.size() - 2));
    const JsonValue* data = dialect == Dialect::native ? find(message.root(), "data") : &message.root();
    auto decoded = decode_heartbeat(*data, dialect, Receiver::host);
    if (!decoded) decoded = decode_heartbeat(*data, dialect, Receiver::guest);
    EXPECT_TRUE(decoded) << (decoded ? "" : decoded.error().message);
    return decoded.value_or(Exit{});
}

TEST(NativeHeartbeat, EveryMessageSurvivesTheWire) {
    const auto init = std::get<Init>(
        through_the_wire(Init{7, 2, "vm1", Millis(500), Millis(300), CorrectiveAction::reboot}, Dialect::native));
    EXPECT_EQ(init.invocation_id, 7);
    EXPECT_EQ(init.interval, Millis(500));
    EXPECT_EQ(init.response_deadline, Millis(300));
    EXPECT_EQ(init.corrective_action, CorrectiveAction::reboot);

    const auto ack =
        std::get<InitAck>(through_the_wire(InitAck{7, 0, SessionId("s-1"), Millis(500), Millis(300)}, Dialect::native));
    EXPECT_EQ(ack.session.str(), "s-1");
    EXPECT_EQ(ack.response_deadline, Millis(300));

    EXPECT_EQ(std::get<Challenge>(through_the_wire(Challenge{SessionId("s-1"), 2147483647}, Dialect::native)).value,
              2147483647);

    const auto response = std::get<ChallengeResponse>(
        through_the_wire(ChallengeResponse{SessionId("s-1"), 5, false, "disk \"a\"\n", {}}, Dialect::native));
    EXPECT_FALSE(response.healthy);
    EXPECT_EQ(response.reason, "disk \"a\"\n");

    EXPECT_EQ(std::get<Exit>(through_the_wire(Exit{SessionId("s-1"), "bye"}, Dialect::native)).reason, "bye");

    const auto nack = std::get<Nack>(
        through_the_wire(Nack{Errc::interval_too_small, "too small", "init", 7, {}, Millis(100)}, Dialect::native));
    EXPECT_EQ(nack.code, Errc::interval_too_small);
    EXPECT_EQ(nack.min_interval, Millis(100));
}

TEST(NativeHeartbeat, GoesOutAsOneLineInAnEnvelope) {
    const std::string line = encode_heartbeat(Challenge{SessionId("s"), 1}, Dialect::native, 3, 1);
    EXPECT_THAT(line, StartsWith("\n{\"version\":1,\"source_addr\":\"vitalwire.heartbeat\",\"dest_addr\":\"vitalwire."
                                 "heartbeat\",\"data\":{"));
    EXPECT_THAT(line, EndsWith("}}\n"));
}

TEST(NativeHeartbeat, FillsInDefaults) {
    const auto pdu = decode_heartbeat(Text(R"({"version":1,"msg_type":"init","invocation_id":1,"name":"a"})").root(),
                                      Dialect::native, Receiver::host);
    const auto& init = std::get<Init>(*pdu);
    EXPECT_EQ(init.interval, kDefaultInterval);
    EXPECT_FALSE(init.response_deadline);
    EXPECT_EQ(init.corrective_action, CorrectiveAction::none);
}

TEST(NativeHeartbeat, KeepsTheCodeOfALaterRevision) {
    const auto pdu =
        decode_heartbeat(Text(R"({"version":1,"msg_type":"nack","code":"phase_of_moon","log_msg":"x"})").root(),
                         Dialect::native, Receiver::guest);
    EXPECT_EQ(std::get<Nack>(*pdu).unknown_code, "phase_of_moon");
}

TEST(CgcsHeartbeat, IsALineWithoutEnvelope) {
    const std::string line = encode_heartbeat(Challenge{{}, 31852575}, Dialect::cgcs, 2);
    EXPECT_EQ(json::parse(line),
              json::parse(
                  R"({"version":3,"revision":1,"msg_type":"challenge","sequence":2,"heartbeat_challenge":31852575})"));
}

TEST(CgcsHeartbeat, ReadsTheInitOfACgcsGuest) {
    const auto pdu = decode_heartbeat(
        Text(
            R"({"version":3,"revision":1,"msg_type":"init","sequence":1,"invocation_id":1804289383,"name":"vm1","heartbeat_interval_ms":500,"vote_secs":4,"shutdown_notice_secs":9,"suspend_notice_secs":9,"resume_notice_secs":14,"restart_secs":601,"corrective_action":"reboot"})")
            .root(),
        Dialect::cgcs, Receiver::host);
    ASSERT_TRUE(pdu);
    EXPECT_EQ(std::get<Init>(*pdu).interval, Millis(500));
    EXPECT_EQ(std::get<Init>(*pdu).corrective_action, CorrectiveAction::reboot);
}

TEST(CgcsHeartbeat, ReadsAVoteResponse) {
    const auto pdu = decode_heartbeat(
        Text(
            R"({"version":3,"revision":1,"msg_type":"action_response","sequence":5,"invocation_id":786148975,"event_type":"pause","notification_type":"revocable","vote_result":"accept","log_msg":""})")
            .root(),
        Dialect::cgcs, Receiver::host);
    ASSERT_TRUE(pdu);
    EXPECT_EQ(std::get<ActionResponse>(*pdu).event, LifecycleEvent::pause);
    EXPECT_EQ(std::get<ActionResponse>(*pdu).result, VoteResult::accept);
}

TEST(CgcsHeartbeat, NackStaysWithinWhatACgcsGuestSurvives) {
    const std::string line =
        encode_heartbeat(Nack{Errc::bad_field, std::string(5000, 'x'), "init", 1, {}, {}}, Dialect::cgcs, 1);
    EXPECT_LE(line.size(), kMaxCgcsHeartbeat);
    EXPECT_LT(json::parse(line)["log_msg"].get<std::string>().size(), kMaxReason);
}

TEST(UnescapedText, IsReadAsFarAsItIsSound) {
    const auto read = [](const std::string& log_msg_and_end) {
        const std::string line =
            R"({"version":3,"revision":1,"msg_type":"challenge_response","sequence":2,"heartbeat_response":31,)"
            R"("heartbeat_health":"unhealthy","corrective_action":"log",)" +
            log_msg_and_end;
        const Inbound inbound = read_line(line, ChannelKind::cgcs_heartbeat, Receiver::host);
        const auto* message = std::get_if<HeartbeatMessage>(&inbound);
        if (message == nullptr) return std::string("nothing");
        const auto& pdu = std::get<ChallengeResponse>(message->pdu);
        EXPECT_EQ(pdu.value, 31);
        EXPECT_FALSE(pdu.healthy);
        EXPECT_EQ(pdu.corrective_action, CorrectiveAction::log);
        return pdu.reason;
    };
    EXPECT_EQ(read(R"("log_msg":"process "db" is down"})"), R"(process "db" is down)");
    EXPECT_EQ(read(R"("log_msg":"C:\d"})"), R"(C:\d)") << "what is sound JSON is read as JSON";
    EXPECT_EQ(read(R"("log_msg":"C:\x and \d"})").substr(0, 2), "C:");
    EXPECT_EQ(read("\"log_msg\":\"a\tb\"}"), "a\tb");
    EXPECT_EQ(read("\"log_msg\":\"caf\xC3\"}"), "caf\uFFFD") << "cut inside a character";
    EXPECT_EQ(read(R"("log_msg":"","heartbeat_health":"healthy","log_msg":"x"})"),
              R"(","heartbeat_health":"healthy","log_msg":"x)")
        << "text cannot pose as a field";
    EXPECT_EQ(read(R"("log_msg":"the first line)"), "the first line");
    EXPECT_EQ(read(R"("log_msg":17 "x"})"), "nothing");
}

TEST(UnescapedText, ALineThatMerelyHoldsTheWordsIsNoAnswer) {
    for (const char* line : {R"("challenge_response" "log_msg":"x"})", R"({"msg_type":"challenge_response","sequ)",
                             R"(nonsense "heartbeat_response":5,"log_msg":"})"}) {
        EXPECT_TRUE(std::holds_alternative<Malformed>(read_line(line, ChannelKind::cgcs_heartbeat, Receiver::host)))
            << line;
    }
    const char* native = R"({"msg_type":"challenge_response","log_msg":"said "no""})";
    EXPECT_TRUE(std::holds_alternative<Malformed>(read_line(native, ChannelKind::native, Receiver::host)));
}

/// What guest-client writes, cut at every byte: an answer as soon as all before `log_msg` is there, and nothing before.
TEST(UnescapedText, ALineCutAnywhereIsTheWholeAnswerOrNone) {
    const std::string sound =
        R"({"version":3,"revision":1,"msg_type":"challenge_response","sequence":2,"heartbeat_response":1804289383,)"
        R"("heartbeat_health":"unhealthy","corrective_action":"stop","log_msg":")";
    for (const char* text :
         {"plain", R"(disk "db" {"a":["b"]} is \"full\")", R"(C:\d \u12 \uD800 \)", "caf\xC3\xA9 \xE2\x82\xAC",
          "\x01\t\x7F", R"(","heartbeat_health":"healthy)", R"("}{"})"}) {
        const std::string line = sound + text + "\"}";
        for (std::size_t length = 0; length <= line.size(); ++length) {
            const Inbound inbound =
                read_line(std::string_view(line).substr(0, length), ChannelKind::cgcs_heartbeat, Receiver::host);
            if (length < sound.size()) {
                EXPECT_FALSE(std::holds_alternative<HeartbeatMessage>(inbound)) << line.substr(0, length);
                continue;
            }
            const auto* message = std::get_if<HeartbeatMessage>(&inbound);
            ASSERT_NE(message, nullptr) << line.substr(0, length);
            const auto& pdu = std::get<ChallengeResponse>(message->pdu);
            EXPECT_EQ(pdu.value, 1804289383) << line.substr(0, length);
            EXPECT_FALSE(pdu.healthy) << line.substr(0, length);
            EXPECT_EQ(pdu.corrective_action, CorrectiveAction::stop) << line.substr(0, length);
        }
    }
}

TEST(UnescapedText, AVoteAndAnExitAreReadAsFarAsTheyAreSoundToo) {
    const auto pdu = [](const std::string& fields_and_text) {
        const Inbound inbound = read_line(R"({"version":3,"revision":1,"sequence":5,)" + fields_and_text,
                                          ChannelKind::cgcs_heartbeat, Receiver::host);
        const auto* message = std::get_if<HeartbeatMessage>(&inbound);
        return message == nullptr ? HeartbeatPdu() : message->pdu;
    };
    const auto vote = pdu(R"("msg_type":"action_response","invocation_id":78,"event_type":"stop",)"
                          R"("notification_type":"revocable","vote_result":"reject","log_msg":"member "db-1" syncs"})");
    ASSERT_TRUE(std::holds_alternative<ActionResponse>(vote));
    EXPECT_EQ(std::get<ActionResponse>(vote).result, VoteResult::reject);
    EXPECT_EQ(std::get<ActionResponse>(vote).reason, R"(member "db-1" syncs)");
    const auto exit = pdu("\"msg_type\":\"exit\",\"log_msg\":\"caf\xC3\"}");
    ASSERT_TRUE(std::holds_alternative<Exit>(exit));
    EXPECT_EQ(std::get<Exit>(exit).reason, "caf\uFFFD");
}

TEST(UnescapedText, KeysThatAreBrokenAreNoKeys) {
    const std::string sound = R"({"version":3,"revision":1,"msg_type":"challenge_response","sequence":2,)"
                              R"("heartbeat_response":31,"heartbeat_health":"unhealthy","corrective_action":"log",)";
    const std::vector<std::string> keys = {"version", "msg_type", "heartbeat_response", "heartbeat_health"};
    for (const std::string& key : keys) {
        const std::vector<std::string> variants = {"\"" + key.substr(1), key, "\"" + key + "\xC3", "\"" + key + "\\"};
        for (const std::string& broken : variants) {
            std::string line = sound + R"("log_msg":"a "quoted" word"})";
            line.replace(line.find("\"" + key + "\""), key.size() + 2, broken + "\"");
            EXPECT_FALSE(
                std::holds_alternative<HeartbeatMessage>(read_line(line, ChannelKind::cgcs_heartbeat, Receiver::host)))
                << line;
        }
    }
}

}  // namespace
}  // namespace vitalwire::wire
