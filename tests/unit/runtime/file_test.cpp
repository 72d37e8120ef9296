#include "runtime/file.hpp"

#include <gtest/gtest.h>

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
    EXPECT_EQ(read_file(directory / ".", 16).error().code, base::Errc::io);
}

}  // namespace
}  // namespace vitalwire::runtime
