// A guest's or a host's bytes on a channel: framing, JSON, envelope, PDUs, refusals.
#include <algorithm>

#include "fuzz.hpp"
#include "wire/group_codec.hpp"
#include "wire/heartbeat_codec.hpp"
#include "wire/inbound.hpp"
#include "wire/line_framer.hpp"
#include "wire/response_cache.hpp"

namespace {

using namespace vitalwire;
using wire::ChannelKind;
using wire::Receiver;

/// The one line in a whole message.
std::string_view line_of(const std::string& message, ChannelKind channel) {
    FUZZ_REQUIRE(!message.empty() && message.back() == '\n');
    std::string_view line(message);
    line.remove_suffix(1);
    if (line.starts_with('\n')) line.remove_prefix(1);
    FUZZ_REQUIRE(line.find('\n') == std::string_view::npos);
    FUZZ_REQUIRE(line.size() <= wire::max_line(channel));
    return line;
}

// What was understood can be said again and is understood as the same.
void check(const wire::HeartbeatMessage& message, ChannelKind channel, Receiver receiver) {
    const std::string again = wire::encode_heartbeat(message.pdu, dialect_of(channel), 1, message.base_version);
    const wire::Inbound read = wire::read_line(line_of(again, channel), channel, receiver);
    const auto* same = std::get_if<wire::HeartbeatMessage>(&read);
    FUZZ_REQUIRE(same != nullptr);
    FUZZ_REQUIRE(same->pdu.index() == message.pdu.index());
    FUZZ_REQUIRE(same->base_version == message.base_version);
}

void check(const wire::GroupMessage& message, ChannelKind channel, Receiver receiver) {
    const auto again = wire::encode_group(message.pdu, dialect_of(channel), message.base_version);
    if (!again) return;
    const wire::Inbound read = wire::read_line(line_of(*again, channel), channel, receiver);
    const auto* same = std::get_if<wire::GroupMessage>(&read);
    FUZZ_REQUIRE(same != nullptr);
    FUZZ_REQUIRE(same->pdu.index() == message.pdu.index());
}

// Whatever was refused, the refusal itself is a message that the guest understands.
void check(const wire::Refused& refused, ChannelKind channel, Receiver receiver) {
    FUZZ_REQUIRE(receiver == Receiver::host);
    const std::string nack = wire::encode_refusal(refused, channel, 1);
    const wire::Inbound read = wire::read_line(line_of(nack, channel), channel, Receiver::guest);
    FUZZ_REQUIRE(!std::holds_alternative<wire::Malformed>(read));
    FUZZ_REQUIRE(!std::holds_alternative<wire::Refused>(read));
}

void check(const wire::Malformed& malformed, ChannelKind, Receiver) {
    FUZZ_REQUIRE(!malformed.why.empty());
}

void check(const wire::Ignored& ignored, ChannelKind, Receiver) {
    FUZZ_REQUIRE(!ignored.why.empty());
}

/// All of an answer that counts, and of the rest what it is.
std::string told(const wire::Inbound& read, ChannelKind channel) {
    const std::string what = std::to_string(read.index());
    const auto* message = std::get_if<wire::HeartbeatMessage>(&read);
    if (message == nullptr) return what;
    return what + wire::encode_heartbeat(message->pdu, dialect_of(channel), 1, message->base_version);
}

// Who remembers the last answer reads the same as who does not, whatever comes after it.
void check_reader(wire::ResponseCache& reader, const std::string& line, ChannelKind channel, std::uint8_t where) {
    const auto same = [&](const std::string& text) {
        FUZZ_REQUIRE(told(reader.read(text), channel) == told(wire::read_line(text, channel, Receiver::host), channel));
    };
    same(line);
    same(line);
    std::string other = line;
    const auto digit = other.find_first_of("0123456789", where % (other.size() + 1));
    if (digit != std::string::npos) other[digit] = static_cast<char>('0' + where % 10);
    same(other);
    if (digit != std::string::npos) other.insert(digit, 1, "0-.eE9 "[where % 7]);
    same(other);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const auto channel = static_cast<ChannelKind>(input.byte() % wire::kChannelKinds);
    const Receiver receiver = input.coin() ? Receiver::guest : Receiver::host;
    const std::size_t piece = 1 + input.byte();

    // How a stream is cut into reads makes no difference.
    std::vector<std::string> whole;
    std::vector<std::string> in_pieces;
    wire::LineFramer one(wire::max_line(channel));
    wire::LineFramer other(wire::max_line(channel));
    std::string_view stream = input.rest();
    one.feed(stream, [&](std::string_view line) { whole.emplace_back(line); });
    for (; !stream.empty(); stream.remove_prefix(std::min(piece, stream.size())))
        other.feed(stream.substr(0, piece), [&](std::string_view line) { in_pieces.emplace_back(line); });
    FUZZ_REQUIRE(whole == in_pieces);
    FUZZ_REQUIRE(one.overlong_lines() == other.overlong_lines());

    wire::ResponseCache reader(channel);
    for (const std::string& line : whole) {
        check_reader(reader, line, channel, static_cast<std::uint8_t>(piece));
        FUZZ_REQUIRE(line.size() <= wire::max_line(channel));
        const wire::Inbound read = wire::read_line(line, channel, receiver);
        std::visit([&](const auto& what) { check(what, channel, receiver); }, read);
    }
    return 0;
}
