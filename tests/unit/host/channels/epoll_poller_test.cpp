#include "host/channels/epoll_poller.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <deque>
#include <functional>
#include <string>
#include <utility>

namespace vitalwire::host::test {
namespace {

/// A pair of connected sockets; what is told of our end is kept, and `then` is called.
struct Pair final : EpollPoller::Watcher {
    Pair() {
        std::array<int, 2> sockets{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets.data()), 0);
        ours = sockets[0];
        theirs = sockets[1];
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        close_ours();
        hang_up();
    }

    void on_read(std::string_view bytes, int error) override {
        heard += bytes;
        ends += bytes.empty() && error == 0 ? 1 : 0;
        broken += error != 0 ? 1 : 0;
        then();
    }
    void on_writable() override {
        ++told_writable;
        then();
    }
    void say(const std::string& bytes) const {
        EXPECT_EQ(::write(theirs, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    }
    void close_ours() {
        if (ours >= 0) ::close(std::exchange(ours, -1));
    }
    void hang_up() {
        if (theirs >= 0) ::close(std::exchange(theirs, -1));
    }

    int ours = -1;
    int theirs = -1;
    std::string heard;
    int ends = 0;
    int broken = 0;
    int told_writable = 0;
    std::function<void()> then = [] {};
};

class ReadinessTest : public testing::Test {
protected:
    std::shared_ptr<Pair> watched(EpollPoller::Interest interest) {
        auto pair = std::make_shared<Pair>();
        EXPECT_EQ(poller_.watch(pair->ours, interest, pair), 0);
        return pair;
    }
    std::function<void()> forget(const std::shared_ptr<Pair>& pair) {
        return [this, &pair = *pair] { poller_.forget(pair.ours); };
    }

    boost::asio::io_context io_;
    EpollPoller& poller_ = boost::asio::use_service<EpollPoller>(io_);
};

TEST_F(ReadinessTest, ReadsWhatHasArrived) {
    const auto pair = watched({.read = true});
    pair->say("ab");
    pair->then = forget(pair);
    io_.run();
    EXPECT_EQ(pair->heard, "ab");
    EXPECT_EQ(pair->told_writable, 0);
}

TEST_F(ReadinessTest, ReadsOnInTheNextTurnWhatIsTooMuchForOne) {
    const auto pair = watched({.read = true});
    const std::string much(100'000, 'x');
    pair->say(much);
    pair->then = [&] {
        if (pair->heard.size() == much.size()) poller_.forget(pair->ours);
    };
    io_.run();
    EXPECT_EQ(pair->heard, much);
}

TEST_F(ReadinessTest, TellsTheOtherSidesEnd) {
    const auto pair = watched({.read = true});
    pair->hang_up();
    pair->then = forget(pair);
    io_.run();
    EXPECT_EQ(pair->ends, 1);
    EXPECT_EQ(pair->broken, 0);
}

TEST_F(ReadinessTest, TellsWhatWasSaidBeforeTheEnd) {
    const auto pair = watched({.read = true});
    pair->say("last words");
    pair->hang_up();
    pair->then = [&] {
        if (pair->ends > 0) poller_.forget(pair->ours);
    };
    io_.run();
    EXPECT_EQ(pair->heard, "last words");
}

TEST_F(ReadinessTest, TellsThatThereIsRoomToWriteOnlyWhenAsked) {
    const auto pair = watched({.read = true});
    io_.poll();
    EXPECT_EQ(pair->told_writable, 0);
    EXPECT_EQ(poller_.watch(pair->ours, {.read = true, .write = true}, pair), 0);
    pair->then = forget(pair);
    io_.run();
    EXPECT_EQ(pair->told_writable, 1);
}

TEST_F(ReadinessTest, ReadsNothingForWhoOnlyWrites) {
    const auto pair = watched({.write = true});
    pair->say("not now");
    pair->then = forget(pair);
    io_.run();
    EXPECT_EQ(pair->heard, "");
    EXPECT_EQ(pair->told_writable, 1);
}

TEST_F(ReadinessTest, LetsThemWriteTogetherAtTheEndOfTheTurn) {
    const auto first = watched({.read = true});
    const auto second = watched({.read = true});
    std::string order;
    first->then = [&] { order += '1'; };
    second->then = [&] { order += '2'; };
    poller_.write_soon(second->ours);
    poller_.write_soon(first->ours);
    EXPECT_EQ(order, "");
    io_.poll();
    EXPECT_EQ(order, "21");
    EXPECT_EQ(first->told_writable, 1);
}

TEST_F(ReadinessTest, WhoIsForgottenBeforeTheEndOfTheTurnDoesNotWrite) {
    const auto pair = watched({.read = true});
    poller_.write_soon(pair->ours);
    poller_.forget(pair->ours);
    io_.run();
    EXPECT_EQ(pair->told_writable, 0);
}

TEST_F(ReadinessTest, ALoopWithNothingToWatchEnds) {
    const auto pair = watched({.read = true});
    poller_.forget(pair->ours);
    io_.run();
    EXPECT_EQ(pair->heard, "");
}

TEST_F(ReadinessTest, AfterAllWereForgottenItWatchesAgain) {
    const auto first = watched({.read = true});
    poller_.forget(first->ours);
    const auto second = watched({.read = true});
    second->say("x");
    second->then = forget(second);
    io_.run();
    EXPECT_EQ(second->heard, "x");
}

TEST_F(ReadinessTest, OneThatIsForgottenInTheSameTurnIsNotTold) {
    const auto first = watched({.read = true});
    const auto second = watched({.read = true});
    first->say("x");
    second->say("x");
    const auto forget_both = [&] {
        poller_.forget(first->ours);
        poller_.forget(second->ours);
    };
    first->then = second->then = forget_both;
    io_.run();
    EXPECT_EQ(first->heard + second->heard, "x");
}

TEST_F(ReadinessTest, NobodyHearsWhatWasSaidToAnEarlierOwnerOfItsDescriptor) {
    const auto first = watched({.read = true});
    const auto second = watched({.read = true});
    first->say("to the first");
    second->say("to the second");
    std::shared_ptr<Pair> third;
    // The first that is told ends the other, whose number a third one gets in the same turn.
    const auto replace = [&](const std::shared_ptr<Pair>& other) {
        return [this, &other, &third] {
            if (third) return;
            third = std::make_shared<Pair>();
            poller_.forget(other->ours);
            EXPECT_EQ(::dup2(third->ours, other->ours), other->ours);
            third->close_ours();
            third->ours = std::exchange(other->ours, -1);
            EXPECT_EQ(poller_.watch(third->ours, {.read = true}, third), 0);
        };
    };
    first->then = replace(second);
    second->then = replace(first);
    io_.poll();
    ASSERT_TRUE(third);
    EXPECT_EQ(third->heard, "");
    third->say("to the third");
    io_.poll();
    EXPECT_EQ(third->heard, "to the third");
}

TEST_F(ReadinessTest, ServesMoreThanOneTurnsWorth) {
    std::deque<std::shared_ptr<Pair>> pairs;
    for (int i = 0; i < 200; ++i) {
        pairs.push_back(watched({.read = true}));
        pairs.back()->say("x");
        pairs.back()->then = forget(pairs.back());
    }
    io_.run();
    for (const auto& pair : pairs)
        EXPECT_EQ(pair->heard, "x");
}

TEST_F(ReadinessTest, ServesAllWhoSayMoreThanItReadsAtOnce) {
    const std::string much(100'000, 'x');
    std::deque<std::shared_ptr<Pair>> pairs;
    for (int i = 0; i < 10; ++i) {
        pairs.push_back(watched({.read = true}));
        pairs.back()->say(much);
        pairs.back()->then = [this, &much, &pair = *pairs.back()] {
            if (pair.heard.size() == much.size()) poller_.forget(pair.ours);
        };
    }
    io_.run();
    for (const auto& pair : pairs)
        EXPECT_EQ(pair->heard.size(), much.size());
}

TEST_F(ReadinessTest, SaysThatADescriptorIsNone) {
    const auto pair = std::make_shared<Pair>();
    EXPECT_EQ(poller_.watch(-1, {.read = true}, pair), EBADF);
    io_.run();
}

}  // namespace
}  // namespace vitalwire::host::test
