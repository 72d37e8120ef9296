#include "bus/messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bus/json.hpp"
#include "bus/limits.hpp"
#include "wire/limits.hpp"

namespace vitalwire::bus {
namespace {

using base::Errc;
using base::Millis;
using base::WallTime;
using testing::HasSubstr;

WallTime at(long long micros) {
    return WallTime(std::chrono::microseconds(micros));
}

model::Fault some_fault() {
    model::Fault fault;
    fault.id = base::FaultId("6f9619ff-8b86-4011-b42d-00c04fc964ff");
    fault.guest = base::GuestId("g-1");
    fault.guest_name = "web \"1\"\n";
    fault.kind = model::FaultKind::unhealthy;
    fault.reason = "disk full";
    fault.corrective_action = model::CorrectiveAction::reboot;
    fault.revision = 3;
    fault.delivered = 2;
    fault.opened_at = at(1'795'327'508'123'456);
    fault.updated_at = at(1'795'327'509'000'001);
    return fault;
}

model::GuestReport some_report() {
    model::GuestReport report;
    report.guest = base::GuestId("g-1");
    report.name = "web";
    report.state = "registered";
    report.hold = "paused";
    report.warning = "application db is not watched";
    report.channels = {"org.vitalwire.0", "cgcs.heartbeat"};
    report.interval = Millis(1000);
    report.response_deadline = Millis(500);
    report.registered_since = at(1'795'327'508'123'456);
    report.challenges = 10;
    report.responses = 9;
    report.late = 1;
    report.misses = 2;
    report.refused = 3;
    report.last_round_trip_us = 412;
    report.longest_round_trip_us = 5000;
    report.round_trips = {0, 7, 2};
    report.io = {at(1'795'327'509'000'000), Millis(60'000), Millis(12'000)};
    return report;
}

/// What a message looks like after the way over the wire: equal text means equal content.
std::string round_trip(const ToController& message) {
    const auto decoded = decode_to_controller(encode(message));
    return decoded ? encode(*decoded) : decoded.error().message;
}
std::string round_trip(const ToAgent& message) {
    const auto decoded = decode_to_agent(encode(message));
    return decoded ? encode(*decoded) : decoded.error().message;
}

TEST(BusMessages, EveryMessageToTheControllerSurvivesTheWire) {
    model::Fault cleared = some_fault();
    cleared.cleared_at = at(1'795'327'600'000'000);
    cleared.clear_reason = "recovered";
    for (const ToController& message :
         {ToController(Hello{1, base::HostId("compute-1.example"), "0.1.0", "i-1", true}),
          ToController(PrimaryChanged{true}), ToController(SnapshotBegin{}), ToController(SnapshotEnd{}),
          ToController(Guests{{some_report(), model::GuestReport{base::GuestId("g-2"), "", "unregistered", "", {}}}}),
          ToController(GuestGone{base::GuestId("g-1")}), ToController(Faults{{some_fault(), cleared}}),
          ToController(Faults{{some_fault()}, {}, 7, true})}) {
        EXPECT_EQ(round_trip(message), encode(message));
        EXPECT_EQ(decode_to_controller(encode(message))->index(), message.index());
    }
}

TEST(BusMessages, EveryMessageToTheAgentSurvivesTheWire) {
    model::GuestPolicy full{base::GuestId("g-1"), true, true, 3, Millis(200), Millis(60'000)};
    full.detection_time = Millis(900);
    full.machine_faults = true;
    full.watch_io = true;
    for (const ToAgent& message :
         {ToAgent(Welcome{1, "controller-1"}), ToAgent(Welcome{1, "controller-1", at(1'795'327'508'123'456)}),
          ToAgent(HandBack{{some_report()}, {some_fault()}, true, {}, true}),
          ToAgent(HandBack{{some_report()}, {}, true, {}, false, true, "boot-1"}),
          ToAgent(Rejected{"host is \"taken\""}),
          ToAgent(FaultsDelivered{{{base::FaultId("f-1"), 7}, {base::FaultId("f-2"), 1, {{"mark"}}}}}),
          ToAgent(Policies{true, {full, model::GuestPolicy{base::GuestId("g-2"), true, false, 0, {}, {}}}})}) {
        EXPECT_EQ(round_trip(message), encode(message));
        EXPECT_EQ(decode_to_agent(encode(message))->index(), message.index());
    }
}

TEST(BusMessages, WhoHasAFaultSurvivesTheWireAndIsNotKnownWhereItCannotBeRead) {
    model::Fault fault;
    fault.id = base::FaultId("f-1");
    fault.guest = base::GuestId("g-1");
    fault.opened_at = fault.updated_at = base::WallTime(std::chrono::seconds(1));
    const auto received = [](const nlohmann::json& object) { return fault_from_json(object)->delivered_to; };
    EXPECT_FALSE(received(to_json(fault)));
    fault.delivered_to.emplace();
    EXPECT_EQ(received(to_json(fault)), fault.delivered_to) << "nobody is not the same as not known";
    fault.delivered_to->emplace_back("mark");
    EXPECT_EQ(received(to_json(fault)), fault.delivered_to);
    auto object = to_json(fault);
    object["delivered_to"] = {1};
    EXPECT_FALSE(received(object));
    object["delivered_to"] = std::vector<std::string>(kMaxReceivers + 1, "mark");
    EXPECT_FALSE(received(object));
}

TEST(BusMessages, WhatTellsAContinuousAgentFromAFreshOneSurvivesTheWire) {
    Hello hello{1,       base::HostId("compute-1"), "0.1.0",      "i-1",    true, "state-1", 3, 7,
                "ctl-a", {"ctl-a", "ctl-b"},        {{"i-0", 5}}, "boot-1", true};
    EXPECT_EQ(round_trip(ToController(hello)), encode(ToController(hello)));
    const auto decoded = std::get<Hello>(decode_to_controller(encode(ToController(hello))).value());
    EXPECT_EQ(decoded.state, "state-1");
    EXPECT_EQ(decoded.state_starts, 3U);
    EXPECT_EQ(decoded.primary, "ctl-a");
    EXPECT_EQ(decoded.controllers, hello.controllers);
    EXPECT_EQ(decoded.lives, hello.lives);
    EXPECT_EQ(decoded.boot, "boot-1");
    EXPECT_TRUE(decoded.yields);
    const PrimaryChanged changed{false, "ctl-b", {"ctl-b"}};
    EXPECT_EQ(round_trip(ToController(changed)), encode(ToController(changed)));
    EXPECT_TRUE(decode_to_controller(R"({"type":"lead_changed","lead":true})")) << "an agent of an earlier release";
}

TEST(BusMessages, LivesThatALaterReleaseNamesOtherwiseCostNoConnection) {
    const std::string hello = R"({"type":"hello","version":1,"host":"h","instance":"i","lead":false)";
    const auto lives = [&](const std::string& list) {
        const auto decoded = decode_to_controller(hello + list + '}');
        return decoded ? std::get<Hello>(*decoded).lives : std::vector<Hello::Life>{{"refused", 0}};
    };
    EXPECT_TRUE(lives("").empty());
    EXPECT_EQ(lives(R"(,"lives":[{"id":1},{"instance":"a","state_changes":2,"new":1}])"),
              (std::vector<Hello::Life>{{"a", 2}}));
    std::string many = R"({"instance":"a","state_changes":2})";
    for (std::size_t more = 1; more < 2 * kMaxLives; ++more)
        many += R"(,{"instance":"b","state_changes":2})";
    EXPECT_EQ(lives(",\"lives\":[" + many + ']').size(), kMaxLives);
}

TEST(BusMessages, AgentProblemsSurviveTheWireAndAreBounded) {
    AgentProblems problems;
    problems.problems = {{"libvirt cannot be reached", "EOF", at(1'795'327'508'123'456), {}},
                         {"a channel cannot be connected", "permission denied", at(1), base::GuestId("g-1")}};
    const auto decoded = std::get<AgentProblems>(decode_to_controller(encode(ToController(problems))).value());
    EXPECT_EQ(decoded.problems, problems.problems);
    problems.problems.resize(129, problems.problems.front());
    EXPECT_EQ(decode_to_controller(encode(ToController(problems))).error().code, Errc::too_large);
}

TEST(BusMessages, AHandBackSurvivesTheWire) {
    const HandBack message{{some_report()}, {some_fault()}, true, {}, true};
    EXPECT_EQ(round_trip(ToAgent(message)), encode(ToAgent(message)));
}

TEST(BusMessages, MaintenanceOfGuestsSurvivesTheWire) {
    GuestMaintenance message{false, true, {{base::GuestId("g-1"), true, {}}}, {base::GuestId("g-3")}};
    message.items.push_back({base::GuestId("g-2"), false, at(1'795'327'508'123'456)});
    const auto decoded = std::get<GuestMaintenance>(decode_to_agent(encode(ToAgent(message))).value());
    EXPECT_EQ(decoded.items, message.items);
    EXPECT_EQ(round_trip(ToAgent(message)), encode(ToAgent(message)));
}

TEST(BusMessages, ARejectionSaysWhenToTryAgain) {
    const Rejected decoded =
        std::get<Rejected>(decode_to_agent(encode(ToAgent(Rejected{"taken", Millis(10'000)}))).value());
    EXPECT_EQ(decoded.retry_after, Millis(10'000));
    EXPECT_TRUE(
        std::get<Rejected>(decode_to_agent(encode(ToAgent(Rejected{"taken", {}, true}))).value()).connected_already);
    EXPECT_EQ(std::get<Rejected>(decode_to_agent(R"({"type":"rejected","reason":"no"})").value()).retry_after,
              Millis(0));
}

TEST(BusMessages, AnElementThatIsNotKnownCostsNothingButItself) {
    nlohmann::json message = nlohmann::json::parse(encode(ToController(Faults{{some_fault(), some_fault()}, {}})));
    message["faults"][0]["kind"] = "disk_failing";
    const auto faults = std::get<Faults>(decode_to_controller(message.dump()).value());
    ASSERT_EQ(faults.faults.size(), 1U);
    ASSERT_EQ(faults.skipped.size(), 1U);
    EXPECT_THAT(faults.skipped[0].message, HasSubstr("faults[0]: key 'kind': 'disk_failing' is no kind of fault"));
    const auto guests = std::get<Guests>(
        decode_to_controller(R"({"type":"guests","guests":[{"guest":1},{"guest":"g","state":"lost"}]})").value());
    EXPECT_EQ(guests.guests.size(), 1U);
    EXPECT_EQ(guests.skipped.size(), 1U);
    const auto policies = std::get<Policies>(
        decode_to_agent(R"({"type":"policies","complete":true,"policies":[{"guest":"g"},{"misses":-1}]})").value());
    EXPECT_EQ(policies.policies.size(), 1U);
    EXPECT_EQ(policies.skipped.size(), 1U);
}

TEST(BusMessages, EveryMessageOfAServerGroupSurvivesTheWire) {
    const std::string any_bytes("\0\xFF\n\"", 4);
    wire::MemberState member;
    member.instance_id = "g-1";
    member.state = "active";
    member.metadata = std::map<std::string, std::string>{{"role", "db"}};
    for (const ToController& message : {ToController(GroupSend{7, base::GuestId("g-1"), any_bytes}),
                                        ToController(GroupSend{8, base::GuestId("g-1"), "text"}),
                                        ToController(GroupQuery{9, base::GuestId("g-1")})}) {
        EXPECT_EQ(round_trip(message), encode(message));
    }
    for (const ToAgent& message :
         {ToAgent(GroupAccepted{7}), ToAgent(GroupRefused{8, Errc::not_in_group, "no"}),
          ToAgent(GroupDeliver{{base::GuestId("g-2")}, "g-1", true, any_bytes, "life-1", 7, 3}),
          ToAgent(GroupNotify{{base::GuestId("g-2")}, "compute.instance.update", "2026-11-22T06:05:08Z", member}),
          ToAgent(GroupStatus{9, {member, member}, true})}) {
        EXPECT_EQ(round_trip(message), encode(message));
    }
    EXPECT_EQ(
        std::get<GroupSend>(*decode_to_controller(encode(ToController(GroupSend{7, base::GuestId("g"), any_bytes}))))
            .payload,
        any_bytes);
}

TEST(BusMessages, NothingOfAReportOrAPolicyIsLost) {
    EXPECT_EQ(guest_report_from_json(to_json(some_report())).value(), some_report());
    const model::GuestPolicy policy{
        base::GuestId("g"),  true,       true, 2, Millis(300), Millis(1), 70, 9000, model::CorrectiveAction::reboot,
        {"org.vitalwire.0"}, Millis(900)};
    EXPECT_EQ(guest_policy_from_json(to_json(policy)).value(), policy);
}

TEST(FaultMessage, HasNoIdThatAnAlarmAboutTheSuiteMayHave) {
    nlohmann::json object = to_json(some_fault());
    object["id"] = "agent_lost.compute-1";
    const auto fault = fault_from_json(object);
    ASSERT_FALSE(fault);
    EXPECT_EQ(fault.error().message, "key 'id': a guest's fault has an id without '.'");
}

TEST(BusMessages, NothingOfAFaultIsLost) {
    const model::Fault fault = fault_from_json(to_json(some_fault())).value();
    EXPECT_EQ(fault.id, some_fault().id);
    EXPECT_EQ(fault.guest_name, some_fault().guest_name);
    EXPECT_EQ(fault.kind, some_fault().kind);
    EXPECT_EQ(fault.corrective_action, some_fault().corrective_action);
    EXPECT_EQ(fault.revision, 3U);
    EXPECT_EQ(fault.delivered, 2U);
    EXPECT_EQ(fault.opened_at, some_fault().opened_at);
    EXPECT_EQ(fault.updated_at, some_fault().updated_at);
    EXPECT_TRUE(fault.open());
}

TEST(BusMessages, AreOneLineWhateverAGuestSays) {
    model::Fault fault = some_fault();
    fault.reason = "a\nb\xFF";
    const std::string line = encode(ToController(Faults{{fault}}));
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_TRUE(decode_to_controller(line));
}

TEST(BusMessages, OfALaterReleaseAreToldFromBrokenOnes) {
    EXPECT_EQ(decode_to_controller(R"({"type":"teleport"})").error().code, Errc::unknown_msg_type);
    EXPECT_EQ(decode_to_agent(R"({"type":"teleport"})").error().code, Errc::unknown_msg_type);
    EXPECT_EQ(decode_to_agent(R"({"type":"wel)").error().code, Errc::malformed);
}

TEST(BusMessages, IgnoreKeysTheyDoNotKnow) {
    const auto message = decode_to_agent(R"({"type":"welcome","version":2,"controller":"c","moon":{"phase":1}})");
    ASSERT_TRUE(message);
    EXPECT_EQ(std::get<Welcome>(*message).version, 2);
}

TEST(BusMessages, NameTheBadFieldAndItsPlace) {
    const auto error = [](std::string_view line) {
        const auto message = decode_to_controller(line);
        return message ? "accepted" : message.error().message;
    };
    EXPECT_THAT(error(R"({"version":1})"), HasSubstr("'type' is missing"));
    EXPECT_THAT(error(R"({"type":"hello","version":1,"host":"../x","instance":"i","lead":true})"), HasSubstr("'host'"));
    EXPECT_THAT(error(R"({"type":"hello","version":1,"host":"h","instance":"i","lead":1})"), HasSubstr("'lead'"));
    EXPECT_THAT(error(R"({"type":"guests"})"), HasSubstr("'guests': expected an array"));
    const auto skipped = [](std::string_view line) {
        return std::get<Guests>(decode_to_controller(line).value()).skipped.at(0).message;
    };
    EXPECT_THAT(skipped(R"({"type":"guests","guests":[{"guest":"a","state":"held"},7]})"), HasSubstr("guests[1]: "));
    EXPECT_THAT(skipped(R"({"type":"guests","guests":[{"guest":"a b","state":"held"}]})"),
                HasSubstr("guests[0]: key 'guest'"));
}

TEST(BusMessages, APolicyForEveryGuestOfAFullHostFitsOneMessage) {
    Policies policies{true, {}};
    for (int i = 0; i < 10'000; ++i) {
        const std::string number = std::to_string(100'000 + i);
        policies.policies.push_back({base::GuestId("6f9619ff-8b86-4011-b42d-00c04f" + number), true, false, 0, {}, {}});
    }
    const std::string line = encode(ToAgent(policies));
    EXPECT_LT(line.size(), kMaxBusMessage);
    EXPECT_EQ(std::get<Policies>(decode_to_agent(line).value()).policies.size(), 10'000U);
}

TEST(BusMessages, AWorstChunkOfStateFitsOneMessage) {
    model::Fault fault = some_fault();
    fault.guest_name = std::string(wire::kMaxName, '\x01');
    fault.reason = std::string(wire::kMaxReason, '\x01');
    const Faults faults{std::vector<model::Fault>(kStateChunk, fault)};
    EXPECT_LT(encode(ToController(faults)).size(), kMaxBusMessage);
}

}  // namespace
}  // namespace vitalwire::bus
