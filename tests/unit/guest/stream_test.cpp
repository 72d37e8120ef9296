#include "guest/stream.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <array>
#include <vector>

#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class StreamTest : public LoopTest {
protected:
    StreamTest() {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0)
            throw std::runtime_error("socketpair");
        host_ = ends[0];
        Stream::Handler handler;
        handler.on_bytes = [this](std::string_view bytes) {
            read_ += bytes;
            on_read_();
        };
        handler.on_open = [this] { events_.emplace_back("open"); };
        handler.on_hang_up = [this] { events_.emplace_back("hang up"); };
        handler.on_gone = [this](int) { events_.emplace_back("gone"); };
        stream_ = Stream::make(io_, ends[1], std::move(handler)).value();
        stream_->start();
    }
    ~StreamTest() override {
        stream_->close();
        if (host_ >= 0) ::close(host_);
    }

    std::string receive() {
        std::array<char, 65536> buffer;
        std::string received;
        ssize_t count = 0;
        while ((count = ::read(host_, buffer.data(), buffer.size())) > 0)
            received.append(buffer.data(), static_cast<std::size_t>(count));
        return received;
    }

    int host_ = -1;
    std::shared_ptr<Stream> stream_;
    std::string read_;
    std::function<void()> on_read_ = [] {};
    std::vector<std::string> events_;
};

TEST_F(StreamTest, TellsOfAHostThatIsThereFromTheStart) {
    EXPECT_THAT(events_, ElementsAre("open"));
}

TEST_F(StreamTest, WritesAMessageAtOnce) {
    EXPECT_TRUE(stream_->send("\nhello\n", Priority::normal));
    EXPECT_EQ(receive(), "\nhello\n");
}

TEST_F(StreamTest, WritesTheLastOfTheAnswersThatWereGivenWhileReading) {
    on_read_ = [this] {
        stream_->send("first ", Priority::answer);
        stream_->send("second", Priority::answer);
    };
    ASSERT_EQ(::write(host_, "x", 1), 1);
    await("it is read", [&] { return !read_.empty(); });
    EXPECT_EQ(receive(), "second");
}

TEST_F(StreamTest, PutsAnAnswerBeforeWhatWaits) {
    on_read_ = [this] {
        stream_->send("broadcast ", Priority::normal);
        stream_->send("answer ", Priority::answer);
    };
    ASSERT_EQ(::write(host_, "x", 1), 1);
    await("it is read", [&] { return !read_.empty(); });
    EXPECT_EQ(receive(), "answer broadcast ");
}

TEST_F(StreamTest, NeverBreaksIntoAMessageThatIsHalfWritten) {
    const std::string message(Stream::kMaxQueued / 2, 'm');
    std::size_t sent = 0;
    while (stream_->send(message, Priority::normal))
        sent += message.size();
    EXPECT_TRUE(stream_->send("!", Priority::answer));
    std::string received;
    await("all is written", [&] { return (received += receive()).size() >= sent + 1; });
    EXPECT_EQ(received.find('!') % message.size(), 0U);
    EXPECT_LT(received.find('!'), sent);
}

TEST_F(StreamTest, RefusesMoreThanItsQueueHolds) {
    const std::string message(1024, 'm');
    std::size_t accepted = 0;
    while (accepted < 1'000'000 && stream_->send(message, Priority::normal))
        accepted += message.size();
    EXPECT_LT(accepted, 1'000'000U);
    std::string received;
    await("all is written", [&] { return (received += receive()).size() >= accepted; });
    EXPECT_TRUE(stream_->send(message, Priority::normal));
}

TEST_F(StreamTest, ForgetsWhatWaitedForAHostThatLeft) {
    ::close(std::exchange(host_, -1));
    await("it notices", [&] { return events_.back() == "hang up"; });
    EXPECT_FALSE(stream_->send("late", Priority::normal));
}

TEST_F(StreamTest, DoesNotSpinWithoutAHost) {
    ::close(std::exchange(host_, -1));
    await("it notices", [&] { return events_.back() == "hang up"; });
    std::size_t handlers = 0;
    for (int i = 0; i < 1000; ++i) {
        io_.restart();
        handlers += io_.poll();
    }
    EXPECT_LE(handlers, 1U);
}

TEST_F(StreamTest, IsNotWokenWhenTheHostReadsWhatItWrote) {
    std::string received;
    std::size_t handlers = 0;
    for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(stream_->send("answer", Priority::answer));
        received += receive();
        io_.restart();
        handlers += io_.poll();
    }
    EXPECT_EQ(received.size(), 600U);
    EXPECT_LE(handlers, 1U);
}

TEST_F(StreamTest, WritesWhatWaitedEachTimeTheHostReadsAgain) {
    const std::string message(60'000, 'm');
    for (int i = 0; i < 3; ++i) {
        std::size_t sent = 0;
        while (stream_->send(message, Priority::normal))
            sent += message.size();
        std::string received;
        await("all is written", [&] { return (received += receive()).size() >= sent; });
    }
}

TEST_F(StreamTest, ReadsAllOfAFloodThoughNotInOneTurn) {
    const std::string flood(200'000, 'f');
    std::size_t written = 0;
    while (written < flood.size()) {
        const ssize_t count = ::write(host_, flood.data() + written, flood.size() - written);
        if (count > 0) written += static_cast<std::size_t>(count);
        turn();
    }
    await("all is read", [&] { return read_.size() == flood.size(); });
}

TEST_F(StreamTest, CallsNobodyOnceClosed) {
    events_.clear();
    stream_->close();
    ::close(std::exchange(host_, -1));
    turn();
    EXPECT_THAT(events_, IsEmpty());
}

TEST_F(StreamTest, ClosesAFileThatNobodyCanWaitFor) {
    const int file = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    const auto stream = Stream::make(io_, file, {});
    ASSERT_FALSE(stream);
    EXPECT_EQ(stream.error().code, base::Errc::config);
    EXPECT_LT(::fcntl(file, F_GETFD), 0);
}

}  // namespace
}  // namespace vitalwire::guest::test
