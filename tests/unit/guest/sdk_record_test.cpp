#include "guest/sdk_record.hpp"

#include <gmock/gmock.h>

#include <cstring>

namespace vitalwire::guest::sdk {
namespace {

std::string record(RecordType type, std::initializer_list<std::uint32_t> body = {}) {
    return encode(type, 1, body);
}

std::string with_version(std::string bytes, char version) {
    bytes[8] = version;
    return bytes;
}

std::string with_size(std::string bytes, std::uint32_t size) {
    std::memcpy(&bytes[16], &size, sizeof size);
    return bytes;
}

TEST(SdkRecord, HasTheLayoutOfTheSdk) {
    const std::string bytes = encode(RecordType::action_notify, 7, {1, 2, 3});
    EXPECT_EQ(bytes.size(), kRecordSize);
    // A little-endian machine, as every one that the SDK was built for.
    const std::string begin("FDFDA5A5\x02\x01\x05\0\x07\0\0\0\xe4\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\0", 33);
    EXPECT_EQ(bytes.substr(0, begin.size()), begin);
}

TEST(SdkRecord, ReadsNumbersAndTexts) {
    std::string bytes = record(RecordType::challenge_response, {42});
    bytes.replace(kHeaderSize + 4, 5, "text!");
    const Record read(bytes);
    EXPECT_EQ(read.type(), 4);
    EXPECT_EQ(read.number(0), 42U);
    EXPECT_EQ(read.text(4, 100), "text!");
    EXPECT_EQ(read.text(4, 3), "tex");
}

TEST(SdkRecord, ReadsActionsAndTakesWhatIsNoneForNone) {
    using model::CorrectiveAction;
    const Record read(record(RecordType::init, {0, 1, 2, 3, 4, 5, 0xffffffff}));
    std::vector<CorrectiveAction> actions;
    for (std::size_t i = 0; i < 7; ++i)
        actions.push_back(read.action(4 * i));
    EXPECT_THAT(actions, testing::ElementsAre(CorrectiveAction::none, CorrectiveAction::none, CorrectiveAction::reboot,
                                              CorrectiveAction::stop, CorrectiveAction::log, CorrectiveAction::none,
                                              CorrectiveAction::none));
}

/// The first numbers of all records that come out of `bytes`, given in pieces of `size`.
std::vector<std::uint32_t> read_all(RecordReader& reader, std::string_view bytes, std::size_t size) {
    std::vector<std::uint32_t> found;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
        reader.add(bytes.substr(0, size));
        while (const auto each = reader.next())
            found.push_back(each->number(0));
    }
    return found;
}

TEST(SdkRecordReader, TakesAStreamApartHoweverItIsCut) {
    const std::string stream = record(RecordType::challenge, {1}) + record(RecordType::challenge, {2});
    for (const std::size_t size : {1, 7, 8, 19, 20, 227, 228, 229, 1000}) {
        RecordReader reader;
        EXPECT_THAT(read_all(reader, stream, size), testing::ElementsAre(1, 2)) << size;
        EXPECT_EQ(reader.skipped(), 0U);
    }
}

TEST(SdkRecordReader, FindsTheNextMagicAfterWhatIsNoRecord) {
    const std::string good = record(RecordType::challenge, {5});
    const std::vector<std::string> streams = {"FDFDFDA5A5",
                                              "FDFDA5A",
                                              std::string(1000, '\0'),
                                              with_version(good, 3),
                                              with_size(good, 229),
                                              with_size(good, 0xffffffff),
                                              good.substr(20)};
    for (const std::string& rubbish : streams) {
        RecordReader reader;
        EXPECT_THAT(read_all(reader, rubbish + good, 100), testing::ElementsAre(5)) << rubbish;
        EXPECT_EQ(reader.skipped(), rubbish.size());
    }
}

}  // namespace
}  // namespace vitalwire::guest::sdk
