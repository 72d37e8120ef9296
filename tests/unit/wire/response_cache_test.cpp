#include "wire/response_cache.hpp"

#include <gtest/gtest.h>

#include <string>

#include "wire/heartbeat_codec.hpp"

namespace vitalwire::wire {
namespace {

const base::SessionId kSession("s-1");

/// As a guest writes it, without the newlines around it.
std::string answer(std::int64_t challenge, std::uint32_t sequence, const std::string& reason = "") {
    const std::string message = encode_heartbeat(ChallengeResponse{kSession, challenge, reason.empty(), reason, {}},
                                                 Dialect::native, sequence, kBaseVersion);
    return message.substr(1, message.size() - 2);
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), with);
}

class LineReaderTest : public testing::Test {
protected:
    /// Reads it, and holds that it is what it is to who remembers nothing.
    Inbound read(const std::string& line) {
        Inbound read = reader_.read(line);
        EXPECT_EQ(told(read), told(read_line(line, ChannelKind::native, Receiver::host))) << line;
        return read;
    }

    static std::string told(const Inbound& read) {
        if (const auto* malformed = std::get_if<Malformed>(&read)) return "malformed: " + malformed->why;
        if (const auto* ignored = std::get_if<Ignored>(&read)) return "ignored: " + ignored->why;
        if (const auto* refused = std::get_if<Refused>(&read)) return "refused: " + refused->nack.message;
        const auto* message = std::get_if<HeartbeatMessage>(&read);
        return message == nullptr ? "of the group"
                                  : encode_heartbeat(message->pdu, Dialect::native, 1, message->base_version);
    }

    static ChallengeResponse response(const Inbound& read) {
        const auto* message = std::get_if<HeartbeatMessage>(&read);
        const auto* response = message == nullptr ? nullptr : std::get_if<ChallengeResponse>(&message->pdu);
        EXPECT_NE(response, nullptr) << told(read);
        return response == nullptr ? ChallengeResponse() : *response;
    }

    ResponseCache reader_{ChannelKind::native};
};

TEST_F(LineReaderTest, ReadsAnAnswerThatDiffersInItsNumbersOnly) {
    read(answer(5, 1));
    const ChallengeResponse second = response(read(answer(2147483647, 22)));
    EXPECT_EQ(second.value, 2147483647);
    EXPECT_EQ(second.session, kSession);
    EXPECT_TRUE(second.healthy);
    EXPECT_EQ(response(read(answer(0, 3))).value, 0);
}

TEST_F(LineReaderTest, ReadsWhatElseIsDifferent) {
    read(answer(5, 1));
    const ChallengeResponse unhealthy = response(read(answer(6, 2, "disk full")));
    EXPECT_FALSE(unhealthy.healthy);
    EXPECT_EQ(unhealthy.reason, "disk full");
    EXPECT_EQ(response(read(answer(7, 3, "disk gone"))).reason, "disk gone");
    EXPECT_TRUE(response(read(answer(8, 4))).healthy);
    EXPECT_EQ(response(read(replaced(answer(9, 5), "s-1", "s-2"))).session.str(), "s-2");
}

TEST_F(LineReaderTest, ReadsTheOtherMessagesOfAGuestThatAnswers) {
    read(answer(5, 1));
    read(R"({"version":2,"source_addr":"a","dest_addr":"vitalwire.heartbeat","data":{"version":1,"msg_type":"exit"}})");
    read("no JSON");
    read("");
    EXPECT_EQ(response(read(answer(6, 2))).value, 6);
}

TEST_F(LineReaderTest, TakesNoNumberThatIsNone) {
    const std::string known = answer(5, 1);
    for (const char* number : {"2147483648", "-5", "05", "5.0", "5e1", "\"5\"", "", "99999999999999999999"}) {
        read(known);
        read(replaced(known, "\"heartbeat_response\":5", std::string("\"heartbeat_response\":") + number));
        read(replaced(known, "\"sequence\":1", std::string("\"sequence\":") + number));
    }
}

TEST_F(LineReaderTest, TakesNoLineThatGoesOnOrEndsBefore) {
    const std::string known = answer(5, 1);
    read(known);
    read(known + "}");
    read(known + " ");
    for (std::size_t end = 0; end < known.size(); ++end)
        read(known.substr(0, end));
}

TEST_F(LineReaderTest, IsNotMisledByAnotherKeyOfThatName) {
    // Beside the answer's own: in what nobody reads, in a text, with another writing.
    for (const char* decoy :
         {R"("x":{"heartbeat_response":1},)", R"("x":"\"heartbeat_response\":1",)", R"("x":{"heartbeat_response" :1},)",
          R"("x":["heartbeat_response"],)", R"("x":{"sequence":1e400},)", R"("heartbeat_respons\u0065":1,)"}) {
        for (const char* number : {"5", "6", "7"}) {
            const std::string line = replaced(answer(5, 1), "\"session_id\"", decoy + std::string("\"session_id\""));
            read(line);
            read(replaced(line, ":1", std::string(":") + number));
            read(replaced(line, "\"heartbeat_response\":5", std::string("\"heartbeat_response\":") + number));
        }
    }
}

TEST_F(LineReaderTest, RemembersAnAnswerWrittenWithSpaces) {
    std::string line;
    for (const char c : answer(5, 1))
        line += c == ':' ? ": " : c == ',' ? ", " : std::string(1, c);
    read(line);
    EXPECT_EQ(response(read(replaced(line, "\"heartbeat_response\": 5", "\"heartbeat_response\": 66"))).value, 66);
}

TEST(CgcsLineReader, ReadsTheAnswersOfACgcsGuest) {
    ResponseCache reader(ChannelKind::cgcs_heartbeat);
    for (const int challenge : {5, 66, 7}) {
        const std::string message =
            encode_heartbeat(ChallengeResponse{{}, challenge, true, "", {}}, Dialect::cgcs, 1, kBaseVersion);
        const Inbound read = reader.read(message.substr(1, message.size() - 2));
        const auto* heartbeat = std::get_if<HeartbeatMessage>(&read);
        ASSERT_NE(heartbeat, nullptr);
        EXPECT_EQ(std::get<ChallengeResponse>(heartbeat->pdu).value, challenge);
    }
}

}  // namespace
}  // namespace vitalwire::wire
