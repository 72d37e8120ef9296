#include "runtime/store.hpp"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#include "runtime/sqlite_file.hpp"

namespace {

/// SQLite's writes do not come back, as on a disk that hangs.
std::atomic<bool> g_disk_hangs = false;

int sync_when_the_disk_answers(const char* name, int fd) {
    while (g_disk_hangs)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, name))(fd);
}

}  // namespace

// In the place of the C library's.
extern "C" __attribute__((visibility("default"))) int fsync(int fd) {
    return sync_when_the_disk_answers("fsync", fd);
}
extern "C" __attribute__((visibility("default"))) int fdatasync(int fd) {
    return sync_when_the_disk_answers("fdatasync", fd);
}

namespace vitalwire::runtime {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::ResultOf;
using testing::SizeIs;

class StoreOnDisk : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "vitalwire-store-XXXXXX";
        directory_ = mkdtemp(name.data());
        path_ = directory_ + "/state.db";
    }
    void TearDown() override { fs::remove_all(directory_); }

    std::unique_ptr<Store> open() {
        auto store = Store::open(io_, path_);
        EXPECT_TRUE(store) << store.error().message;
        return store ? std::move(*store) : nullptr;
    }
    bool wait_for(const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!condition() && std::chrono::steady_clock::now() < deadline) {
            io_.restart();
            io_.run_for(std::chrono::milliseconds(5));
        }
        return condition();
    }

    boost::asio::io_context io_{1};
    std::string directory_;
    std::string path_;
};

TEST_F(StoreOnDisk, KeepsWhatWasWrittenAndForgetsWhatWasErased) {
    {
        const auto store = open();
        store->put("a", "one", "1");
        store->put("a", "two", "2");
        store->put("a", "two", std::string("2 \0 \xFF", 5));
        store->put("b", "one", "other table");
        store->put("a", "gone", "x");
        store->erase("a", "gone");
        store->erase("a", "never there");
    }
    const auto store = open();
    EXPECT_THAT(store->load("a"), ElementsAre(Pair("one", "1"), Pair("two", std::string("2 \0 \xFF", 5))));
    EXPECT_THAT(store->load("b"), ElementsAre(Pair("one", "other table")));
    EXPECT_THAT(store->load("c"), IsEmpty());
    EXPECT_EQ(store->set_aside(), "");
}

TEST_F(StoreOnDisk, IsNobodyElsesToRead) {
    const auto store = open();
    struct stat status {};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(StoreOnDisk, TellsWhenEverythingBeforeIsDurable) {
    const auto store = open();
    bool durable = false;
    for (int i = 0; i < 1000; ++i)
        store->put("t", std::to_string(i), "x");
    store->when_durable([&] { durable = true; });
    EXPECT_FALSE(durable) << "never from within the call";
    EXPECT_TRUE(wait_for([&] { return durable; }));
    EXPECT_EQ(store->pending(), 0U);

    bool again = false;
    store->when_durable([&] { again = true; });
    EXPECT_TRUE(wait_for([&] { return again; })) << "nothing to wait for";
}

TEST_F(StoreOnDisk, CommitsTogetherWhatOneTurnOfTheLoopChanged) {
    const auto store = open();
    const std::string other = directory_ + "/other.db";
    store->put("t", "first", "1");
    for (int i = 0; i < 3; ++i) {
        // Takes as long as a commit of the first change would.
        const auto meanwhile = Store::open(io_, other);
        ASSERT_TRUE(meanwhile) << meanwhile.error().message;
        (*meanwhile)->put("t", std::to_string(i), "x");
    }
    EXPECT_EQ(store->pending(), 1U) << "the turn is not over";
    store->put("t", "second", "2");
    EXPECT_TRUE(wait_for([&] { return store->pending() == 0; }));
}

TEST_F(StoreOnDisk, TellsNobodyAfterItIsGone) {
    bool told = false;
    {
        const auto store = open();
        store->put("t", "k", "v");
        store->when_durable([&] { told = true; });
    }
    io_.run();
    EXPECT_FALSE(told);
}

TEST_F(StoreOnDisk, KeepsWhatWasDurableWhenTheProcessIsKilled) {
    const pid_t child = fork();
    if (child == 0) {
        auto store = Store::open(io_, path_);
        (*store)->put("t", "k", "v");
        (*store)->when_durable([] { kill(getpid(), SIGKILL); });
        const auto work = boost::asio::make_work_guard(io_);
        io_.run();
        _exit(1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_THAT(open()->load("t"), ElementsAre(Pair("k", "v")));
}

TEST_F(StoreOnDisk, SetsAsideAFileThatIsNoDatabase) {
    std::ofstream(path_) << std::string(10'000, 'x');
    const auto store = open();
    ASSERT_THAT(store->set_aside(), HasSubstr("state.db.unreadable-"));
    EXPECT_EQ(fs::file_size(store->set_aside()), 10'000U);
    EXPECT_THAT(store->load("t"), IsEmpty());
    store->put("t", "k", "v");
    EXPECT_TRUE(wait_for([&] { return store->pending() == 0; }));
    EXPECT_TRUE(store->healthy());
}

TEST_F(StoreOnDisk, SetsAsideADamagedFile) {
    {
        const auto store = open();
        for (int i = 0; i < 2000; ++i)
            store->put("t", std::to_string(i), std::string(100, 'x'));
    }
    {
        std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(20'000);
        file << std::string(60'000, '\x7F');
    }
    EXPECT_NE(open()->set_aside(), "");
}

TEST_F(StoreOnDisk, LeavesAFileOfALaterReleaseAlone) {
    {
        const auto store = open();
        store->put("t", "k", "v");
    }
    {
        // user_version, as SQLite's file format places it.
        std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(60);
        file.write("\0\0\0\x63", 4);
    }
    const auto opened = Store::open(io_, path_);
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message,
                HasSubstr("written by a later release (schema version 99, this one reads up to 1)"));
    EXPECT_FALSE(Store::open_when_free(io_, path_)) << "waiting does not help";
    EXPECT_EQ(Store::check(path_, ""), opened.error().message) << "before a start";
}

TEST_F(StoreOnDisk, WaitsAtTheStartWhileAnotherProcessUsesTheFile) {
    auto first = open();
    first->put("t", "k", "v");
    asio::steady_timer release(io_, std::chrono::milliseconds(700));
    release.async_wait([&](const boost::system::error_code&) { first.reset(); });
    const auto second = Store::open_when_free(io_, path_);
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ((*second)->load("t").at("k"), "v");
}

TEST_F(StoreOnDisk, StartsWithoutAFileOnADiskThatFailsAndWritesItWhenItCan) {
    fs::create_symlink(directory_ + "/none/state.db", path_);
    {
        const auto store = Store::open_when_free(io_, path_);
        ASSERT_TRUE(store) << store.error().message;
        (*store)->put("t", "k", "v");
        ASSERT_TRUE(wait_for([&] { return !(*store)->healthy(); }));
        EXPECT_THAT((*store)->problem(), HasSubstr("No such file"));
        fs::create_directory(directory_ + "/none");
        EXPECT_TRUE(wait_for([&] { return (*store)->healthy() && (*store)->pending() == 0; }));
    }
    EXPECT_EQ(open()->load("t").at("k"), "v");
}

TEST_F(StoreOnDisk, GivesUpWaitingForTheFileWhenItIsStopped) {
    const auto first = open();
    first->put("t", "k", "v");
    asio::steady_timer stop(io_, std::chrono::milliseconds(100));
    stop.async_wait([&](const boost::system::error_code&) { io_.stop(); });
    const auto second = Store::open_when_free(io_, path_);
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("stopped while waiting"));
}

TEST_F(StoreOnDisk, SetsAsideASecondFileWithoutLosingTheFirst) {
    std::ofstream(path_) << std::string(10'000, 'x');
    const std::string first = open()->set_aside();
    std::ofstream(path_, std::ios::trunc) << std::string(20'000, 'y');
    const std::string second = open()->set_aside();
    EXPECT_NE(first, second);
    EXPECT_TRUE(fs::exists(first));
    EXPECT_TRUE(fs::exists(second));
}

TEST_F(StoreOnDisk, RefusesAFileThatAnotherProcessUses) {
    const auto store = open();
    store->put("t", "k", "v");
    const auto second = Store::open(io_, path_);
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("another process uses this file"));
    EXPECT_TRUE(wait_for([&] { return store->pending() == 0; }));
}

TEST_F(StoreOnDisk, RefusesAPathItCannotUse) {
    EXPECT_THAT(Store::open(io_, directory_ + "/none/state.db").error().message, HasSubstr("No such file"));
    EXPECT_FALSE(Store::open(io_, directory_));
}

/// A disk that takes no more than `bytes` of any file, as a full one does.
class FullDisk {
public:
    explicit FullDisk(rlim_t bytes) {
        std::signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit limit{bytes, before_.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }
    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;

private:
    rlimit before_{};
};

TEST_F(StoreOnDisk, KeepsWorkingAndTellingWhileTheDiskIsFull) {
    const auto store = open();
    bool durable = false;
    {
        const FullDisk full(30'000);
        for (int i = 0; i < 1000; ++i)
            store->put("t", std::to_string(i), std::string(100, 'x'));
        store->when_durable([&] { durable = true; });
        ASSERT_TRUE(wait_for([&] { return !store->healthy(); }));
        EXPECT_THAT(store->problem(), AllOf(HasSubstr(path_ + ": cannot write: "), HasSubstr("; changes that wait: ")));
        const std::size_t waiting = store->pending();  // all but what went to disk while there was room
        EXPECT_GT(waiting, 0U);
        store->put("t", "999", "newer");
        EXPECT_TRUE(wait_for([&] { return store->pending() == waiting; })) << "coalesced by key";
        EXPECT_FALSE(durable);
    }
    ASSERT_TRUE(wait_for([&] { return durable; })) << store->problem();
    EXPECT_TRUE(store->healthy());
    EXPECT_EQ(store->problem(), "");
    store->close();

    auto content = open()->load("t");
    EXPECT_THAT(content, SizeIs(1000));
    EXPECT_EQ(content["999"], "newer");
}

TEST_F(StoreOnDisk, WritesAFileAgainThatSomebodyHasRemoved) {
    auto store = open();
    store->put("faults", "f1", "old");
    store->put("faults", "f2", "kept");
    ASSERT_TRUE(wait_for([&] { return store->pending() == 0; }));
    for (const char* suffix : {"", "-wal"})
        fs::remove(path_ + suffix);
    store->put("faults", "f1", "new");
    EXPECT_TRUE(wait_for([&] { return fs::exists(path_); })) << "also the rest, of which nothing changes";
    ASSERT_TRUE(wait_for([&] { return store->pending() == 0; }));
    EXPECT_TRUE(store->healthy());
    fs::remove(path_);
    EXPECT_TRUE(wait_for([&] { return fs::exists(path_); })) << "also while nothing changes";
    store.reset();
    EXPECT_THAT(open()->load("faults"), ElementsAre(Pair("f1", "new"), Pair("f2", "kept")));
}

TEST_F(StoreOnDisk, LeavesAFileAloneThatSomebodyHasPutInPlaceOfItsOwn) {
    auto store = open();
    store->put("faults", "f1", "old");
    ASSERT_TRUE(wait_for([&] { return store->pending() == 0; }));
    fs::remove(path_);
    std::ofstream(path_) << "a backup";
    EXPECT_TRUE(wait_for([&] { return !store->healthy(); }));
    EXPECT_THAT(store->problem(), HasSubstr("another file was put there"));
    EXPECT_EQ(fs::file_size(path_), 8U);
    fs::remove(path_);
    EXPECT_TRUE(wait_for([&] { return store->healthy(); }));
    store.reset();
    EXPECT_THAT(open()->load("faults"), ElementsAre(Pair("f1", "old")));
}

TEST_F(StoreOnDisk, TellsThatTheDiskHangs) {
    const auto store = open();
    bool durable = false;
    g_disk_hangs = true;
    store->put("t", "k", "v");
    store->when_durable([&] { durable = true; });
    EXPECT_TRUE(wait_for([&] { return store->pending() == 1 && !store->healthy(); }));
    EXPECT_EQ(store->problem(), "the disk has not answered a write for more than a second");
    EXPECT_FALSE(durable);
    g_disk_hangs = false;
    EXPECT_TRUE(wait_for([&] { return durable; }));
    EXPECT_TRUE(store->healthy());
}

TEST_F(StoreOnDisk, StartsOnAFullDisk) {
    {
        const auto store = open();
        store->put("t", "k", "v");
    }
    std::unique_ptr<Store> store;
    {
        const FullDisk full(0);
        store = open();
        ASSERT_NE(store, nullptr);
        EXPECT_THAT(store->load("t"), ElementsAre(Pair("k", "v")));
        store->put("t", "later", "w");
        EXPECT_TRUE(wait_for([&] { return !store->healthy(); }));
    }
    EXPECT_TRUE(wait_for([&] { return store->healthy() && store->pending() == 0; }));
}

TEST_F(StoreOnDisk, BeginsAnewOnAFullDisk) {
    std::unique_ptr<Store> store;
    {
        const FullDisk full(0);
        store = open();
        ASSERT_NE(store, nullptr);
        store->put("t", "k", "v");
        EXPECT_TRUE(wait_for([&] { return !store->healthy(); }));
    }
    EXPECT_TRUE(wait_for([&] { return store->healthy() && store->pending() == 0; }));
}

TEST_F(StoreOnDisk, DoesNotWaitForAFullDiskAtTheEnd) {
    const FullDisk full(0);
    const auto store = open();
    store->put("t", "k", "v");
    ASSERT_TRUE(wait_for([&] { return !store->healthy(); }));
    store->close();
    EXPECT_EQ(store->pending(), 1U);
}

/// Needs root: the state is on a file system of its own, which nobody but this thread and those it starts can see.
class StoreOnAReadOnlyDisk : public StoreOnDisk {
protected:
    void SetUp() override {
        StoreOnDisk::SetUp();
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            mount("disk", directory_.c_str(), "tmpfs", 0, "size=2m") != 0)
            GTEST_SKIP() << "no right to mount";
    }
    void TearDown() override {
        umount2(directory_.c_str(), MNT_DETACH);
        StoreOnDisk::TearDown();
    }
    void make_read_only() { ASSERT_EQ(mount("disk", directory_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr), 0); }
    void make_writable() { ASSERT_EQ(mount("disk", directory_.c_str(), "tmpfs", MS_REMOUNT, nullptr), 0); }
    /// As a daemon that is killed leaves it.
    void write_and_die(const StoreChanges& changes) {
        const pid_t child = fork();
        if (child == 0) _exit(SqliteFile::open(path_)->write(changes) ? 0 : 1);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_EQ(status, 0);
    }
};

TEST_F(StoreOnAReadOnlyDisk, ReadsWhatAKilledProcessHasWritten) {
    write_and_die({{{"t", "k"}, "v"}});
    make_read_only();
    const auto store = open();
    EXPECT_THAT(store->load("t"), ElementsAre(Pair("k", "v")));
    EXPECT_EQ(store->set_aside(), "");
    EXPECT_TRUE(wait_for([&] { return !store->healthy(); })) << "also while nothing changes";
    EXPECT_THAT(store->problem(), HasSubstr("Read-only file system"));
}

TEST_F(StoreOnAReadOnlyDisk, WritesAllOfItWhenItCan) {
    write_and_die({{{"t", "changed"}, "1"}, {{"t", "erased"}, "2"}, {{"t", "kept"}, "3"}});
    make_read_only();
    auto store = open();
    store->put("t", "changed", "4");
    store->erase("t", "erased");
    ASSERT_TRUE(wait_for([&] { return !store->healthy(); }));
    make_writable();
    EXPECT_TRUE(wait_for([&] { return store->healthy() && store->pending() == 0; }));
    store.reset();
    EXPECT_THAT(open()->load("t"), ElementsAre(Pair("changed", "4"), Pair("kept", "3")));
}

TEST_F(StoreOnAReadOnlyDisk, StartsEmptyWithoutAStateThatItCannotRead) {
    write_and_die({{{"t", "old"}, "1"}});
    fs::remove(path_ + "-wal");
    fs::create_symlink("state.db-wal", path_ + "-wal");
    make_read_only();
    auto store = open();
    EXPECT_THAT(store->load("t"), IsEmpty());
    EXPECT_THAT(store->set_aside(), HasSubstr(path_ + ", on a disk that is read-only"));
    store->put("t", "new", "2");
    ASSERT_TRUE(wait_for([&] { return !store->healthy(); }));
    make_writable();
    EXPECT_TRUE(wait_for([&] { return store->healthy() && store->pending() == 0; }));
    store.reset();
    EXPECT_THAT(open()->load("t"), ElementsAre(Pair("new", "2")));
    EXPECT_THAT(std::vector<fs::path>(fs::directory_iterator(directory_), {}),
                Contains(ResultOf([](const fs::path& path) { return path.string(); }, HasSubstr("unreadable-"))));
}

}  // namespace
}  // namespace vitalwire::runtime
