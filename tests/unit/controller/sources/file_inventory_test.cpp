#include "controller/sources/file_inventory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/controller/support/loop.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::HasSubstr;

class FileInventoryTest : public ::testing::Test, public InventorySource::Handler {
protected:
    void on_inventory_changed(const std::vector<GuestChange>&) override { ++changes; }
    void on_inventory_problem(const std::string&, const std::string& detail) override { problem = detail; }

    void write(const std::string& text) { std::ofstream(path) << text; }
    void start(bool required = true) {
        source = std::make_unique<FileInventory>(loop.io, inventory, path, required);
        source->start(*this);
    }
    bool until_known(const std::string& guest) {
        return loop.until([&] { return inventory.guest(base::GuestId(guest)) != nullptr; });
    }
    bool contains(const std::string& guest) const { return inventory.guest(base::GuestId(guest)) != nullptr; }

    test::TempDir dir;
    std::string path = dir / "inventory.conf";
    Loop loop;
    Inventory inventory;
    std::unique_ptr<FileInventory> source;
    int changes = 0;
    std::string problem;
};

TEST_F(FileInventoryTest, IsLoadedAtStart) {
    write("[guest a]\n");
    start();
    EXPECT_TRUE(source->loaded());
    EXPECT_TRUE(contains("a"));
    EXPECT_EQ(changes, 1);
}

TEST_F(FileInventoryTest, SeesAFileWrittenInPlace) {
    write("[guest a]\n");
    start();
    write("[guest b]\n");
    EXPECT_TRUE(until_known("b"));
    EXPECT_FALSE(contains("a"));
}

TEST_F(FileInventoryTest, AFileWrittenInPlaceCountsWhenItsWriterHasClosedIt) {
    write("[guest a]\n[guest b]\n");
    start();
    std::ofstream writer(path);  // as `generate > inventory.conf`: emptied at once, written when the generator is ready
    EXPECT_FALSE(loop.until([&] { return !contains("a"); }, std::chrono::seconds(11)));
    writer << "[guest a]\n" << std::flush;
    EXPECT_FALSE(loop.until([&] { return !contains("b"); }, std::chrono::seconds(1)));
    writer << "[guest c]\n";
    writer.close();
    EXPECT_TRUE(until_known("c"));
    EXPECT_EQ(problem, "");
}

TEST_F(FileInventoryTest, ANewFileCountsWhenItsWriterHasClosedIt) {
    write("[guest a]\n");
    start();
    std::filesystem::remove(path);
    std::ofstream writer(path);
    EXPECT_FALSE(loop.until([&] { return !contains("a"); }, std::chrono::seconds(11)));
    writer << "[guest b]\n";
    writer.close();
    EXPECT_TRUE(until_known("b"));
}

TEST_F(FileInventoryTest, APipeInItsPlaceLeavesTheInventory) {
    write("[guest a]\n");
    start();
    ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
    std::filesystem::create_symlink(dir / "pipe", dir / "link");
    std::filesystem::rename(dir / "link", path);
    ASSERT_TRUE(loop.until([&] { return !problem.empty(); }));
    EXPECT_THAT(problem, HasSubstr("expected a regular file, found a pipe"));
    EXPECT_TRUE(contains("a"));
}

TEST_F(FileInventoryTest, SeesAFileReplacedAsEditorsDo) {
    write("[guest a]\n");
    start();
    for (const char* id : {"b", "c"}) {  // the second time the watch must not hang on the first file
        std::ofstream(dir / "inventory.conf~") << "[guest " << id << "]\n";
        std::filesystem::rename(dir / "inventory.conf~", path);
        EXPECT_TRUE(until_known(id));
    }
}

TEST_F(FileInventoryTest, ABrokenFileLeavesTheInventoryAndIsReportedWithAllItsMistakes) {
    write("[guest a]\n");
    start();
    write("[guest b]\nstate = dead\ntypo = 1\n[guest c]\nhost = a b\ndetection_time = 1 s\nmin_interval = 501 ms\n");
    ASSERT_TRUE(loop.until([&] { return !problem.empty(); }));
    EXPECT_THAT(problem, HasSubstr("inventory.conf:2: [guest b] state: expected one of"));
    EXPECT_THAT(problem, HasSubstr("inventory.conf:3: [guest b] typo: is no key"));
    EXPECT_THAT(problem, HasSubstr("inventory.conf:5: [guest c] host: no agent can have this name, expected 1 to 253"));
    EXPECT_THAT(problem, HasSubstr("inventory.conf:6: [guest c] detection_time: expected at least twice min_interval"));
    EXPECT_TRUE(contains("a"));
    write("[guest b]\n");
    ASSERT_TRUE(until_known("b"));
    EXPECT_EQ(problem, "");
}

TEST_F(FileInventoryTest, IsAsOldAsItsFileIsUnreadable) {
    write("[guest a]\n");
    start();
    loop.until([] { return false; }, std::chrono::milliseconds(50));
    EXPECT_LT(base::Clock::now() - source->current_at(), std::chrono::milliseconds(50)) << "it is watched";
    write("[guest\n");
    ASSERT_TRUE(loop.until([&] { return !problem.empty(); }));
    const base::TimePoint broken = source->current_at();
    loop.until([] { return false; }, std::chrono::milliseconds(10));
    EXPECT_EQ(source->current_at(), broken);
    write("[guest b]\n");
    ASSERT_TRUE(until_known("b"));
    EXPECT_GT(source->current_at(), broken);
}

TEST_F(FileInventoryTest, AFileThatIsDeletedLeavesTheInventory) {
    write("[guest a]\n");
    start();
    std::filesystem::remove(path);
    ASSERT_TRUE(loop.until([&] { return !problem.empty(); }));
    EXPECT_THAT(problem, HasSubstr("no such file; what it listed last still counts"));
    EXPECT_TRUE(contains("a"));
}

TEST_F(FileInventoryTest, ABrokenFileAtStartIsNoInventory) {
    write("[guest a]\ntypo = 1\n");
    start();
    EXPECT_FALSE(source->loaded());
    EXPECT_NE(problem, "");
    write("[guest a]\n");
    EXPECT_TRUE(until_known("a"));
    EXPECT_TRUE(source->loaded());
}

TEST_F(FileInventoryTest, ARequiredFileThatIsMissingIsAProblemUntilItComes) {
    start();
    EXPECT_FALSE(source->loaded());
    EXPECT_THAT(problem, HasSubstr("no such file"));
    write("[guest a]\n");
    EXPECT_TRUE(until_known("a"));
    EXPECT_EQ(problem, "");
}

TEST_F(FileInventoryTest, TheDefaultFileMayBeMissing) {
    start(false);
    EXPECT_TRUE(source->loaded());
    EXPECT_EQ(problem, "");
    write("[guest a]\n");
    EXPECT_TRUE(until_known("a"));
}

TEST_F(FileInventoryTest, ReadsAgainWhenAsked) {
    start();
    std::ofstream(dir / "other") << "[guest a]\n";
    std::filesystem::create_symlink(dir / "other", path);
    source->reload();
    EXPECT_TRUE(contains("a"));
}

TEST_F(FileInventoryTest, FindsAChangeBehindALinkThatNoEventShows) {
    std::filesystem::create_directory(dir / "elsewhere");
    std::ofstream(dir / "elsewhere/real") << "[guest a]\n";
    std::filesystem::create_symlink(dir / "elsewhere/real", path);
    start();
    ASSERT_TRUE(contains("a"));
    std::ofstream(dir / "elsewhere/real") << "[guest another]\n";
    EXPECT_TRUE(until_known("another"));
}

TEST_F(FileInventoryTest, IsSilentOnceStopped) {
    write("[guest a]\n");
    start();
    source->stop();
    write("[guest b]\n");
    source->reload();
    loop.poll();
    EXPECT_FALSE(contains("b"));
}

}  // namespace
}  // namespace vitalwire::controller
