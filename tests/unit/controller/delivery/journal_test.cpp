#include "controller/delivery/journal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/delivery/journal_json.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;

const base::FaultId kFault("f1");

class JournalTest : public ::testing::Test {
protected:
    void note(const std::string& what, const std::string& sink = "", const std::string& detail = "") {
        now += std::chrono::seconds(1);
        journal.note(kFault, {now, what, sink, detail});
    }
    std::vector<std::string> lines() const {
        std::vector<std::string> out;
        for (const JournalEntry& entry : journal.find(kFault)->entries)
            out.push_back(entry.what + (entry.sink.empty() ? "" : " " + entry.sink) +
                          (entry.times > 1 ? " x" + std::to_string(entry.times) : ""));
        return out;
    }

    base::WallTime now{std::chrono::seconds(1'700'000'000)};
    int changes = 0;
    Journal journal{[this](const base::FaultId&, const Journal::Record&) { ++changes; }};
};

TEST_F(JournalTest, ListsAFaultsLifeInOrder) {
    EXPECT_EQ(journal.find(kFault), nullptr);
    note("opened");
    note("acknowledged", "a");
    note("cleared", "", "recovered");
    EXPECT_THAT(lines(), ElementsAre("opened", "acknowledged a", "cleared"));
    EXPECT_EQ(changes, 3);
    journal.erase(kFault);
    EXPECT_EQ(journal.find(kFault), nullptr);
}

TEST_F(JournalTest, CountsAttemptsAlikeAlsoWhenThoseOfAnotherSinkComeBetween) {
    for (int i = 0; i < 1000; ++i) {
        note("failed", "a", "HTTP 503");
        note("refused", "b", "HTTP 400");
    }
    note("acknowledged", "a");
    EXPECT_THAT(lines(), ElementsAre("failed a x1000", "refused b x1000", "acknowledged a"));
    const JournalEntry& first = journal.find(kFault)->entries[0];
    EXPECT_EQ(first.at - first.first_at, std::chrono::seconds(1998));
}

TEST_F(JournalTest, IsBoundedAndKeepsHowItBeganAndHowItEnded) {
    for (std::size_t i = 0; i < 1000; ++i)
        note("failed", "a", "reason " + std::to_string(i) + std::string(10'000, 'x'));
    const Journal::Record& record = *journal.find(kFault);
    ASSERT_EQ(record.entries.size(), Journal::kMaxEntries);
    EXPECT_EQ(record.dropped, 1000 - Journal::kMaxEntries);
    EXPECT_EQ(record.entries.front().detail.substr(0, 9), "reason 0x");
    EXPECT_EQ(record.entries.back().detail.substr(0, 10), "reason 999");
    EXPECT_LE(record.entries.back().detail.size(), Journal::kMaxDetail);
}

TEST_F(JournalTest, ShowsWhatOtherControllersDidInTheOrderOfTime) {
    note("opened");
    const base::WallTime elsewhere = now + std::chrono::milliseconds(500);
    note("cleared");
    EXPECT_EQ(merged(*journal.find(kFault), "here")["entries"][0].count("controller"), 0U) << "there is one only";
    journal.merge(kFault, "there", {{{elsewhere, "acknowledged", "a", ""}}, 2});
    EXPECT_EQ(changes, 3) << "it is to be kept";
    const auto shown = merged(*journal.find(kFault), "here");
    EXPECT_EQ(shown["dropped"], 2);
    ASSERT_EQ(shown["entries"].size(), 3U);
    EXPECT_EQ(shown["entries"][0]["controller"], "here");
    EXPECT_EQ(shown["entries"][1]["controller"], "there");
    EXPECT_EQ(shown["entries"][1]["what"], "acknowledged");
    journal.merge(kFault, "there", {{{elsewhere, "failed", "a", ""}}, 0});
    EXPECT_EQ(merged(*journal.find(kFault), "here")["entries"][1]["what"], "failed")
        << "it replaces what it told before";
}

TEST_F(JournalTest, KeepsWhatOthersTellBeforeTheFaultIsKnownHere) {
    journal.merge(kFault, "there", {{{now, "acknowledged", "a", ""}}, 0});
    EXPECT_EQ(journal.find(kFault), nullptr);
    for (std::size_t i = 1; i < Journal::kMaxEarly; ++i)
        journal.merge(base::FaultId("other-" + std::to_string(i)), "there", {});
    note("opened");
    EXPECT_EQ(journal.find(kFault)->others.size(), 1U);
}

TEST_F(JournalTest, KeepsABoundedNumberOfWhatIsNotKnownHere) {
    for (std::size_t i = 0; i <= Journal::kMaxEarly; ++i)
        journal.merge(base::FaultId("f" + std::to_string(i + 1)), "there", {});
    note("opened");
    EXPECT_TRUE(journal.find(kFault)->others.empty()) << "it was the first that came";
}

TEST_F(JournalTest, TellsWhatHasChangedHereSince) {
    note("opened");
    journal.note(base::FaultId("f2"), {now, "opened", "", ""});
    EXPECT_THAT(journal.after(0, 10), ElementsAre(kFault, base::FaultId("f2")));
    EXPECT_THAT(journal.after(0, 1), ElementsAre(kFault));
    note("cleared");
    EXPECT_THAT(journal.after(0, 10), ElementsAre(base::FaultId("f2"), kFault));
    const std::uint64_t all = journal.find(kFault)->number;
    EXPECT_THAT(journal.after(all, 10), ElementsAre());
    journal.merge(kFault, "there", {{{now, "acknowledged", "a", ""}}, 0});
    EXPECT_THAT(journal.after(all, 10), ElementsAre()) << "who did it tells it itself";
    journal.restore(kFault, *journal.find(kFault));
    EXPECT_THAT(journal.after(all, 10), ElementsAre(kFault));
    journal.erase(kFault);
    EXPECT_THAT(journal.after(0, 10), ElementsAre(base::FaultId("f2")));
}

TEST_F(JournalTest, ReadsWhatItWrites) {
    note("opened");
    note("failed", "a", "HTTP 503");
    note("failed", "a", "HTTP 503");
    journal.merge(kFault, "there", {{{now, "acknowledged", "a", "200", 1, now}}, 3});
    const Journal::Record& written = *journal.find(kFault);
    const auto read = journal_from_json(to_json(written));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->entries, written.entries);
    ASSERT_EQ(read->others.count("there"), 1U);
    EXPECT_EQ(read->others.at("there").entries, written.others.at("there").entries);
    EXPECT_EQ(read->others.at("there").dropped, 3U);
    for (const char* text : {"{}", R"({"entries":7})", R"({"entries":[1]})", R"({"entries":[{"at":"x"}]})"})
        EXPECT_FALSE(journal_from_json(nlohmann::json::parse(text))) << text;
}

TEST(SinkMark, IsTheSameWhereTheSinkAndItsReceiverAre) {
    EXPECT_EQ(mark_of({"a", "http://a"}), mark_of({"a", "http://a"}));
    EXPECT_NE(mark_of({"a", "http://a"}), mark_of({"a", "http://b"}));
    EXPECT_NE(mark_of({"a", "http://a"}), mark_of({"b", "http://a"}));
    EXPECT_EQ(mark_of({"a", "webhook http://a"}), "44594f31cd4effcc")
        << "also of another release: it is on the bus, and on disk";
}

}  // namespace
}  // namespace vitalwire::controller
