#include "wire/guest_agent_codec.hpp"

#include <stdexcept>

#include "base/text.hpp"
#include "wire/json_document.hpp"

namespace vitalwire::wire {

namespace {

constexpr std::size_t kShownError = 128;

std::string error_of(const JsonValue& answer) {
    const JsonValue* error = find(answer, "error");
    const JsonValue* text = error == nullptr ? nullptr : find(*error, "desc");
    const auto* words = text == nullptr ? nullptr : text->as<std::string_view>();
    return words == nullptr ? "not the echo of a guest-sync" : "error: " + base::escape(*words, kShownError);
}

}  // namespace

std::string encode_guest_agent(const HeartbeatPdu& pdu) {
    if (const auto* challenge = std::get_if<Challenge>(&pdu))
        return R"({"execute":"guest-sync","arguments":{"id":)" + std::to_string(challenge->value) + "}}\n";
    if (const auto* answer = std::get_if<ChallengeResponse>(&pdu))
        return R"({"return": )" + std::to_string(answer->value) + "}\n";
    throw std::logic_error("not a message of the QEMU guest agent");
}

Inbound read_guest_agent(std::string_view line) {
    // It precedes the answer to a guest-sync-delimited.
    while (line.starts_with(kGuestAgentReset))
        line.remove_prefix(1);
    JsonDocument answer;
    if (const auto read = answer.read(line); !read) return Malformed{read.error().message};
    const JsonValue* echo = find(answer.root(), "return");
    const auto* value = echo == nullptr ? nullptr : echo->as<std::int64_t>();
    if (value == nullptr) return Ignored{error_of(answer.root())};
    ChallengeResponse response;
    response.value = *value;
    return HeartbeatMessage{std::move(response)};
}

}  // namespace vitalwire::wire
