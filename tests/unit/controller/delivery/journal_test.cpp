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

TEST_F(JournalTest, ReadsWhatItWrites) {
    note("opened");
    note("failed", "a", "HTTP 503");
    note("failed", "a", "HTTP 503");
    const Journal::Record& written = *journal.find(kFault);
    const auto read = journal_from_json(to_json(written));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->entries, written.entries);
    for (const char* text : {"{}", R"({"entries":7})", R"({"entries":[1]})", R"({"entries":[{"at":"x"}]})"})
        EXPECT_FALSE(journal_from_json(nlohmann::json::parse(text))) << text;
}

}  // namespace
}  // namespace vitalwire::controller
