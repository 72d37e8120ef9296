#include "wire/inbound.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "wire/envelope.hpp"
#include "wire/group_codec.hpp"
#include "wire/guest_agent_codec.hpp"
#include "wire/heartbeat_codec.hpp"
#include "wire/json_reader.hpp"
#include "wire/nack_codec.hpp"

namespace vitalwire::wire {

using base::Errc;
using nlohmann::json;

namespace {

constexpr std::size_t kNewlines = 2;

Inbound refuse(const JsonValue& data, const base::Error& error, Dialect dialect, Receiver receiver,
               std::string_view from, std::string_view to, int base_version) {
    // A nack is never answered, or two ends that misunderstand each other would nack without end.
    if (receiver == Receiver::guest || text_or(data, "msg_type") == "nack") return Ignored{error.message};
    return Refused{make_nack(data, error, dialect, from), std::string(from), std::string(to), base_version};
}

Inbound read_heartbeat(const JsonValue& data, Dialect dialect, Receiver receiver, const EnvelopeHeader& header) {
    auto pdu = decode_heartbeat(data, dialect, receiver);
    if (pdu) return HeartbeatMessage{std::move(*pdu), header.version};
    return refuse(data, pdu.error(), dialect, receiver, kHeartbeatAddress, header.source_addr, header.version);
}

Inbound read_group(const JsonValue& data, Dialect dialect, Receiver receiver, const EnvelopeHeader& header) {
    auto pdu = decode_group(data, dialect, receiver);
    if (pdu) return GroupMessage{std::move(*pdu), header.version};
    return refuse(data, pdu.error(), dialect, receiver, header.dest_addr, header.source_addr, header.version);
}

Inbound refuse_version(const Envelope& message, Dialect dialect, Receiver receiver) {
    const std::string_view from = dialect == Dialect::native ? kBaseAddress : kCgcsGroupAddress;
    const base::Error error{Errc::unsupported_version, "base layer " + not_supported(message.version)};
    Inbound refusal = refuse(*message.data, error, dialect, receiver, from, message.source_addr, kBaseVersion);
    if (auto* refused = std::get_if<Refused>(&refusal))
        refused->nack.supported_versions = {kOldestBaseVersion, kBaseVersion};
    return refusal;
}

Inbound read_unescaped(std::string_view line, const base::Error& error) {
    const auto escaped = escape_log_msg(line);
    JsonDocument message;
    if (!escaped || !message.read(*escaped)) return Malformed{error.message};
    return read_heartbeat(message.root(), Dialect::cgcs, Receiver::host, {});
}

std::string no_application(std::string_view address) {
    return "no application at '" + std::string(address) + "'";
}

Inbound read_enveloped(const JsonValue& line, Dialect dialect, Receiver receiver) {
    JsonDocument unpacked;
    const auto message = open_envelope(line, unpacked);
    if (!message) return Malformed{message.error().message};
    if (message->version < kOldestBaseVersion || message->version > kBaseVersion)
        return refuse_version(*message, dialect, receiver);
    const JsonValue& data = *message->data;
    const EnvelopeHeader header{static_cast<int>(message->version), message->source_addr, message->dest_addr};
    if (dialect == Dialect::cgcs) {
        if (header.dest_addr == kCgcsGroupAddress) return read_group(data, dialect, receiver, header);
        return Ignored{no_application(header.dest_addr)};  // resource scaling, for one
    }
    if (header.dest_addr == kHeartbeatAddress) return read_heartbeat(data, dialect, receiver, header);
    if (header.dest_addr == kGroupAddress) return read_group(data, dialect, receiver, header);
    return refuse(data, {Errc::unknown_address, no_application(header.dest_addr)}, dialect, receiver, kBaseAddress,
                  header.source_addr, header.version);
}

}  // namespace

std::string_view channel_name(ChannelKind kind) {
    switch (kind) {
        case ChannelKind::native:
            return kNativeChannel;
        case ChannelKind::cgcs_heartbeat:
            return kCgcsHeartbeatChannel;
        case ChannelKind::cgcs_messaging:
            return kCgcsMessagingChannel;
        case ChannelKind::guest_agent:
            return kGuestAgentChannel;
    }
    return kNativeChannel;
}

Dialect dialect_of(ChannelKind kind) {
    switch (kind) {
        case ChannelKind::native:
            return Dialect::native;
        case ChannelKind::cgcs_heartbeat:
        case ChannelKind::cgcs_messaging:
            return Dialect::cgcs;
        case ChannelKind::guest_agent:
            return Dialect::guest_agent;
    }
    return Dialect::native;
}

std::optional<ChannelKind> channel_kind(std::string_view name) {
    for (const ChannelKind kind :
         {ChannelKind::native, ChannelKind::cgcs_heartbeat, ChannelKind::cgcs_messaging, ChannelKind::guest_agent}) {
        if (name == channel_name(kind)) return kind;
    }
    return name == kOwnGuestAgentChannel ? std::optional(ChannelKind::guest_agent) : std::nullopt;
}

std::size_t max_line(ChannelKind kind) {
    switch (kind) {
        case ChannelKind::native:
            return kMaxNativeMessage - kNewlines;
        case ChannelKind::cgcs_heartbeat:
            return kMaxCgcsHeartbeat - kNewlines;
        case ChannelKind::cgcs_messaging:
            return kMaxCgcsMessage - kNewlines;
        case ChannelKind::guest_agent:
            return kMaxGuestAgentLine;
    }
    return kMaxNativeMessage - kNewlines;
}

Inbound read_line(std::string_view line, ChannelKind channel, Receiver receiver) {
    if (channel == ChannelKind::guest_agent) return read_guest_agent(line);
    JsonDocument message;
    if (const auto read = message.read(line); !read) {
        const bool may_be_unescaped = channel == ChannelKind::cgcs_heartbeat && receiver == Receiver::host;
        return may_be_unescaped ? read_unescaped(line, read.error()) : Malformed{read.error().message};
    }
    if (channel == ChannelKind::cgcs_heartbeat) return read_heartbeat(message.root(), Dialect::cgcs, receiver, {});
    return read_enveloped(message.root(), channel == ChannelKind::native ? Dialect::native : Dialect::cgcs, receiver);
}

std::string encode_refusal(const Refused& refused, ChannelKind channel, std::uint32_t sequence) {
    if (channel == ChannelKind::cgcs_heartbeat) return encode_heartbeat(refused.nack, Dialect::cgcs, sequence);
    const EnvelopeHeader header{refused.base_version, refused.from, refused.to};
    json data = channel == ChannelKind::native ? nack_to_json(refused.nack)
                                               : cgcs_group_nack_to_json(refused.nack, refused.base_version);
    if (channel == ChannelKind::native) data["sequence"] = sequence & kMaxInt31;
    return seal_envelope(header, dump(data));
}

}  // namespace vitalwire::wire
