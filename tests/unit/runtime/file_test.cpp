#include "runtime/file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::runtime {
namespace {

std::string file_of(const test::TempDir& directory, const std::string& content) {
    std::string path = directory / "file";
    std::ofstream(path) << content;
    return path;
}

TEST(ReadFile, ReturnsAFileOfSeveralPiecesWhole) {
    const test::TempDir directory;
    const std::string content(10'000, 'x');
    EXPECT_EQ(read_file(file_of(directory, content), 10'000), content);
}

TEST(ReadFile, ReturnsAnEmptyFile) {
    const test::TempDir directory;
    EXPECT_EQ(read_file(file_of(directory, ""), 16), "");
}

TEST(ReadFile, RefusesOneByteTooMany) {
    const test::TempDir directory;
    const auto text = read_file(file_of(directory, "12345"), 4);
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code, base::Errc::too_large);
}

TEST(ReadFile, NamesAFileThatCannotBeRead) {
    const auto text = read_file("/no/such/file", 16);
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code, base::Errc::io);
    EXPECT_EQ(text.error().message, "/no/such/file: cannot read: No such file or directory");
}

TEST(ReadFile, NamesADirectory) {
    const test::TempDir directory;
    EXPECT_EQ(read_file(directory / ".", 16).error().message,
              (directory / ".") + ": expected a regular file, found a folder");
}

TEST(ReadFile, RefusesAPipeWithoutWaitingForItsWriter) {
    const test::TempDir directory;
    const std::string pipe = directory / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    const auto text = read_file(pipe, 16);
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code, base::Errc::io);
    EXPECT_EQ(text.error().message, pipe + ": expected a regular file, found a pipe");
    EXPECT_EQ(why_unreadable(pipe), text.error().message);
}

TEST(ReadFile, TakesTheNullDeviceForAnEmptyFile) {
    EXPECT_EQ(read_file("/dev/null", 16), "");
}

TEST(WhyNotWritable, NamesTheFolderThatIsMissingOrNone) {
    const test::TempDir directory;
    EXPECT_EQ(why_not_writable(directory / "socket"), "");
    EXPECT_EQ(why_not_writable(directory / "no/socket"),
              (directory / "no") + ": expected a folder: No such file or directory");
    EXPECT_EQ(why_not_writable(file_of(directory, "") + "/socket"),
              (directory / "file") + ": expected a folder, found a file");
}

TEST(WhyNotWritable, NamesAFolderInThePlaceOfTheFile) {
    const test::TempDir directory;
    std::filesystem::create_directory(directory / "state");
    EXPECT_EQ(why_not_writable(directory / "state"), (directory / "state") + ": expected no folder of that name");
}

TEST(WhyExposed, NamesTheModeOfASecretThatOthersMayRead) {
    namespace fs = std::filesystem;
    const test::TempDir directory;
    const std::string path = file_of(directory, "secret");
    fs::permissions(path, fs::perms::owner_read | fs::perms::group_read);
    EXPECT_EQ(why_exposed(path), path + ": holds a secret, expected mode 0400 or 0600, found 0440");
    fs::permissions(path, fs::perms::owner_read);
    EXPECT_EQ(why_exposed(path), "");
    EXPECT_EQ(why_exposed(directory / "none"), "");
}

}  // namespace
}  // namespace vitalwire::runtime
