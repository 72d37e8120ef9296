#include "controller/groups/group_service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "wire/limits.hpp"

namespace vitalwire::controller {
namespace {

using base::GroupId;
using base::GuestId;
using base::HostId;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

InventoryGuest guest(const char* id, const char* host, const char* group, const char* project = "p") {
    InventoryGuest made;
    made.id = GuestId(id);
    made.display_name = id;
    made.host = HostId(host);
    made.group = GroupId(group);
    made.project = project;
    made.policy = {GuestId(id), false, true};
    return made;
}

std::string names(const std::vector<GuestId>& guests) {
    std::string out;
    for (const GuestId& id : guests)
        out += (out.empty() ? "" : ",") + id.str();
    return out;
}

struct InWords {
    std::string operator()(const bus::GroupDeliver& m) const {
        return "deliver " + m.payload + " of " + m.source + " to " + names(m.guests) +
               (m.dropped > 0 ? " after " + std::to_string(m.dropped) + " lost" : "");
    }
    std::string operator()(const bus::GroupNotify& m) const {
        return "notify " + names(m.guests) + ' ' + m.state.instance_id + ' ' + m.state.state + ' ' +
               m.state.heartbeat.value_or("");
    }
    std::string operator()(const bus::GroupStatus& m) const {
        return std::to_string(m.members.size()) + " states" + (m.last ? ", last" : "");
    }
    std::string operator()(const bus::GroupAccepted& m) const { return "accepted " + std::to_string(m.up_to); }
    std::string operator()(const bus::GroupRefused& m) const {
        return "refused " + std::to_string(m.number) + ' ' + std::string(base::to_string(m.code));
    }
    std::string operator()(const auto&) const { return "another message"; }
};

/// Guests a and b of group g on host h1, c of it on h2; x of another project's group on h2; h1 and h2 led from here.
class GroupServiceTest : public testing::Test {
protected:
    GroupServiceTest() {
        for (const char* host : {"h1", "h2"})
            connect(host);
        inventory_.put_group({GroupId("g"), "g", "p"});
        inventory_.put_group({GroupId("other"), "other", "q"});
        for (const auto& made : {guest("a", "h1", "g"), guest("b", "h1", "g"), guest("c", "h2", "g"),
                                 guest("x", "h2", "other", "q"), guest("loner", "h2", "")})
            inventory_.put(made);
    }

    /// An agent connects and reports that it has no guests.
    void connect(const char* host) {
        fleet_.up(HostId(host), {bus::kBusVersion, HostId(host), "1", std::string("life-of-") + host, true}, "", {});
        fleet_.begin_snapshot(HostId(host));
        fleet_.end_snapshot(HostId(host));
    }
    void change(const InventoryGuest& made) { service_.inventory_changed({*inventory_.put(made)}, {}); }
    void report(const char* id, const char* host, const char* state) {
        model::GuestReport report;
        report.guest = GuestId(id);
        report.state = state;
        ASSERT_TRUE(fleet_.report(HostId(host), report));
        service_.heartbeat_changed(GuestId(id), {});
    }
    std::vector<std::string> take() { return std::exchange(sent_, {}); }
    /// The guest's channel on that host is connected.
    void channel(const char* id, const char* host, bool up = true) {
        model::GuestReport report;
        report.guest = GuestId(id);
        report.state = "registered";
        if (up) report.channels = {"org.vitalwire.0"};
        ASSERT_TRUE(fleet_.report(HostId(host), report));
        service_.deliver_kept(now_);
    }
    void say(const char* what) { service_.on(HostId("h1"), bus::GroupSend{++said_, GuestId("a"), what}, now_); }
    /// The deliveries to guests of h2.
    std::vector<std::string> on_h2() {
        std::vector<std::string> lines = take();
        std::erase_if(lines, [](const std::string& line) { return !line.starts_with("h2: "); });
        return lines;
    }

    std::uint64_t said_ = 0;
    base::TimePoint now_{std::chrono::hours(1)};
    std::set<GuestId> moving_;
    Inventory inventory_;
    Fleet fleet_;
    std::vector<std::string> sent_;
    HostNames names_{inventory_, fleet_};
    GroupService service_{inventory_,
                          fleet_,
                          names_,
                          "me",
                          [this](const HostId& host, const bus::ToAgent& message) {
                              sent_.push_back(host.str() + ": " + std::visit(InWords{}, message));
                          },
                          [this](const GuestId& guest) { return moving_.contains(guest); }};
};

TEST_F(GroupServiceTest, S01_SendsABroadcastOnceToEachHostAndConfirmsIt) {
    service_.on(HostId("h1"), bus::GroupSend{7, GuestId("a"), "hi"}, now_);
    EXPECT_THAT(take(), ElementsAre("h1: deliver hi of a to b", "h2: deliver hi of a to c", "h1: accepted 7"));
}

TEST_F(GroupServiceTest, KeepsBroadcastsForAGuestThatMovesUntilItsChannelIsThere) {
    channel("c", "h1", false);
    channel("c", "h2");
    moving_.insert(GuestId("c"));
    say("1");
    EXPECT_THAT(on_h2(), ElementsAre("h2: deliver 1 of a to c")) << "its channel is still there";
    fleet_.gone(HostId("h2"), GuestId("c"));
    say("2");
    say("3");
    EXPECT_THAT(on_h2(), IsEmpty());
    moving_.clear();
    change(guest("c", "h1", "g"));
    service_.deliver_kept(now_);
    say("4");
    EXPECT_THAT(take(), Not(Contains(HasSubstr("to c"))));
    channel("c", "h1");
    EXPECT_THAT(take(), ElementsAre("h1: deliver 2 of a to c", "h1: deliver 3 of a to c", "h1: deliver 4 of a to c"));
    say("5");
    EXPECT_THAT(take(), Contains("h1: deliver 5 of a to b,c"));
    EXPECT_EQ(service_.totals().kept, 3U);
}

TEST_F(GroupServiceTest, KeepsBroadcastsForAGuestThatHasMovedAndIsNotThereYet) {
    change(guest("c", "h1", "g"));
    service_.deliver_kept(now_);
    say("1");
    EXPECT_THAT(take(), Not(Contains(HasSubstr("to b,c"))));
    channel("c", "h1");
    EXPECT_THAT(take(), ElementsAre("h1: deliver 1 of a to c"));
}

TEST_F(GroupServiceTest, DropsWhatItKeptOfASenderThatAnotherControllerServesNow) {
    moving_.insert(GuestId("c"));
    say("1");
    fleet_.set_primary(HostId("h1"), {false, {}, {}});
    channel("c", "h2");
    EXPECT_THAT(on_h2(), IsEmpty()) << "the other one may have delivered what was sent after it";
    EXPECT_EQ(service_.dropped(), 1U);
    fleet_.set_primary(HostId("h1"), {true, {}, {}});
    say("2");
    EXPECT_THAT(on_h2(), ElementsAre("h2: deliver 2 of a to c after 1 lost"));
}

TEST_F(GroupServiceTest, WhatItKeptOfASenderWhoseAgentConnectsAgainIsLostAndCounted) {
    moving_.insert(GuestId("c"));
    say("1");
    service_.agent_down(HostId("h1"));
    service_.expect(HostId("h1"));
    say("2");
    channel("c", "h2");
    EXPECT_THAT(on_h2(), ElementsAre("h2: deliver 2 of a to c after 1 lost"))
        << "another controller may have delivered newer ones, or the first once more";
}

TEST_F(GroupServiceTest, WhatItKeptOfASenderIsLostOnceAnotherControllerWasItsPrimary) {
    moving_.insert(GuestId("c"));
    say("1");
    fleet_.set_primary(HostId("h1"), {false, {}, {}});
    service_.deliver_kept(now_);
    fleet_.set_primary(HostId("h1"), {true, {}, {}});
    channel("c", "h2");
    EXPECT_THAT(on_h2(), IsEmpty());
    EXPECT_EQ(service_.dropped(), 1U);
}

TEST_F(GroupServiceTest, WhatItKeptOfOthersStaysWhenAnAgentConnectsAgain) {
    moving_.insert(GuestId("c"));
    say("1");
    service_.drop_kept_of(HostId("h2"));
    channel("c", "h2");
    EXPECT_THAT(on_h2(), ElementsAre("h2: deliver 1 of a to c"));
}

TEST_F(GroupServiceTest, KeepsNothingForAGuestThatDoesNotMove) {
    channel("c", "h2", false);
    say("1");
    EXPECT_THAT(on_h2(), ElementsAre("h2: deliver 1 of a to c"));
}

TEST_F(GroupServiceTest, TellsAGuestThatMovedForTooLongHowMuchItLost) {
    moving_.insert(GuestId("c"));
    say("1");
    say("2");
    now_ += KeptMessages::kLongest;
    service_.deliver_kept(now_);
    EXPECT_EQ(service_.dropped(), 2U);
    channel("c", "h2");
    EXPECT_THAT(on_h2(), IsEmpty()) << "nothing is left that could tell it";
    say("3");
    EXPECT_THAT(on_h2(), ElementsAre("h2: deliver 3 of a to c after 2 lost"));
    say("4");
    EXPECT_THAT(on_h2(), ElementsAre("h2: deliver 4 of a to c"));
}

TEST_F(GroupServiceTest, S01_AGroupOfAHundredOnTenHostsCostsTenMessages) {
    inventory_.put_group({GroupId("big"), "big", "p"});
    for (int i = 0; i < 100; ++i)
        inventory_.put(guest(("m" + std::to_string(i)).c_str(), ("n" + std::to_string(i % 10)).c_str(), "big"));
    service_.on(HostId("n0"), bus::GroupSend{1, GuestId("m0"), "hi"}, now_);
    EXPECT_EQ(take().size(), 10U + 1U) << "and one that confirms it";
}

TEST_F(GroupServiceTest, S06_RefusesAGuestOfNoGroup) {
    service_.on(HostId("h2"), bus::GroupSend{1, GuestId("loner"), "hi"}, now_);
    service_.on(HostId("h2"), bus::GroupQuery{2, GuestId("nobody")});
    EXPECT_THAT(take(), ElementsAre("h2: refused 1 not_in_group", "h2: refused 2 not_in_group"));
}

TEST_F(GroupServiceTest, AnAgentCannotSpeakForAnotherHostsGuest) {
    service_.on(HostId("h2"), bus::GroupSend{1, GuestId("a"), "forged"}, now_);
    EXPECT_THAT(take(), ElementsAre("h2: refused 1 permission"));
}

TEST_F(GroupServiceTest, TwoProjectsNeverMeetWhateverTheInventorySays) {
    change(guest("spy", "h1", "g", "q"));
    take();
    service_.on(HostId("h1"), bus::GroupSend{1, GuestId("a"), "hi"}, now_);
    EXPECT_THAT(take(), ElementsAre("h1: deliver hi of a to b", "h2: deliver hi of a to c", "h1: accepted 1"));
    service_.on(HostId("h1"), bus::GroupSend{2, GuestId("spy"), "hi"}, now_);
    EXPECT_THAT(take(), ElementsAre("h1: refused 2 not_in_group"));
}

TEST_F(GroupServiceTest, S02_AnswersAQueryWithAllStatesInPieces) {
    for (int i = 0; i < 117; ++i)
        inventory_.put(guest(("m" + std::to_string(i)).c_str(), "h1", "g"));
    service_.on(HostId("h1"), bus::GroupQuery{3, GuestId("a")});
    EXPECT_THAT(take(), ElementsAre("h1: 50 states", "h1: 50 states", "h1: 20 states, last"));
}

TEST_F(GroupServiceTest, S12_NotifiesThePeersOfAChange) {
    auto paused = guest("a", "h1", "g");
    paused.state = "paused";
    change(paused);
    EXPECT_THAT(take(), ElementsAre("h1: notify b a paused unmonitored", "h2: notify c a paused unmonitored"));
}

TEST_F(GroupServiceTest, S12_AChangeThatNoPeerSeesIsNotNotified) {
    auto limited = guest("a", "h1", "g");
    limited.policy.messages_per_second = 5;
    change(limited);
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(GroupServiceTest, S18_WhoLeavesIsGoneForOldPeersAndThereForNewOnes) {
    change(guest("c", "h2", ""));
    EXPECT_THAT(take(), ElementsAre("h1: notify a,b c deleted unmonitored"));
    change(guest("c", "h2", "g"));
    EXPECT_THAT(take(), Contains("h1: notify a,b c active unmonitored"));
    service_.inventory_changed({*inventory_.remove(GuestId("c"))}, {});
    EXPECT_THAT(take(), ElementsAre("h1: notify a,b c deleted unmonitored"));
}

TEST_F(GroupServiceTest, WhoJoinsIsNotifiedOfItsPeers) {
    change(guest("c", "h2", ""));
    take();
    change(guest("c", "h2", "g"));
    EXPECT_THAT(on_h2(), ElementsAre("h2: notify c a active unmonitored", "h2: notify c b active unmonitored"));
}

TEST_F(GroupServiceTest, WhoIsOnAnotherHostIsNotifiedOfItsPeersThere) {
    change(guest("b", "h2", "g"));
    take();
    report("a", "h1", "lost");
    service_.heartbeat_changed(GuestId("a"), {});
    take();
    change(guest("b", "h1", "g"));
    EXPECT_THAT(take(), Contains("h1: notify b a active lost"));
}

TEST_F(GroupServiceTest, SeveralThatJoinOnOneHostAreNotifiedOfEachPeerAtOnce) {
    const auto first = inventory_.put(guest("d", "h2", "g"));
    const auto second = inventory_.put(guest("e", "h2", "g"));
    service_.inventory_changed({*first, *second}, {});
    EXPECT_THAT(on_h2(),
                testing::IsSupersetOf({"h2: notify d,e a active unmonitored", "h2: notify e d active unmonitored",
                                       "h2: notify d e active unmonitored"}));
}

TEST_F(GroupServiceTest, OnlyHostsWhosePrimaryThisControllerIsAreNotified) {
    fleet_.set_primary(HostId("h2"), {false, {}, {}});
    auto paused = guest("a", "h1", "g");
    paused.state = "paused";
    change(paused);
    EXPECT_THAT(take(), ElementsAre("h1: notify b a paused unmonitored"));
}

TEST_F(GroupServiceTest, NotifiesThePeersWhenAMemberIsLostAndBack) {
    report("a", "h1", "registered");
    take();
    report("a", "h1", "lost");
    report("a", "h1", "lost");
    report("a", "h1", "registered");
    EXPECT_THAT(take(), ElementsAre("h1: notify b a active lost", "h2: notify c a active lost",
                                    "h1: notify b a active healthy", "h2: notify c a active healthy"));
}

TEST_F(GroupServiceTest, AMemberThatWasLostWhenThisControllerStartedIsNotified) {
    report("a", "h1", "lost");
    EXPECT_THAT(take(), ElementsAre("h1: notify b a active lost", "h2: notify c a active lost"));
}

TEST_F(GroupServiceTest, AnAgentThatConnectsAndTheOthersAreNotifiedOfEachOthersGuests) {
    service_.initial_sync(HostId("h1"), {});
    take();
    service_.initial_sync(HostId("h2"), {});
    EXPECT_THAT(take(), ElementsAre("h1: notify a,b c active unmonitored", "h2: notify c a active unmonitored",
                                    "h2: notify c b active unmonitored"));
    fleet_.down(HostId("h1"), {});
    service_.initial_sync(HostId("h2"), {});
    EXPECT_THAT(take(), IsEmpty()) << "their agent knows more, and is not there yet";
}

TEST_F(GroupServiceTest, AnAgentOfAnotherPrimaryIsNotNotifiedButItsGuestsAreKnown) {
    service_.initial_sync(HostId("h1"), {});
    take();
    fleet_.set_primary(HostId("h2"), {false, {}, {}});
    service_.initial_sync(HostId("h2"), {});
    EXPECT_THAT(take(), ElementsAre("h1: notify a,b c active unmonitored"));
}

TEST_F(GroupServiceTest, NothingIsNotifiedToAHostNorOfItsGuestsBeforeItsInitialSync) {
    service_.initial_sync(HostId("h1"), {});
    take();
    connect("h2");
    service_.expect(HostId("h2"));
    report("c", "h2", "registered");
    report("a", "h1", "lost");
    EXPECT_THAT(take(), ElementsAre("h1: notify b a active lost"));
    service_.initial_sync(HostId("h2"), {});
    EXPECT_THAT(take(), ElementsAre("h1: notify a,b c active healthy", "h2: notify c a active lost",
                                    "h2: notify c b active unmonitored"));
}

TEST_F(GroupServiceTest, WhatWasNotifiedWithAHostIsNotNotifiedAgain) {
    service_.initial_sync(HostId("h1"), {});
    take();
    model::GuestReport lost;
    lost.guest = GuestId("c");
    lost.state = "lost";
    ASSERT_TRUE(fleet_.report(HostId("h2"), lost));
    service_.initial_sync(HostId("h2"), {});
    EXPECT_THAT(take(), Contains("h1: notify a,b c active lost"));
    report("c", "h2", "lost");
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(GroupServiceTest, AHostIsSyncedWhenItsSnapshotIsComplete) {
    fleet_.up(HostId("h2"), {bus::kBusVersion, HostId("h2"), "1", "its next life", true}, "", {});
    service_.expect(HostId("h2"));
    service_.initial_sync(HostId("h2"), {});
    report("a", "h1", "lost");
    EXPECT_THAT(take(), ElementsAre("h1: notify b a active lost")) << "not synced yet";
}

TEST_F(GroupServiceTest, AgentsThatReturnTogetherAreNotifiedOfEachPeerOnce) {
    for (const char* host : {"h1", "h2"})
        service_.expect(HostId(host));
    service_.initial_sync(HostId("h1"), {});
    EXPECT_THAT(take(), ElementsAre("h1: notify b a active unmonitored", "h1: notify a b active unmonitored",
                                    "h1: notify a,b c active unmonitored"));
    service_.initial_sync(HostId("h2"), {});
    EXPECT_THAT(take(), ElementsAre("h2: notify c a active unmonitored", "h2: notify c b active unmonitored"));
}

TEST_F(GroupServiceTest, WhoWasSyncedBeforeAnAgentCameIsNotifiedOfItsGuests) {
    service_.initial_sync(HostId("h1"), {});
    take();
    service_.expect(HostId("h2"));
    service_.initial_sync(HostId("h2"), {});
    EXPECT_THAT(take(), ElementsAre("h1: notify a,b c active unmonitored", "h2: notify c a active unmonitored",
                                    "h2: notify c b active unmonitored"));
}

TEST_F(GroupServiceTest, PeersAreNotifiedOnceThatAMissingAgentMonitorsNobodyAndAgainWhenItIsBack) {
    for (const char* host : {"h1", "h2"})
        service_.initial_sync(HostId(host), {});
    report("c", "h2", "registered");
    take();
    fleet_.down(HostId("h2"), {});
    service_.agent_down(HostId("h2"));
    service_.set_missing({}, {});
    EXPECT_THAT(take(), IsEmpty()) << "it may be restarting";
    service_.set_missing({HostId("h2")}, {});
    service_.set_missing({HostId("h2")}, {});
    EXPECT_THAT(take(), ElementsAre("h1: notify a,b c active unmonitored"));
    connect("h2");
    service_.expect(HostId("h2"));
    report("c", "h2", "registered");
    service_.initial_sync(HostId("h2"), {});
    EXPECT_THAT(take(), Contains("h1: notify a,b c active healthy"));
}

TEST_F(GroupServiceTest, AnAgentThatComesLaterIsNotifiedOfTheGuestsOfOneThatIsMissing) {
    fleet_.down(HostId("h2"), {});
    service_.agent_down(HostId("h2"));
    service_.set_missing({HostId("h2")}, {});
    service_.initial_sync(HostId("h1"), {});
    EXPECT_THAT(take(), Contains("h1: notify a,b c active unmonitored"));
}

TEST_F(GroupServiceTest, AnAgentThatComesIsNotifiedOfAPeerThatIsOnNoHost) {
    inventory_.put(guest("shelved", "", "g"));
    service_.initial_sync(HostId("h1"), {});
    EXPECT_THAT(take(), Contains("h1: notify a,b shelved active unmonitored"));
}

TEST_F(GroupServiceTest, WhatTheCloudKnowsIsCutToWhatTheWireAllows) {
    auto long_winded = guest("a", "h1", "g");
    long_winded.display_name = std::string(300, 'n');
    long_winded.metadata["key"] = std::string(10'000, 'v');
    inventory_.put(long_winded);
    const wire::MemberState state = service_.state(GuestId("a"));
    EXPECT_EQ(state.display_name.size(), 255U);
    EXPECT_FALSE(state.metadata);
    EXPECT_THAT(state.reduced, ElementsAre("metadata"));
    const auto message = bus::encode(bus::ToAgent(bus::GroupStatus{1, {state}, true}));
    EXPECT_TRUE(bus::decode_to_agent(message));
}

TEST_F(GroupServiceTest, AnOperatorsMessageReachesAllMembers) {
    EXPECT_EQ(service_.send_as_operator(GroupId("g"), "test").value(), 3U);
    EXPECT_THAT(take(),
                UnorderedElementsAre("h1: deliver test of operator to a,b", "h2: deliver test of operator to c"));
    EXPECT_EQ(service_.send_as_operator(GroupId("none"), "test").error().code, base::Errc::not_found);
    EXPECT_EQ(service_.send_as_operator(GroupId("g"), std::string(wire::kMaxPayload + 1, 'x')).error().code,
              base::Errc::too_large);
}

TEST_F(GroupServiceTest, CountsForEachGroup) {
    service_.on(HostId("h1"), bus::GroupSend{7, GuestId("a"), "hi"}, now_);
    service_.on(HostId("h1"), bus::GroupQuery{8, GuestId("a")});
    const GroupCounters counters = service_.counters().at(GroupId("g"));
    EXPECT_EQ(counters.broadcasts, 1U);
    EXPECT_EQ(counters.deliveries, 2U);
    EXPECT_EQ(counters.queries, 1U);
}

}  // namespace
}  // namespace vitalwire::controller
