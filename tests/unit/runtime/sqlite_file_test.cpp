#include "runtime/sqlite_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class SqliteFileTest : public testing::Test {
protected:
    /// As somebody else may treat the file while nobody has it open.
    void execute(const std::string& sql) {
        sqlite3* database = nullptr;
        ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
        const std::unique_ptr<sqlite3, int (*)(sqlite3*)> closing(database, sqlite3_close);
        ASSERT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
            << sqlite3_errmsg(database);
    }
    /// By a process that is killed: the rows are in the WAL alone.
    void write_and_die(const StoreChanges& changes) {
        const pid_t child = fork();
        if (child == 0) _exit(SqliteFile::open(path_)->write(changes) ? 0 : 1);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_EQ(status, 0);
    }
    static StoreKey key(const std::string& name) { return {"t", name}; }

    test::TempDir directory_;
    std::string path_ = directory_ / "state of 100% #1?.db";
};

TEST_F(SqliteFileTest, TakesNoDamagedFileForWhole) {
    // Readable from end to end, and yet not what the schema promises.
    execute(
        "CREATE TABLE entry (section TEXT NOT NULL, key TEXT NOT NULL, value TEXT, PRIMARY KEY (section, key))"
        " WITHOUT ROWID; PRAGMA user_version=1; INSERT INTO entry VALUES ('t', 'k', NULL);"
        " PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql=replace(sql, 'value TEXT', 'value TEXT NOT NULL');");
    const auto file = SqliteFile::open(path_);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, base::Errc::malformed);
    EXPECT_THAT(file.error().message, HasSubstr(path_ + ": damaged: "));
}

TEST_F(SqliteFileTest, WritesAllOrNothingAndGoesOnAfterAFailure) {
    ASSERT_TRUE(SqliteFile::open(path_)->write({{key("first"), "1"}}));
    execute(
        "CREATE TRIGGER refusal BEFORE INSERT ON entry WHEN NEW.key='refused'"
        " BEGIN SELECT RAISE(ABORT, 'not this one'); END;");
    auto file = SqliteFile::open(path_);
    ASSERT_TRUE(file) << file.error().message;
    const auto failed = file->write({{key("a"), "2"}, {key("refused"), "3"}});
    ASSERT_FALSE(failed) << "a row was lost without a word";
    EXPECT_THAT(failed.error().message, HasSubstr("not this one"));
    EXPECT_THAT(*file->read_all(), ElementsAre(Pair(key("first"), "1")));

    ASSERT_TRUE(file->write({{key("b"), "4"}})) << "the failed transaction is still open";
    EXPECT_THAT(*file->read_all(), ElementsAre(Pair(key("b"), "4"), Pair(key("first"), "1")));
}

TEST_F(SqliteFileTest, ErasesTheRestWhenAllRowsAreWritten) {
    ASSERT_TRUE(SqliteFile::open(path_)->write({{key("old"), "1"}, {key("kept"), "2"}}));
    auto file = SqliteFile::open(path_);
    ASSERT_TRUE(file->write({{key("kept"), "3"}, {key("gone"), std::nullopt}}, SqliteFile::Rest::erase));
    EXPECT_THAT(*file->read_all(), ElementsAre(Pair(key("kept"), "3")));
}

TEST_F(SqliteFileTest, ReadsTheWalOnADiskThatIsReadOnly) {
    write_and_die({{key("k"), "in the WAL"}});
    const auto content = SqliteFile::read_only(path_);
    ASSERT_TRUE(content) << content.error().message;
    EXPECT_THAT(*content, ElementsAre(Pair(key("k"), "in the WAL")));
}

TEST_F(SqliteFileTest, ReadsAFileWithoutAWalOnADiskThatIsReadOnly) {
    EXPECT_THAT(*SqliteFile::read_only(path_), IsEmpty());
    ASSERT_TRUE(SqliteFile::open(path_)->write({{key("k"), "v"}}));
    ASSERT_NE(access((path_ + "-wal").c_str(), F_OK), 0);
    EXPECT_THAT(*SqliteFile::read_only(path_), ElementsAre(Pair(key("k"), "v")));
}

TEST_F(SqliteFileTest, DoesNotTakeAFileForWholeWhoseWalCannotBeRead) {
    write_and_die({{key("k"), "in the WAL"}});
    ASSERT_EQ(unlink((path_ + "-wal").c_str()), 0);
    ASSERT_EQ(symlink("state of 100% #1?.db-wal", (path_ + "-wal").c_str()), 0)
        << "which leads nowhere, and is not missing";
    EXPECT_FALSE(SqliteFile::read_only(path_));
}

}  // namespace
}  // namespace vitalwire::runtime
