#include "runtime/journal_entry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

namespace vitalwire::runtime {
namespace {

std::string entry(const std::string& line) {
    std::array<char, 2000> to{};
    return {to.data(), journal_entry(line, "vitalwire-agent", to)};
}

TEST(JournalEntry, HasTheLineItsPriorityAndAFieldForEachOfItsKeys) {
    EXPECT_EQ(entry("<4>channel lost guest=vm-1 why=\"end of file\" tries=3"),
              "PRIORITY=4\nSYSLOG_IDENTIFIER=vitalwire-agent\n"
              "MESSAGE=channel lost guest=vm-1 why=\"end of file\" tries=3\n"
              "VITALWIRE_GUEST=vm-1\nVITALWIRE_WHY=end of file\nVITALWIRE_TRIES=3\n");
}

TEST(JournalEntry, NamesWhatTheCatalogueExplains) {
    EXPECT_THAT(entry("<3>fault opened guest=vm-1"),
                testing::HasSubstr("\nMESSAGE_ID=" + std::string(message_id("fault opened"))));
    EXPECT_THAT(entry("<3>fault opened"), testing::HasSubstr("\nMESSAGE_ID="));
    EXPECT_THAT(entry("<3>fault opened twice guest=vm-1"), testing::Not(testing::HasSubstr("MESSAGE_ID")));
}

TEST(JournalEntry, AValueOfAGuestMakesNoFieldOfItsOwn) {
    const std::string made = entry("<6>unhealthy reason=\"a\\\" guest=vm-2 \\\\\" guest=vm-1");
    EXPECT_THAT(made, testing::HasSubstr("VITALWIRE_GUEST=vm-1\n"));
    EXPECT_THAT(made, testing::Not(testing::HasSubstr("VITALWIRE_GUEST=vm-2\n")));
}

TEST(JournalEntry, IsNothingWithoutRoom) {
    std::array<char, 20> to{};
    EXPECT_EQ(journal_entry("<6>started version=1", "vitalwired", to), 0U);
}

TEST(JournalEntry, TakesALineThatIsCutAnywhere) {
    const std::string line = "<6>fault opened guest=\"vm 1\" why=\"x\\\"y\"";
    for (std::size_t length = 0; length <= line.size(); ++length)
        EXPECT_THAT(entry(line.substr(0, length)), testing::EndsWith("\n"));
}

}  // namespace
}  // namespace vitalwire::runtime
