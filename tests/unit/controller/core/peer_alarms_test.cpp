#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kFailing = "sink_failing.other.nova";
constexpr const char* kCannot = "another controller cannot deliver";

/// Another controller, "other", has raised alarms, of which its journal tells.
class PeerAlarmsTest : public CoreTest {
protected:
    PeerAlarmsTest() { raised = made("sink_failing", "other", kFailing, "nova"); }

    Alarm made(const std::string& kind, const std::string& host, const std::string& id, const std::string& detail) {
        Alarm alarm;
        alarm.id = base::FaultId(id);
        alarm.kind = kind;
        alarm.severity = "major";
        alarm.host = base::HostId(host);
        alarm.detail = detail;
        alarm.opened_at = alarm.updated_at = moment.wall;
        return alarm;
    }
    void tell(const Alarm& alarm, std::vector<JournalEntry> entries = {}) {
        core->merge_journal(alarm.id, "other", {std::move(entries), 0, alarm}, moment);
        run_deferred();
    }
    JournalEntry acknowledged(const std::string& sink, const std::string& change, std::uint64_t revision) const {
        return {moment.wall, kAcknowledgedEntry, sink, change, 1, moment.wall, revision};
    }
    void answers() {
        core->peer_answered({"other", base::Millis(900), {}}, moment.steady, moment);
        run_deferred();
    }
    static Alarm over(Alarm alarm, base::WallTime at) { return ended_alarm(std::move(alarm), "delivers", at); }

    Alarm raised;
};

TEST_F(PeerAlarmsTest, AFailureThatNobodyWasToldOfIsDeliveredFromHere) {
    tell(raised);
    pass(seconds(9));
    EXPECT_THAT(take(), IsEmpty());
    pass(seconds(3));
    EXPECT_THAT(take(), ElementsAre("sink_failing.other.nova opened 1"));
    pass(seconds(2));
    EXPECT_THAT(problem(kCannot), HasSubstr("other: sink nova"));
}

TEST_F(PeerAlarmsTest, AFailureOfASinkIsDeliveredByTheOneOfThatNameHere) {
    raised.detail = "a";
    tell(raised);
    pass(seconds(12));
    EXPECT_THAT(take(), ElementsAre("sink_failing.other.nova opened 1"));
}

TEST_F(PeerAlarmsTest, AFailureThatWasToldThereIsNotDeliveredFromHere) {
    tell(raised, {acknowledged("b", "opened", 1)});
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(problem(kCannot), "");
}

TEST_F(PeerAlarmsTest, AFailureThatWasDeliveredFromHereEndsFromHere) {
    tell(raised);
    pass(seconds(12));
    take();
    tell(over(raised, moment.wall));
    pass(seconds(3));
    EXPECT_THAT(take(), ElementsAre("sink_failing.other.nova cleared 2"));
    EXPECT_EQ(problem(kCannot), "");
}

TEST_F(PeerAlarmsTest, AFailureThatWasDeliveredFromHereLastsOverARestart) {
    tell(raised);
    pass(seconds(12));
    take();
    restart();
    pass(seconds(20));
    EXPECT_THAT(take(), IsEmpty());
    tell(over(raised, moment.wall));
    pass(seconds(3));
    EXPECT_THAT(take(), ElementsAre("sink_failing.other.nova cleared 2"));
}

TEST_F(PeerAlarmsTest, AFailureThatWasDeliveredFromHereIsClosedHere) {
    tell(raised);
    pass(seconds(12));
    take();
    EXPECT_TRUE(core->clear_by_operator(raised.id, "its machine is gone", moment));
    pass(seconds(60));
    EXPECT_THAT(take(), ElementsAre("sink_failing.other.nova cleared 2"));
}

TEST_F(PeerAlarmsTest, AnAlarmOfAControllerThatIsGoneIsClosedAtTheSinksThatItTold) {
    tell(raised, {acknowledged("a", "opened", 1)});
    EXPECT_TRUE(core->clear_by_operator(raised.id, "its machine is gone", moment));
    pass(seconds(60));
    EXPECT_THAT(take(), ElementsAre("sink_failing.other.nova cleared 2"));
}

TEST_F(PeerAlarmsTest, ASinkThatWasNotToldOfAnAlarmIsNotToldOfItsEnd) {
    tell(raised, {acknowledged("b", "opened", 1)});
    EXPECT_TRUE(core->clear_by_operator(raised.id, "its machine is gone", moment));
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_TRUE(core->alarms().internal().all().empty());
}

TEST_F(PeerAlarmsTest, AControllerThatAnswersEndsItsAlarmItself) {
    answers();
    tell(raised, {acknowledged("a", "opened", 1)});
    EXPECT_TRUE(core->clear_by_operator(raised.id, "seen", moment));
    pass(seconds(5));
    tell(over(raised, moment.wall), {acknowledged("a", "opened", 1), acknowledged("a", "cleared", 2)});
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(PeerAlarmsTest, AnAlarmThatAControllerHasLostWithItsStateIsEndedFromHere) {
    answers();
    tell(raised, {acknowledged("a", "opened", 1)});
    EXPECT_TRUE(core->clear_by_operator(raised.id, "it was installed again", moment));
    pass(seconds(9));
    EXPECT_THAT(take(), IsEmpty());
    pass(seconds(3));
    EXPECT_THAT(take(), ElementsAre("sink_failing.other.nova cleared 2"));
}

TEST_F(PeerAlarmsTest, AHostThatIsConnectedHereIsNotUnreachableForAControllerThatIsGone) {
    const Alarm unreachable = made("host_unreachable", "compute-1", "host_unreachable.compute-1", "");
    tell(unreachable, {acknowledged("a", "opened", 1)});
    up(hello("compute-1"));
    keep_alive({"compute-1"}, minutes(2));
    EXPECT_THAT(take(), IsEmpty());
    keep_alive({"compute-1"}, minutes(2));
    EXPECT_THAT(take(), ElementsAre("host_unreachable.compute-1 cleared 2"));
}

TEST_F(PeerAlarmsTest, AHostThatIsConnectedHereMayBeLostForAControllerThatAnswers) {
    const Alarm lost = made("agent_lost", "compute-1", "agent_lost.compute-1", "");
    answers();
    tell(lost, {acknowledged("a", "opened", 1)});
    up(hello("compute-1"));
    keep_alive({"compute-1"}, minutes(5));
    EXPECT_THAT(take(), IsEmpty());
}

}  // namespace
}  // namespace vitalwire::controller
