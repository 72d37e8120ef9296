#include "host/channels/line_connection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/host/unix_peer.hpp"

namespace vitalwire::host::test {
namespace {

class LineConnectionTest : public testing::Test, protected LineConnection::Handler {
protected:
    LineConnectionTest() {
        LineConnection::Handler& events = *this;
        connection_ = LineConnection::make(io_, dir_ / "socket", {}, events);
        connection_->start();
        EXPECT_TRUE(run_until(io_, [&] { return peer_.accept() && connection_->up(); }));
    }
    ~LineConnectionTest() override { connection_->close(); }

    void on_up() override {}
    void on_down(const std::string& why) override { ended_ = why; }
    void on_unreachable(int) override {}
    void on_line(std::string_view line) override { lines_.emplace_back(line); }
    void on_overlong_lines(std::uint64_t) override {}
    void on_throttled() override { throttled_ = true; }
    void on_not_read(std::uint64_t) override {}

    boost::asio::io_context io_;
    TempDir dir_;
    UnixPeer peer_{dir_ / "socket"};
    std::shared_ptr<LineConnection> connection_;
    std::vector<std::string> lines_;
    std::string ended_;
    bool throttled_ = false;
};

TEST_F(LineConnectionTest, HearsWhatWasSaidBeforeTheEnd) {
    peer_.write("one\ntwo\n");
    peer_.hang_up();
    ASSERT_TRUE(run_until(io_, [&] { return !ended_.empty(); }));
    EXPECT_THAT(lines_, testing::ElementsAre("one", "two"));
}

TEST_F(LineConnectionTest, HearsWhatWasSaidBeforeAnEndThatItNoticesWhenItSpeaks) {
    peer_.write("one\ntwo\n");
    peer_.hang_up();
    connection_->send("nobody hears this\n");
    ASSERT_TRUE(run_until(io_, [&] { return !ended_.empty(); }));
    EXPECT_THAT(lines_, testing::ElementsAre("one", "two"));
}

TEST_F(LineConnectionTest, LeavesASocketThatIsNotAtItsPathAnyMoreForTheOneThatIs) {
    connection_->retry_now();
    io_.restart();
    io_.poll();
    EXPECT_EQ(ended_, "") << "it is there";
    std::filesystem::remove(dir_ / "socket");
    connection_->retry_now();
    io_.restart();
    io_.poll();
    EXPECT_EQ(ended_, "") << "there is no other";
    UnixPeer replacement(dir_ / "socket");
    peer_.write("last words\n");
    connection_->retry_now();
    EXPECT_TRUE(run_until(io_, [&] { return replacement.accept(); }));
    EXPECT_EQ(ended_, "another socket is at its path");
    EXPECT_THAT(lines_, testing::ElementsAre("last words"));
}

TEST_F(LineConnectionTest, WaitsForTheSocketThatItIsToAccept) {
    const std::string socket = connection_->socket();
    EXPECT_NE(socket, "");
    connection_->accept_only(socket);
    peer_.hang_up();
    EXPECT_TRUE(run_until(io_, [&] { return peer_.accept() && connection_->up(); })) << "it is the same one";
    std::filesystem::remove(dir_ / "socket");
    UnixPeer another(dir_ / "socket");
    connection_->retry_now();
    ASSERT_TRUE(run_until(io_, [&] { return !connection_->up(); }));
    connection_->retry_now();
    io_.restart();
    io_.poll();
    EXPECT_FALSE(connection_->up());
    connection_->accept_only({});
    connection_->retry_now();
    EXPECT_TRUE(run_until(io_, [&] { return another.accept() && connection_->up(); }));
    EXPECT_NE(connection_->socket(), socket);
}

TEST_F(LineConnectionTest, WritesAChallengeAtTheEndOfTheTurn) {
    connection_->send("challenge\n", LineConnection::Keep::latest);
    EXPECT_EQ(peer_.received(), "");
    EXPECT_FALSE(connection_->idle());
    io_.restart();
    io_.poll();
    EXPECT_EQ(peer_.received(), "challenge\n");
    EXPECT_TRUE(connection_->idle());
}

TEST_F(LineConnectionTest, WritesInTheOrderInWhichItWasAsked) {
    connection_->send("one\n");
    connection_->send("challenge\n", LineConnection::Keep::latest);
    connection_->send("two\n");
    io_.restart();
    io_.poll();
    EXPECT_EQ(peer_.received(), "one\nchallenge\ntwo\n");
}

TEST_F(LineConnectionTest, OfTwoChallengesInOneTurnTheLaterIsWritten) {
    connection_->send("challenge 1\n", LineConnection::Keep::latest);
    connection_->send("challenge 2\n", LineConnection::Keep::latest);
    io_.restart();
    io_.poll();
    EXPECT_EQ(peer_.received(), "challenge 2\n");
}

TEST_F(LineConnectionTest, AChallengeWaitsBehindLittleForWhoReadsSlowly) {
    for (int i = 0; i < 100; ++i)
        connection_->send(std::string(1000, 'x') + '\n');
    EXPECT_FALSE(connection_->idle()) << "the kernel takes no 100 KB";
    io_.restart();
    io_.poll();
    EXPECT_LT(peer_.received().size(), 20'000U);
}

TEST_F(LineConnectionTest, WritesAChallengeToWhoIsNotReadForAWhile) {
    connection_->set_bytes_per_second(1);
    peer_.write(std::string(70'000, 'x') + '\n');
    ASSERT_TRUE(run_until(io_, [&] { return throttled_; }));
    connection_->send("challenge\n", LineConnection::Keep::latest);
    io_.restart();
    io_.poll();
    EXPECT_EQ(peer_.received(), "challenge\n");
}

}  // namespace
}  // namespace vitalwire::host::test
