#include "cli/changes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::cli {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

json guests(const std::string& state, const std::string& hold = "") {
    return {{"guests", {{{"guest", "g-1"}, {"name", "web"}, {"host", "c1"}, {"state", state}, {"hold", hold}}}}};
}

json fault(int revision, const std::string& state = "open") {
    return {{"faults",
             {{{"id", "f"},
               {"guest", "g-1"},
               {"host", "c1"},
               {"severity", "critical"},
               {"kind", "heartbeat_lost"},
               {"detail", "silent"},
               {"state", state},
               {"revision", revision}}}}};
}

std::vector<std::string> texts(const Snapshot& before, const Snapshot& now) {
    std::vector<std::string> out;
    for (const Change& change : changes(before, now))
        out.push_back(change.text);
    return out;
}

const json kNone = json::object();

TEST(Changes, TellEverythingAtTheBeginning) {
    EXPECT_THAT(texts({}, Snapshot::of(guests("registered"), fault(1))),
                ElementsAre("guest g-1 (web) on c1: registered",
                            "fault opened: critical heartbeat_lost of guest g-1 on c1, silent"));
}

TEST(Changes, AreNoneWhenNothingChanged) {
    json counted = guests("registered");
    const Snapshot before = Snapshot::of(counted, fault(1));
    counted["guests"][0]["challenges"] = 17;
    EXPECT_THAT(texts(before, Snapshot::of(counted, fault(1))), IsEmpty());
}

TEST(Changes, TellTheWayOfAGuest) {
    EXPECT_THAT(texts(Snapshot::of(guests("registered"), kNone), Snapshot::of(guests("held", "paused"), kNone)),
                ElementsAre("guest g-1 (web) on c1: registered -> held (paused)"));
    EXPECT_THAT(texts(Snapshot::of(guests("lost"), kNone), {}), ElementsAre("guest g-1 (web) on c1: lost -> gone"));
}

TEST(Changes, TellTheLifeOfAFault) {
    EXPECT_THAT(texts(Snapshot::of(kNone, fault(1)), Snapshot::of(kNone, fault(2))),
                ElementsAre("fault updated: critical heartbeat_lost of guest g-1 on c1, silent"));
    EXPECT_THAT(texts(Snapshot::of(kNone, fault(1)), Snapshot::of(kNone, fault(2, "cleared"))),
                ElementsAre("fault cleared: critical heartbeat_lost of guest g-1 on c1, silent"));
    EXPECT_THAT(texts(Snapshot::of(kNone, fault(1)), Snapshot::of(kNone, kNone)),
                ElementsAre("fault cleared: critical heartbeat_lost of guest g-1 on c1, silent"));
}

TEST(Changes, AreAlsoForPrograms) {
    const auto list = changes(Snapshot::of(guests("registered"), kNone), Snapshot::of(guests("lost"), kNone));
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0].json["change"], "guest");
    EXPECT_EQ(list[0].json["from"], "registered");
    EXPECT_EQ(list[0].json["to"], "lost");
    EXPECT_EQ(list[0].json["guest"]["guest"], "g-1");
}

TEST(Changes, EscapeWhatComesFromAGuest) {
    json odd = guests("registered");
    odd["guests"][0]["name"] = "\x1b[2J\n";
    EXPECT_THAT(texts({}, Snapshot::of(odd, kNone)), ElementsAre("guest g-1 (\\x1b[2J\\n) on c1: registered"));
}

}  // namespace
}  // namespace vitalwire::cli
