#include "controller/openstack/nova_view.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

namespace vitalwire::controller {
namespace {

using base::GroupId;
using base::GuestId;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr const char* kGroup = "f6e2bc46-0363-480d-969e-ee7152d5fed7";
const std::map<std::string, std::string> kNames = {{"c4fbb761-93aa-4e6d-bbf3-959b078478ac", "A"},
                                                   {"70a3e36d-9c08-4b7f-9051-4751b7dc3a48", "B"},
                                                   {"e181bf23-335f-4e33-90d7-530fcb1d9f79", "C"}};

/// "A stopped/powering-on@compute-1 in the group"
std::string shown(const GuestChange& change) {
    const InventoryGuest& guest = change.after ? *change.after : *change.before;
    const auto name = kNames.find(guest.id.str());
    const std::string who = name == kNames.end() ? guest.id.str() : name->second;
    if (!change.after) return who + " gone";
    return who + " " + guest.state + "/" + guest.state_description + "@" + guest.host.str() +
           (guest.group.empty() ? "" : " in the group");
}

/// Of the host that a move is announced to they see nothing, nor of what the flavor asks for, which an unversioned twin
/// does not have.
bool peers_see(const GuestChange& change) {
    if (!change.before || !change.after) return true;
    InventoryGuest before = *change.before;
    before.move_partner = change.after->move_partner;
    before.policy = change.after->policy;
    return before != *change.after;
}

std::vector<std::string> shown(const std::vector<GuestChange>& changes) {
    std::vector<std::string> lines;
    for (const GuestChange& change : changes) {
        if (peers_see(change)) lines.push_back(shown(change));
    }
    return lines;
}

/// What Nova notified in a whole life: create, all that can be done to a server, evacuation, deletion; in both formats.
std::vector<std::string> captured() {
    std::ifstream file(std::string(VITALWIRE_SOURCE_DIR) + "/tests/unit/controller/openstack/nova_life.jsonl");
    std::vector<std::string> bodies;
    for (std::string line; std::getline(file, line);)
        bodies.push_back(line);
    EXPECT_EQ(bodies.size(), 344U);
    return bodies;
}

/// The lines of nova_life.txt: what that life polls like to peers.
std::vector<std::string> told_life() {
    std::ifstream file(std::string(VITALWIRE_SOURCE_DIR) + "/tests/unit/controller/openstack/nova_life.txt");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line.front() != '[' && line.front() != '#') lines.push_back(line);
    }
    EXPECT_EQ(lines.size(), 77U);
    return lines;
}

class NovaViewTest : public ::testing::Test {
protected:
    std::vector<std::string> notify(const NovaNotification& notification) {
        auto effect = view.apply(notification);
        asked.insert(asked.end(), effect.ask.begin(), effect.ask.end());
        return shown(effect.changes);
    }
    std::vector<std::string> notify(const std::string& body) {
        const auto notification = read_notification(body);
        EXPECT_TRUE(notification) << notification.error().message;
        return notification ? notify(*notification) : std::vector<std::string>{};
    }
    std::vector<std::string> replay(const std::vector<std::string>& bodies) {
        std::vector<std::string> lines;
        for (const std::string& body : bodies) {
            const auto changed = notify(body);
            lines.insert(lines.end(), changed.begin(), changed.end());
        }
        return lines;
    }

    static NovaServer server(const std::string& id, const std::string& host = "compute-1",
                             const std::string& state = "active") {
        NovaServer server;
        server.guest.id = GuestId(id);
        server.guest.host = base::HostId(host);
        server.guest.state = state;
        server.flavor = "small";
        server.specs = ExtraSpecs{{"vitalwire:messaging", "true"}};
        return server;
    }
    static NovaGroup group(const std::string& id, const std::vector<std::string>& members) {
        NovaGroup group;
        group.group.id = GroupId(id);
        for (const std::string& member : members)
            group.members.emplace_back(member);
        return group;
    }
    /// Seconds after some moment.
    static base::WallTime at(int seconds) {
        return base::from_iso8601("2026-11-22T06:25:56.533607Z") + std::chrono::seconds(seconds);
    }
    /// Sent then; 0: without a time.
    NovaNotification update(const NovaServer& server, int sent_at = 0) {
        NovaNotification notification;
        if (sent_at != 0) notification.sent_at = at(sent_at);
        notification.message_id = std::to_string(++messages);
        notification.event_type = "instance.update";
        notification.versioned = true;
        notification.about = server.deleted ? NovaNotification::About::server_gone : NovaNotification::About::server;
        notification.server = server;
        return notification;
    }
    std::vector<std::string> poll(const std::vector<NovaServer>& servers, const std::vector<NovaGroup>& groups = {},
                                  const std::vector<GuestId>& gone = {}) {
        std::vector<std::string> lines = shown(view.take(groups));
        const auto listed = view.take(servers);
        for (const auto& changes : {listed, view.end_poll(gone, view.missing_groups())}) {
            const auto more = shown(changes);
            lines.insert(lines.end(), more.begin(), more.end());
        }
        return lines;
    }

    Inventory inventory;
    NovaView view{inventory};
    std::vector<GuestId> asked;
    int messages = 0;
};

TEST_F(NovaViewTest, ReplayingALifeGivesEachChangeOnce) {
    EXPECT_THAT(replay(captured()), ElementsAreArray(told_life()));
    EXPECT_THAT(inventory.guests(), IsEmpty());
    EXPECT_THAT(inventory.groups(), IsEmpty());
}

TEST_F(NovaViewTest, WhomAMoveIsAnnouncedToIsKnownWhileItLastsInBothFormats) {
    // Of A: two resizes, one of which is reverted, and a live migration.
    const std::vector<std::string> moves = {
        "compute-1 to compute-0", "compute-0 from compute-1", "compute-0 to compute-1", "compute-1 from compute-0",
        "compute-1 to compute-0", "compute-0 from compute-1", "compute-0 to compute-1"};
    for (const bool versioned : {true, false}) {
        Inventory fresh;
        NovaView replayed(fresh);
        std::vector<std::string> seen;
        for (const std::string& body : captured()) {
            const auto notification = read_notification(body);
            if (notification->versioned != versioned) continue;
            for (const GuestChange& change : replayed.apply(*notification).changes) {
                if (!change.after || change.after->move_partner.empty()) continue;
                const InventoryGuest& guest = *change.after;
                const bool arrived = change.before->move_partner == guest.host;
                const std::string line = guest.host.str() + (arrived ? " from " : " to ") + guest.move_partner.str();
                const bool same_host = change.before->host == guest.host && !change.before->move_partner.empty();
                if (!same_host) seen.push_back(line);
            }
        }
        EXPECT_THAT(seen, ElementsAreArray(moves)) << (versioned ? "versioned" : "unversioned");
        for (const auto& [id, guest] : fresh.guests())
            EXPECT_TRUE(guest.move_partner.empty());
    }
}

TEST_F(NovaViewTest, ALateAnnouncementOfAnEarlierMoveNamesNobodyNow) {
    auto moving = server("vm-1");
    const auto partner = [&] { return inventory.guest(GuestId("vm-1"))->move_partner.str(); };
    const auto announce = [&](const std::string& host, int sent_at) {
        NovaNotification move = update(moving, sent_at);
        move.about = NovaNotification::About::move;
        move.partner = base::HostId(host);
        notify(move);
    };
    notify(update(moving, 10));
    moving.guest.state_description = "migrating";
    notify(update(moving, 100));
    announce("compute-2", 50);
    EXPECT_EQ(partner(), "") << "sent before this move began";
    EXPECT_THAT(asked, ElementsAre(GuestId("vm-1")));
    announce("compute-3", 98);
    EXPECT_EQ(partner(), "compute-3") << "its host's clock is behind a little";
    announce("compute-2", 97);
    EXPECT_EQ(partner(), "compute-3") << "sent before the announcement that counts";
    announce("compute-4", 110);
    EXPECT_EQ(partner(), "compute-4") << "Nova has chosen another host";
}

TEST_F(NovaViewTest, UnversionedNotificationsAloneGiveTheSame) {
    auto bodies = captured();
    std::erase_if(bodies, [](const std::string& body) { return read_notification(body)->versioned; });
    EXPECT_EQ(bodies.size(), 169U);
    EXPECT_THAT(replay(bodies), ElementsAreArray(told_life()));
    EXPECT_EQ(asked.front().str(), "c4fbb761-93aa-4e6d-bbf3-959b078478ac")
        << "what its flavor wants they do not contain";
}

TEST_F(NovaViewTest, VersionedNotificationsAloneGiveTheSame) {
    auto bodies = captured();
    std::erase_if(bodies, [](const std::string& body) { return !read_notification(body)->versioned; });
    EXPECT_THAT(replay(bodies), ElementsAreArray(told_life()));
}

TEST_F(NovaViewTest, MessagesThatAreDeliveredTwiceGiveTheSame) {
    auto bodies = captured();
    const auto again = bodies;
    bodies.insert(bodies.end(), again.begin(), again.end());
    EXPECT_THAT(replay(bodies), ElementsAreArray(told_life()));
}

TEST_F(NovaViewTest, AMessageThatIsLateTakesNothingBackAndIsAskedAbout) {
    notify(update(server("vm-1", "compute-1", "active"), 10));
    notify(update(server("vm-1", "compute-1", "stopped"), 20));
    EXPECT_THAT(notify(update(server("vm-1", "compute-1", "active"), 15)), IsEmpty());
    EXPECT_THAT(asked, ElementsAre(GuestId("vm-1")));
    EXPECT_THAT(shown(view.answer(server("vm-1", "compute-1", "paused"), view.as_of(GuestId("vm-1")))),
                ElementsAre("vm-1 paused/@compute-1"));
    EXPECT_THAT(notify(update(server("vm-1", "compute-1", "active"), 21)), ElementsAre("vm-1 active/@compute-1"));
    EXPECT_EQ(asked.size(), 1U);
}

TEST_F(NovaViewTest, AMessageFromBeforeAPollIsAskedAboutAlsoOfAServerThatThePollDidNotList) {
    view.begin_poll();
    view.take({server("vm-1"), server("vm-2")}, at(10));
    view.end_poll({}, {}, at(10));
    view.begin_poll();
    view.take({server("vm-1")}, at(30));
    view.end_poll({}, {}, at(30));
    for (const char* id : {"vm-1", "vm-2", "vm-3"}) {
        EXPECT_THAT(notify(update(server(id, "", "stopped"), 29)), IsEmpty());
        EXPECT_EQ(asked.back(), GuestId(id));
    }
}

TEST_F(NovaViewTest, ALateMessageDuringAPollDoesNotHideWhatThePollFinds) {
    notify(update(server("vm-1", "compute-1", "active"), 10));
    view.begin_poll();
    notify(update(server("vm-1", "compute-1", "paused"), 5));
    EXPECT_THAT(shown(view.take({server("vm-1", "compute-1", "stopped")}, at(20))),
                ElementsAre("vm-1 stopped/@compute-1"));
}

TEST_F(NovaViewTest, AnAnswerThatANewerMessageHasOvertakenIsOfNoUse) {
    notify(update(server("vm-1", "compute-1", "active"), 10));
    notify(update(server("vm-1", "compute-1", "active"), 5));
    const auto as_of = view.as_of(GuestId("vm-1"));
    notify(update(server("vm-1", "compute-1", "stopped"), 20));
    EXPECT_THAT(view.answer(server("vm-1", "compute-1", "active"), as_of), IsEmpty());
}

TEST_F(NovaViewTest, UnversionedMessagesCountBesideVersionedOnes) {
    notify(update(server("vm-1"), 10));
    auto unversioned = update(server("vm-2", "compute-2", "stopped"), 11);
    unversioned.versioned = false;
    EXPECT_THAT(notify(unversioned), ElementsAre("vm-2 stopped/@compute-2"));
    unversioned = update(server("vm-1", "compute-1", "stopped"), 12);
    unversioned.versioned = false;
    EXPECT_THAT(notify(unversioned), ElementsAre("vm-1 stopped/@compute-1"));
}

TEST_F(NovaViewTest, ADeletedServerIsNotBroughtBackByALateMessage) {
    auto deleted = server("vm-1");
    notify(update(deleted));
    deleted.deleted = true;
    EXPECT_THAT(notify(update(deleted)), ElementsAre("vm-1 gone"));
    EXPECT_THAT(notify(update(server("vm-1"))), IsEmpty());
    EXPECT_EQ(inventory.guest(GuestId("vm-1")), nullptr);
}

TEST_F(NovaViewTest, APollFindsServersTheirGroupsAndWhatTheirFlavorsWant) {
    view.begin_poll();
    EXPECT_THAT(poll({server("vm-1"), server("vm-2")}, {group("g", {"vm-1"})}),
                ElementsAre("vm-1 active/@compute-1 in the group", "vm-2 active/@compute-1"));
    EXPECT_TRUE(inventory.guest(GuestId("vm-1"))->policy.messaging);
    EXPECT_NE(inventory.group(GroupId("g")), nullptr);
}

TEST_F(NovaViewTest, WhatAPollDidNotListStaysUntilNovaHasItNoMore) {
    view.begin_poll();
    poll({server("vm-1"), server("vm-2")});
    view.begin_poll();
    view.take(std::vector{server("vm-1")});
    EXPECT_THAT(view.missing(), ElementsAre(GuestId("vm-2")));
    EXPECT_THAT(poll({server("vm-1")}), IsEmpty());
    EXPECT_NE(inventory.guest(GuestId("vm-2")), nullptr);
    view.begin_poll();
    EXPECT_THAT(poll({server("vm-1")}, {}, {GuestId("vm-2")}), ElementsAre("vm-2 gone"));
}

TEST_F(NovaViewTest, WhatIsNotifiedDuringAPollIsNewerThanWhatItFinds) {
    view.begin_poll();
    poll({server("vm-1"), server("vm-2")}, {group("g", {"vm-1", "vm-2"})});
    view.begin_poll();
    notify(update(server("vm-1", "compute-2", "stopped")));
    auto deleted = server("vm-2");
    deleted.deleted = true;
    notify(update(deleted));
    notify(update(server("vm-3")));
    EXPECT_THAT(view.missing(), IsEmpty());
    EXPECT_THAT(poll({server("vm-1"), server("vm-2")}, {group("g", {"vm-1", "vm-2"})}), IsEmpty());
    EXPECT_EQ(inventory.guest(GuestId("vm-1"))->state, "stopped");
    EXPECT_EQ(inventory.guest(GuestId("vm-2")), nullptr);
    EXPECT_NE(inventory.guest(GuestId("vm-3")), nullptr);
}

TEST_F(NovaViewTest, APollThatIsAbandonedTakesNothingAway) {
    view.begin_poll();
    poll({server("vm-1"), server("vm-2")}, {group("g", {"vm-1", "vm-2"})});
    view.begin_poll();
    EXPECT_THAT(shown(view.take(std::vector{server("vm-1", "compute-2")})),
                ElementsAre("vm-1 active/@compute-2 in the group"));
    view.abandon_poll();
    EXPECT_EQ(inventory.of_group(GroupId("g")).size(), 2U);
    EXPECT_THAT(shown(view.take(std::vector{server("vm-3")})), IsEmpty()) << "a page that comes after it";
}

TEST_F(NovaViewTest, AGroupThatAPollDoesNotNameIsGone) {
    view.begin_poll();
    poll({server("vm-1")}, {group("g", {"vm-1"})});
    view.begin_poll();
    EXPECT_THAT(poll({server("vm-1")}), ElementsAre("vm-1 active/@compute-1"));
    EXPECT_EQ(inventory.group(GroupId("g")), nullptr);
}

TEST_F(NovaViewTest, AGroupThatIsDeletedWithMembersLeavesThemInNone) {
    view.begin_poll();
    poll({server("vm-1"), server("vm-2")}, {group("g", {"vm-1", "vm-2"})});
    NovaNotification gone;
    gone.about = NovaNotification::About::group_gone;
    gone.versioned = true;
    gone.group = group("g", {"vm-1", "vm-2"});
    EXPECT_THAT(notify(gone), ElementsAre("vm-1 active/@compute-1", "vm-2 active/@compute-1"));
    EXPECT_EQ(inventory.group(GroupId("g")), nullptr);
}

TEST_F(NovaViewTest, BadExtraSpecsAreCountedByWhatIsWrongWithThem) {
    auto bad = server("vm-1");
    bad.specs = ExtraSpecs{{"vitalwire:messaging", "true"}, {"vitalwire:heartbeat_detect_multiplier", "0"}};
    notify(update(bad));
    bad.guest.id = GuestId("vm-2");
    notify(update(bad));
    const std::string problem = "vitalwire:heartbeat_detect_multiplier: expected 1 to 10, found '0'";
    EXPECT_THAT(view.spec_problems(), ElementsAre(std::pair(problem, 2U)));
    EXPECT_TRUE(inventory.guest(GuestId("vm-1"))->policy.messaging);
    notify(update(server("vm-2")));  // resized to a good flavor
    EXPECT_THAT(view.spec_problems(), ElementsAre(std::pair(problem, 1U)));
    bad.guest.id = GuestId("vm-1");
    bad.deleted = true;
    notify(update(bad));
    EXPECT_THAT(view.spec_problems(), IsEmpty());
}

TEST_F(NovaViewTest, AFlavorThatIsNotKnownYetChangesNothingOfWhatWasAskedFor) {
    notify(update(server("vm-1")));
    auto resized = server("vm-1");
    resized.flavor = "big";
    resized.specs.reset();
    auto notification = update(resized);
    notification.versioned = false;
    notify(notification);
    EXPECT_THAT(asked, ElementsAre(GuestId("vm-1")));
    EXPECT_TRUE(inventory.guest(GuestId("vm-1"))->policy.messaging);
    resized.specs = ExtraSpecs{};
    view.answer(resized, view.as_of(GuestId("vm-1")));
    EXPECT_FALSE(inventory.guest(GuestId("vm-1"))->policy.messaging);
}

TEST(NovaNotificationTest, WhatCannotBeReadIsRefused) {
    for (const std::string body :
         {"", "[]", "{}", R"({"oslo.message":1})", R"({"oslo.message":"{"})",
          R"({"event_type":"instance.update","payload":{"nova_object.data":{"uuid":"../x"}}})",
          R"({"event_type":"compute.instance.update","payload":{"instance_id":7}})",
          R"({"event_type":"compute.instance.update","payload":{"instance_id":"a","state":"b"}})",
          R"({"event_type":"compute.instance.update","payload":{"instance_id":"a","host":"b"}})",
          R"({"event_type":"instance.update","payload":{"nova_object.data":
                                       {"uuid":"a","state":"b","host":{"name":"c"}}}})",
          R"({"event_type":"instance.update","payload":{"nova_object.data":
                                       {"uuid":"a","state":7,"host":"c"}}})"})
        EXPECT_FALSE(read_notification(body)) << body;
    EXPECT_EQ(read_notification(std::string(2'000'000, ' ')).error().code, base::Errc::too_large);
    EXPECT_FALSE(read_notification(std::string(100'000, '[')));
}

TEST(NovaNotificationTest, HasTheTimeOfItsSender) {
    const auto sent_at = [](const std::string& timestamp) {
        return base::to_iso8601(
            read_notification(R"({"event_type":"x","payload":{},"timestamp":")" + timestamp + R"("})")->sent_at);
    };
    EXPECT_EQ(sent_at("2026-11-22 06:25:56.533607"), "2026-11-22T06:25:56.533607Z");
    EXPECT_EQ(sent_at("2026-11-22 06:25:56"), "2026-11-22T06:25:56.000000Z") << "when the fraction is 0";
    EXPECT_EQ(sent_at("now"), base::to_iso8601(base::WallTime{}));
}

TEST(NovaNotificationTest, EventsOfOthersSayNothing) {
    const auto other = read_notification(R"({"event_type":"volume.create.end","payload":{"uuid":1}})");
    ASSERT_TRUE(other);
    EXPECT_EQ(other->about, NovaNotification::About::nothing_of_ours);
}

TEST(NovaNotificationTest, NamesMayBeAnyText) {
    const json body = {
        {"event_type", "instance.update"},
        {"payload",
         {{"nova_object.data",
           {{"uuid", "vm-1"}, {"state", "active"}, {"host", nullptr}, {"display_name", "Größe \U0001F600 \"\\\n"}}}}}};
    EXPECT_EQ(read_notification(body.dump())->server.guest.display_name, "Größe \U0001F600 \"\\\n");
}

}  // namespace
}  // namespace vitalwire::controller
