// The specification's test vectors (proto-spec/vectors/README.md), read as each side reads its channel.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "wire/base64.hpp"
#include "wire/inbound.hpp"
#include "wire/json_reader.hpp"
#include "wire/line_framer.hpp"

namespace vitalwire::wire {
namespace {

using nlohmann::json;

struct Vector {
    std::string id;
    ChannelKind channel;
    Receiver receiver;
    std::string bytes;
    json expect;
};

ChannelKind channel_of(const std::string& name) {
    if (name == "native") return ChannelKind::native;
    return name == kCgcsHeartbeatChannel ? ChannelKind::cgcs_heartbeat : ChannelKind::cgcs_messaging;
}

std::vector<Vector> load_vectors() {
    std::vector<Vector> vectors;
    for (const auto& file : std::filesystem::directory_iterator(VITALWIRE_SOURCE_DIR "/proto-spec/vectors")) {
        if (file.path().extension() != ".json") continue;
        std::ifstream in(file.path());
        const json document = json::parse(in);
        for (const json& vector : document.at("vectors")) {
            vectors.push_back({vector.at("id"), channel_of(vector.at("channel")),
                               vector.at("direction") == "guest_to_host" ? Receiver::host : Receiver::guest,
                               vector.contains("bytes") ? vector.at("bytes").get<std::string>()
                                                        : *decode_base64(vector.at("base64").get<std::string>()),
                               vector.at("expect")});
        }
    }
    return vectors;
}

json fields_of(const Init& pdu) {
    json fields = {{"invocation_id", pdu.invocation_id},
                   {"revision", pdu.revision},
                   {"name", pdu.name},
                   {"heartbeat_interval_ms", pdu.interval.count()},
                   {"response_deadline_ms", pdu.response_deadline.value_or(pdu.interval).count()},
                   {"corrective_action", to_string(pdu.corrective_action)},
                   {"restart_time_ms", pdu.restart_time.count()},
                   {"vote_ms", pdu.notice_times.vote.count()},
                   {"shutdown_notice_ms", pdu.notice_times.shutdown.count()},
                   {"suspend_notice_ms", pdu.notice_times.suspend.count()},
                   {"resume_notice_ms", pdu.notice_times.resume.count()}};
    if (pdu.detection_time) fields["detection_time_ms"] = pdu.detection_time->count();
    if (pdu.challenge_interval) fields["challenge_interval_ms"] = pdu.challenge_interval->count();
    return fields;
}
json fields_of(const InitAck& pdu) {
    json fields = {{"invocation_id", pdu.invocation_id},
                   {"revision", pdu.revision},
                   {"session_id", pdu.session.str()},
                   {"heartbeat_interval_ms", pdu.interval.count()},
                   {"response_deadline_ms", pdu.response_deadline.count()}};
    if (!pdu.facts.instance_id.empty()) fields["instance_id"] = pdu.facts.instance_id;
    if (!pdu.facts.host_version.empty()) fields["host_version"] = pdu.facts.host_version;
    if (pdu.facts.group) fields["group"] = *pdu.facts.group;
    if (pdu.facts.messages_per_second) fields["group_messages_per_s"] = *pdu.facts.messages_per_second;
    if (pdu.facts.bytes_per_second) fields["group_bytes_per_s"] = *pdu.facts.bytes_per_second;
    if (pdu.facts.max_payload) fields["group_max_payload"] = *pdu.facts.max_payload;
    return fields;
}
json fields_of(const Challenge& pdu) {
    return {{"session_id", pdu.session.str()}, {"heartbeat_challenge", pdu.value}};
}
json fields_of(const ChallengeResponse& pdu) {
    json fields = {{"session_id", pdu.session.str()},
                   {"heartbeat_response", pdu.value},
                   {"healthy", pdu.healthy},
                   {"reason", pdu.reason}};
    if (pdu.corrective_action) fields["corrective_action"] = to_string(*pdu.corrective_action);
    return fields;
}
json fields_of(const Exit& pdu) {
    return {{"session_id", pdu.session.str()}, {"reason", pdu.reason}};
}
json fields_of(const Nack& pdu) {
    json fields = {{"log_msg", pdu.message},
                   {"code", pdu.unknown_code.empty() ? std::string(to_string(pdu.code)) : pdu.unknown_code},
                   {"orig_msg_type", pdu.orig_msg_type}};
    if (pdu.invocation_id) fields["invocation_id"] = *pdu.invocation_id;
    if (!pdu.supported_versions.empty()) fields["supported_versions"] = pdu.supported_versions;
    if (pdu.min_interval) fields["min_interval_ms"] = pdu.min_interval->count();
    if (pdu.min_detection_time) fields["min_detection_time_ms"] = pdu.min_detection_time->count();
    if (pdu.session) fields["session_id"] = pdu.session->str();
    if (pdu.seq) fields["seq"] = *pdu.seq;
    if (pdu.max_payload) fields["max_payload"] = *pdu.max_payload;
    if (pdu.refused) fields["refused"] = *pdu.refused;
    return fields;
}
json fields_of(const ActionNotify& pdu) {
    return {{"session_id", pdu.session.str()},
            {"invocation_id", pdu.invocation_id},
            {"event_type", model::to_string(pdu.event)},
            {"notification_type", pdu.revocable ? "revocable" : "irrevocable"},
            {"timeout_ms", pdu.timeout.count()}};
}
json fields_of(const ActionResponse& pdu) {
    json fields = {{"session_id", pdu.session.str()},
                   {"invocation_id", pdu.invocation_id},
                   {"notification_type", pdu.revocable ? "revocable" : "irrevocable"},
                   {"vote_result", model::to_string(pdu.result)},
                   {"reason", pdu.reason}};
    if (pdu.event) fields["event_type"] = model::to_string(*pdu.event);
    return fields;
}

json fields_of(const Broadcast& pdu) {
    json fields = {{"payload_base64", encode_base64(pdu.payload)}};
    if (pdu.seq) fields["seq"] = *pdu.seq;
    return fields;
}
json fields_of(const StatusQuery& pdu) {
    return {{"seq", pdu.seq}};
}
json fields_of(const Delivery& pdu) {
    return {{"source_instance", pdu.source},
            {"payload_base64", encode_base64(pdu.payload)},
            {"operator", pdu.from_operator},
            {"dropped", pdu.dropped}};
}
json fields_of(const StatusResponse& pdu) {
    return {{"seq", pdu.seq}, {"data", json::parse(pdu.state.raw)}, {"dropped", pdu.dropped}};
}
json fields_of(const StatusDone& pdu) {
    return {{"seq", pdu.seq}, {"count", pdu.count}, {"dropped", pdu.dropped}};
}
json fields_of(const Notification& pdu) {
    json fields = {{"event_type", pdu.event_type}, {"data", json::parse(pdu.state.raw)}, {"dropped", pdu.dropped}};
    if (!pdu.timestamp.empty()) fields["timestamp"] = pdu.timestamp;
    return fields;
}

/// Every field the vector names has the value it says.
void expect_fields(const json& expected, const json& actual, const std::string& where) {
    for (const auto& [key, value] : expected.items()) {
        ASSERT_TRUE(actual.contains(key)) << where << " lacks " << key << " in " << actual;
        EXPECT_EQ(actual.at(key), value) << where << " field " << key;
    }
}

void expect_outcome(const Inbound& inbound, const json& expected, ChannelKind channel, const std::string& where) {
    const std::string result = expected.at("result");
    if (const auto* malformed = std::get_if<Malformed>(&inbound)) {
        EXPECT_EQ("malformed", result) << where << ": " << malformed->why;
        return;
    }
    if (const auto* ignored = std::get_if<Ignored>(&inbound)) {
        EXPECT_EQ("ignored", result) << where << ": " << ignored->why;
        return;
    }
    if (const auto* refused = std::get_if<Refused>(&inbound)) {
        ASSERT_EQ("nack", result) << where << ": " << refused->nack.message;
        const std::string answer = encode_refusal(*refused, channel, 1);
        const json line = *parse_object(std::string_view(answer).substr(1, answer.size() - 2));
        const json& data = line.contains("data") ? line.at("data") : line;
        for (const char* key : {"code", "orig_msg_type", "invocation_id", "supported_versions", "seq", "max_payload"}) {
            const bool on_the_wire = channel == ChannelKind::native ||
                                     (channel == ChannelKind::cgcs_heartbeat && std::string(key) == "invocation_id") ||
                                     (channel == ChannelKind::cgcs_messaging && std::string(key) == "orig_msg_type");
            if (expected.contains(key) && on_the_wire) {
                EXPECT_EQ(data.value(key, json()), expected.at(key)) << where << " key " << key << " of " << answer;
            }
        }
        if (expected.contains("from")) {
            EXPECT_EQ(line.at("source_addr"), expected.at("from")) << where;
        }
        EXPECT_EQ(to_string(refused->nack.code), expected.at("code")) << where << ": " << refused->nack.message;
        if (expected.contains("field")) {
            EXPECT_NE(refused->nack.message.find(expected.at("field").get<std::string>()), std::string::npos) << where;
        }
        return;
    }
    const auto* heartbeat = std::get_if<HeartbeatMessage>(&inbound);
    const auto* group = std::get_if<GroupMessage>(&inbound);
    const auto to_fields = [](const auto& pdu) { return fields_of(pdu); };
    const json fields =
        heartbeat != nullptr ? std::visit(to_fields, heartbeat->pdu) : std::visit(to_fields, group->pdu);
    // The floor of the interval is the session's decision; a codec only hands the value on.
    const bool left_to_session = result == "nack" && expected.at("code") == "interval_too_small";
    ASSERT_TRUE(result == "accepted" || left_to_session) << where << " decoded as " << fields;
    if (expected.contains("fields")) expect_fields(expected.at("fields"), fields, where);
    if (expected.contains("base_version")) {
        EXPECT_EQ(heartbeat != nullptr ? heartbeat->base_version : group->base_version, expected.at("base_version"))
            << where;
    }
    if (expected.contains("address")) {
        EXPECT_EQ(group != nullptr,
                  expected.at("address") == kGroupAddress || expected.at("address") == kCgcsGroupAddress)
            << where;
    }
}

void check(const Vector& vector, std::size_t bytes_per_read) {
    SCOPED_TRACE(vector.id);
    LineFramer framer(max_line(vector.channel));
    std::size_t next = 0;
    std::uint64_t overlong = 0;
    const auto next_expected = [&]() -> const json& {
        static const json kNothing = {{"result", "nothing"}};
        return next < vector.expect.size() ? vector.expect.at(next++) : kNothing;
    };
    const auto count_overlong = [&] {
        for (; overlong < framer.overlong_lines(); ++overlong)
            EXPECT_EQ(next_expected().at("result"), "malformed");
    };
    for (std::size_t at = 0; at < vector.bytes.size(); at += bytes_per_read) {
        framer.feed(std::string_view(vector.bytes).substr(at, bytes_per_read), [&](std::string_view line) {
            count_overlong();
            expect_outcome(read_line(line, vector.channel, vector.receiver), next_expected(), vector.channel,
                           vector.id);
        });
        count_overlong();
    }
    EXPECT_EQ(next, vector.expect.size()) << "lines that were expected did not come";
}

TEST(SpecificationVectors, ReadAsSpecified) {
    int checked = 0;
    for (const Vector& vector : load_vectors()) {
        check(vector, vector.bytes.size() + 1);
        ++checked;
    }
    EXPECT_GT(checked, 450);
}

TEST(SpecificationVectors, ReadTheSameByteByByte) {
    for (const Vector& vector : load_vectors())
        check(vector, 1);
}

}  // namespace
}  // namespace vitalwire::wire
