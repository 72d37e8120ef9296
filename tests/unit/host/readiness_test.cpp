#include "host/readiness.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <functional>
#include <utility>

namespace vitalwire::host::test {
namespace {

/// A pair of connected sockets; what is told of our end is counted, and `then` is called.
struct Pair final : Readiness::Watcher {
    Pair() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
        ours = ends[0];
        theirs = ends[1];
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        ::close(ours);
        hang_up();
    }

    void on_ready(bool readable, bool writable) override {
        told_readable += readable ? 1 : 0;
        told_writable += writable ? 1 : 0;
        then();
    }
    void say(char byte) const { EXPECT_EQ(::write(theirs, &byte, 1), 1); }
    char hear() const {
        char byte = 0;
        EXPECT_EQ(::read(ours, &byte, 1), 1);
        return byte;
    }
    void hang_up() {
        if (theirs >= 0) ::close(std::exchange(theirs, -1));
    }

    int ours = -1;
    int theirs = -1;
    int told_readable = 0;
    int told_writable = 0;
    std::function<void()> then = [] {};
};

class ReadinessTest : public testing::Test {
protected:
    std::shared_ptr<Pair> watched(Readiness::Interest interest) {
        auto pair = std::make_shared<Pair>();
        EXPECT_EQ(readiness_.watch(pair->ours, interest, pair), 0);
        return pair;
    }

    boost::asio::io_context io_;
    Readiness& readiness_ = boost::asio::use_service<Readiness>(io_);
};

TEST_F(ReadinessTest, TellsUntilAllIsRead) {
    const auto pair = watched({.read = true});
    pair->say('a');
    pair->say('b');
    std::string heard;
    pair->then = [&] {
        heard += pair->hear();
        if (heard.size() == 2) readiness_.forget(pair->ours);
    };
    io_.run();
    EXPECT_EQ(heard, "ab");
    EXPECT_EQ(pair->told_readable, 2);
    EXPECT_EQ(pair->told_writable, 0);
}

TEST_F(ReadinessTest, TheOtherSidesEndIsReadable) {
    const auto pair = watched({.read = true});
    pair->hang_up();
    pair->then = [&] { readiness_.forget(pair->ours); };
    io_.run();
    EXPECT_EQ(pair->told_readable, 1);
}

TEST_F(ReadinessTest, TellsThatThereIsRoomToWriteOnlyWhenAsked) {
    const auto pair = watched({.read = true});
    io_.poll();
    EXPECT_EQ(pair->told_writable, 0);
    EXPECT_EQ(readiness_.watch(pair->ours, {.read = true, .write = true}, pair), 0);
    pair->then = [&] { readiness_.forget(pair->ours); };
    io_.run();
    EXPECT_EQ(pair->told_writable, 1);
}

TEST_F(ReadinessTest, ALoopWithNothingToWatchEnds) {
    const auto pair = watched({.read = true});
    readiness_.forget(pair->ours);
    io_.run();
    EXPECT_EQ(pair->told_readable, 0);
}

TEST_F(ReadinessTest, AfterAllWereForgottenItWatchesAgain) {
    const auto first = watched({.read = true});
    readiness_.forget(first->ours);
    const auto second = watched({.read = true});
    second->say('x');
    second->then = [&] { readiness_.forget(second->ours); };
    io_.run();
    EXPECT_EQ(second->told_readable, 1);
}

TEST_F(ReadinessTest, OneThatIsForgottenInTheSameTurnIsNotTold) {
    const auto first = watched({.read = true});
    const auto second = watched({.read = true});
    first->say('x');
    second->say('x');
    const auto forget_both = [&] {
        readiness_.forget(first->ours);
        readiness_.forget(second->ours);
    };
    first->then = second->then = forget_both;
    io_.run();
    EXPECT_EQ(first->told_readable + second->told_readable, 1);
}

TEST_F(ReadinessTest, ServesMoreThanOneTurnsWorth) {
    std::deque<std::shared_ptr<Pair>> pairs;
    for (int i = 0; i < 200; ++i) {
        pairs.push_back(watched({.read = true}));
        Pair& pair = *pairs.back();
        pair.say('x');
        pair.then = [this, &pair] { readiness_.forget(pair.ours); };
    }
    io_.run();
    for (const auto& pair : pairs)
        EXPECT_EQ(pair->told_readable, 1);
}

TEST_F(ReadinessTest, SaysThatADescriptorIsNone) {
    const auto pair = std::make_shared<Pair>();
    EXPECT_EQ(readiness_.watch(-1, {.read = true}, pair), EBADF);
    io_.run();
}

}  // namespace
}  // namespace vitalwire::host::test
