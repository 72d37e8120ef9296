#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <map>
#include <random>
#include <thread>

#include "tests/unit/bus/stream_fixture.hpp"

namespace vitalwire::bus {
namespace {

namespace asio = boost::asio;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

constexpr const char* kHello =
    R"({"type":"hello","version":1,"host":"raw","agent_version":"x","instance":"i","lead":false})"
    "\n";

/// A client that speaks whatever the test wants.
class RawClient {
public:
    RawClient(asio::io_context& io, const std::string& path) : socket_(io) {
        socket_.connect(asio::local::stream_protocol::endpoint(path));
    }
    void write(const std::string& bytes) {
        boost::system::error_code gone;
        asio::write(socket_, asio::buffer(bytes), gone);
    }
    /// The same, unless there is no room: the other side reads in its turns only.
    void try_write(const std::string& bytes) {
        static_cast<void>(::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
    }
    /// True once the other side has closed. What it sent before is dropped.
    bool ended() {
        std::array<char, 4096> buffer{};
        const ssize_t size = recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        return size == 0 || (size < 0 && errno != EAGAIN);
    }

    /// What came since the last call.
    std::string read() {
        std::array<char, 4096> buffer{};
        const ssize_t size = recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        return {buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
    }

private:
    asio::local::stream_protocol::socket socket_;
};

TEST_F(Stream, CarriesMessagesBothWaysOverAUnixSocket) {
    const auto port = listen(unix_url());
    const auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    EXPECT_TRUE(link->up());
    EXPECT_THAT(controller_.events, ElementsAre("up compute-1 from unix"));

    link->send(SnapshotBegin{});
    link->send(GuestGone{base::GuestId("g-1")});
    link->send(SnapshotEnd{});
    port->send(base::HostId("compute-1"), FaultsDelivered{{{base::FaultId("f"), 2}}});
    port->send(base::HostId("nobody"), Policies{true, {}});
    ASSERT_TRUE(wait_for([&] { return controller_.messages.size() == 3 && agent_.messages.size() == 2; }));
    EXPECT_EQ(std::get<GuestGone>(controller_.messages[1]).guest.str(), "g-1");
    EXPECT_EQ(agent_.last<FaultsDelivered>()->items[0].revision, 2U);
}

TEST_F(Stream, AFloodOfOnePeerLetsTheOthersHaveTheirTurns) {
    const auto port = listen(unix_url());
    RawClient flood(io_, directory_ / "bus.sock");
    std::string lines = kHello;
    for (int i = 0; i < 400; ++i)
        lines += "{\"type\":\"state_begin\"}\n";
    flood.write(lines);
    ASSERT_TRUE(wait_for([&] { return !controller_.messages.empty(); }));
    EXPECT_LE(controller_.messages.size(), 32U) << "in one turn of the loop";
    const std::size_t first = controller_.messages.size();
    io_.restart();
    io_.run_one();
    EXPECT_LE(controller_.messages.size(), first + 32);
    EXPECT_TRUE(wait_for([&] { return controller_.messages.size() == 400; }));
}

TEST_F(Stream, CarriesMessagesOverTcp) {
    const auto port = listen("tcp://127.0.0.1:0");
    EXPECT_THAT(port->address(), StartsWith("tcp://127.0.0.1:"));
    const auto link = connect("tcp://localhost" + port->address().substr(port->address().rfind(':')), agent_);
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    EXPECT_THAT(controller_.events, ElementsAre("up compute-1 from 127.0.0.1"));
}

TEST_F(Stream, CarriesAWholeStateOfTenThousandGuestsInOrder) {
    const auto port = listen(unix_url());
    const auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    for (int chunk = 0; chunk < 50; ++chunk) {
        Guests guests{std::vector<model::GuestReport>(kStateChunk)};
        for (model::GuestReport& guest : guests.guests) {
            guest.guest = base::GuestId("g-" + std::to_string(chunk));
            guest.state = "registered";
        }
        link->send(guests);
    }
    ASSERT_TRUE(wait_for([&] { return controller_.messages.size() == 50; }));
    for (std::size_t chunk = 0; chunk < 50; ++chunk) {
        EXPECT_EQ(std::get<Guests>(controller_.messages[chunk]).guests.back().guest.str(),
                  "g-" + std::to_string(chunk));
    }
}

TEST_F(Stream, ConnectsWhenTheControllerComesAndAgainWhenItComesBack) {
    const auto link = connect(unix_url(), agent_);
    run_for(std::chrono::milliseconds(400));
    EXPECT_THAT(agent_.downs, ElementsAre("cannot connect: No such file or directory")) << "once, not at every attempt";

    auto port = listen(unix_url());
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    port.reset();
    ASSERT_TRUE(wait_for([&] { return agent_.downs.size() >= 2; }));
    EXPECT_EQ(agent_.downs[1], "closed by the peer");
    EXPECT_FALSE(link->up());
    link->send(SnapshotBegin{});

    port = listen(unix_url());
    ASSERT_TRUE(wait_for([&] { return agent_.ups == 2 && controller_.events.size() == 2; }));
    EXPECT_THAT(controller_.messages, IsEmpty()) << "what was sent while down was kept for nobody";
}

TEST_F(Stream, TellsTheControllerThatAnAgentIsGone) {
    const auto port = listen(unix_url());
    auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    link.reset();
    ASSERT_TRUE(wait_for([&] { return controller_.events.size() == 2; }));
    EXPECT_EQ(controller_.events[1], "down compute-1: closed by the peer");
    EXPECT_THAT(agent_.downs, IsEmpty()) << "no callback after the end";
}

TEST_F(Stream, SendsWhatIsQueuedBeforeItStops) {
    const auto port = listen(unix_url());
    const auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    for (int i = 0; i < 1000; ++i)
        link->send(GuestGone{base::GuestId("g")});
    link->stop();
    EXPECT_TRUE(wait_for([&] { return controller_.messages.size() == 1000; }));
}

TEST_F(Stream, LetsTheLatestAgentOfAHostReplaceTheEarlierOne) {
    const auto port = listen(unix_url());
    const auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    TestAgent second("compute-1");
    const auto second_link = connect(unix_url(), second);
    ASSERT_TRUE(wait_for([&] { return second.last<Welcome>() != nullptr && !agent_.downs.empty(); }));
    EXPECT_EQ(agent_.downs[0], "rejected by the controller: another agent of this host has connected from unix");
    ASSERT_GE(controller_.events.size(), 3U);
    EXPECT_EQ(controller_.events[1], "down compute-1: replaced by a new connection");
    EXPECT_EQ(controller_.events[2], "up compute-1 from unix");
}

/// A controller that accepts connections and says what it likes.
class RawController {
public:
    RawController(asio::io_context& io, const std::string& path)
        : acceptor_(io, asio::local::stream_protocol::endpoint(path)), socket_(io) {}
    void accept(
        const std::string& says, std::function<void()> then = [] {}) {
        acceptor_.async_accept(socket_, [this, says, then](const auto& error) {
            if (error) return;
            asio::write(socket_, asio::buffer(says));
            then();
        });
    }
    void hang_up() {
        boost::system::error_code ignored;
        socket_.close(ignored);
    }

private:
    asio::local::stream_protocol::acceptor acceptor_;
    asio::local::stream_protocol::socket socket_;
};

constexpr const char* kWelcome = R"({"type":"welcome","version":1,"controller":"c"})"
                                 "\n";

TEST_F(Stream, ARejectionIsTheLastWordOfAConnection) {
    RawController controller(io_, directory_ / "bus.sock");
    std::string says = kWelcome;
    for (int i = 0; i < 100; ++i)
        says += "{\"type\":\"rejected\",\"reason\":\"no\"}\n";
    controller.accept(says);
    const auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return !agent_.downs.empty(); }));
    EXPECT_THAT(agent_.messages, SizeIs(2)) << "the welcome, and one rejection";
    EXPECT_EQ(agent_.downs[0], "rejected by the controller: no");
}

TEST_F(Stream, AControllerThatWelcomesAndHangsUpAgainAndAgainIsTriedMoreAndMoreSeldom) {
    RawController controller(io_, directory_ / "bus.sock");
    int connections = 0;
    std::function<void()> next = [&] {
        ++connections;
        controller.hang_up();
        controller.accept(kWelcome, next);
    };
    controller.accept(kWelcome, next);
    const auto link = connect(unix_url(), agent_);
    run_for(std::chrono::seconds(2));
    EXPECT_GE(connections, 3);
    EXPECT_LE(connections, 10) << "at 25 to 50 ms it would be more than 40";
}

TEST_F(Stream, TellsTheAgentWhyItWasRejected) {
    controller_.reject = true;
    const auto port = listen(unix_url());
    const auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return !agent_.downs.empty(); }));
    EXPECT_EQ(agent_.downs[0], "rejected by the controller: not today");
    EXPECT_THAT(controller_.events, ElementsAre("up compute-1 from unix")) << "the handler knows already";
}

TEST_F(Stream, RejectsAnotherVersionOfTheBus) {
    const auto port = listen(unix_url());
    agent_.bus_version = 7;
    const auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return !agent_.downs.empty(); }));
    EXPECT_EQ(agent_.downs[0], "rejected by the controller: bus version 7, this controller speaks 1");
    EXPECT_THAT(controller_.events, IsEmpty());
    EXPECT_GE(port->refused(), 1U);
}

TEST_F(Stream, ClosesAConnectionThatSendsNonsenseAndServesTheOthers) {
    const auto port = listen(unix_url());
    const auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    const std::vector<std::string> nonsense = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\n",
        std::string(2U << 20U, 'x'),
        "{\"type\":\"state_begin\"}\n",
        "{\"type\":\"hello\",\"version\":1,\"host\":\"a/b\",\"instance\":\"i\",\"lead\":true}\n",
        std::string(kHello) + kHello,
        std::string(kHello) + "{\"type\":\"guests\",\"guests\":[{}]}\n",
        std::string(kHello) + "{\"type\":\"faults\",\"faults\":" + std::string(1000, '[') + "\n",
    };
    for (const std::string& bytes : nonsense) {
        RawClient client(io_, directory_ / "bus.sock");
        std::thread writer([&] { client.write(bytes); });
        EXPECT_TRUE(wait_for([&] { return client.ended(); })) << bytes.substr(0, 100);
        writer.join();
    }
    EXPECT_THAT(controller_.events, Contains("down raw: said hello twice"));
    EXPECT_TRUE(wait_for([&] { return port->refused() == 5; }));
    EXPECT_TRUE(link->up());
    EXPECT_THAT(agent_.downs, IsEmpty());
}

TEST_F(Stream, SurvivesRandomBytes) {
    const auto port = listen(unix_url());
    std::mt19937 random(1);  // the same every run
    for (int i = 0; i < 200; ++i) {
        std::string bytes = random() % 2 == 0 ? kHello : "";
        for (std::size_t size = 1 + random() % 300; size > 0; --size)
            bytes += static_cast<char>(random());
        RawClient client(io_, directory_ / "bus.sock");
        client.write(bytes + '\n');
        ASSERT_TRUE(wait_for([&] { return client.ended(); })) << i;
    }
    const auto link = connect(unix_url(), agent_);
    EXPECT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
}

TEST_F(Stream, IgnoresMessagesOfALaterRelease) {
    const auto port = listen(unix_url());
    RawClient client(io_, directory_ / "bus.sock");
    client.write(std::string(kHello) + "{\"type\":\"teleport\"}\n{\"type\":\"state_begin\",\"new\":1}\n");
    ASSERT_TRUE(wait_for([&] { return controller_.messages.size() == 1; }));
    EXPECT_TRUE(std::holds_alternative<SnapshotBegin>(controller_.messages[0]));
}

TEST_F(Stream, NoticesADeadPeerWithinThreeSeconds) {
    const auto port = listen(unix_url());
    RawClient client(io_, directory_ / "bus.sock");
    client.write(kHello);
    ASSERT_TRUE(wait_for([&] { return controller_.events.size() == 1; }));
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(wait_for([&] { return controller_.events.size() == 2; }));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
    EXPECT_EQ(controller_.events[1], "down raw: silent for 2800 ms");
}

TEST_F(Stream, KeepsAnIdleConnection) {
    const auto port = listen(unix_url());
    const auto link = connect(unix_url(), agent_);
    run_for(std::chrono::milliseconds(4000));
    EXPECT_TRUE(link->up());
    EXPECT_EQ(agent_.ups, 1);
}

TEST_F(Stream, DoesNotTakeAHangingControllerForOneThatIsUp) {
    // The kernel completes the connection, nobody answers.
    asio::local::stream_protocol::acceptor hanging(io_,
                                                   asio::local::stream_protocol::endpoint(directory_ / "bus.sock"));
    const auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return !agent_.downs.empty(); }));
    EXPECT_EQ(agent_.downs[0], "silent for 2800 ms");
    EXPECT_EQ(agent_.ups, 0);
}

TEST_F(Stream, BothEndsKeepAliveWhenNothingElseIsSent) {
    const auto port = listen(unix_url());
    const auto link = connect(unix_url(), agent_);
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    EXPECT_TRUE(wait_for([&] { return agent_.alive >= 3 && controller_.alive >= 3; }));
    EXPECT_EQ(agent_.ups, 1);
}

TEST_F(Stream, AnswersEachHelloThatItRefuses) {
    const auto port = listen(unix_url());
    const std::map<std::string, std::string> hellos = {
        {R"({"type":"hello","host":"h3","instance":"i","lead":false})", "'version' is missing"},
        {R"({"type":"hello","version":0,"host":"h3"})", "bus version 0, this controller speaks 1"},
        {R"({"type":"hello","version":2,"host":"h3","instance":7})", "bus version 2, this controller speaks 1"},
        {R"({"type":"hello","version":1,"host":"h3","instance":"i","lead":false,"boot":7})", "'boot'"}};
    for (const auto& [hello, reason] : hellos) {
        RawClient client(io_, directory_ / "bus.sock");
        client.write(hello + '\n');
        std::string answer;
        EXPECT_TRUE(wait_for([&] {
            answer += client.read();
            return answer.find(R"("type":"rejected")") != std::string::npos;
        })) << hello;
        EXPECT_THAT(answer, HasSubstr(reason));
    }
    EXPECT_EQ(port->refused(), hellos.size());
    EXPECT_THAT(controller_.events, IsEmpty());
}

TEST_F(Stream, TellsThePeerAfterHowMuchSilenceItIsTakenForGone) {
    TransportOptions options;
    options.silence = base::Millis(700);
    const auto port = listen(unix_url(), {}, options);
    RawClient client(io_, directory_ / "bus.sock");
    client.write(kHello);
    std::string received;
    EXPECT_TRUE(wait_for([&] {
        received += client.read();
        return received.find(R"({"type":"ping","silence_ms":700})") != std::string::npos;
    })) << received;
}

TEST_F(Stream, PingsAsOftenAsThePeerAsksFor) {
    TransportOptions options;
    options.silence = std::chrono::hours(1);  // it would ping every 700 ms by itself
    const auto port = listen(unix_url(), {}, options);
    RawClient client(io_, directory_ / "bus.sock");
    client.write(kHello);
    client.write("{\"type\":\"ping\",\"silence_ms\":150}\n");
    std::size_t pings = 0;
    const auto began = std::chrono::steady_clock::now();
    ASSERT_TRUE(wait_for([&] {
        client.try_write("{\"type\":\"ping\"}\n");
        const std::string received = client.read();
        pings += static_cast<std::size_t>(std::count(received.begin(), received.end(), '\n'));
        return pings > 20;
    }));
    EXPECT_LT(std::chrono::steady_clock::now() - began, 18 * base::Millis(700));
}

TEST_F(Stream, APeerOfAReleaseBeforePromisesNoKeepAlive) {
    const auto port = listen(unix_url());
    RawClient client(io_, directory_ / "bus.sock");
    client.write(kHello);
    client.write("{\"type\":\"ping\"}\n{\"type\":\"guest_gone\",\"guest\":\"g\"}\n");
    ASSERT_TRUE(wait_for([&] { return controller_.messages.size() == 1; }));
    EXPECT_EQ(controller_.alive, 0);
    client.write("{\"type\":\"ping\",\"silence_ms\":900}\n");
    EXPECT_TRUE(wait_for([&] { return controller_.alive > 0; }));
}

TEST_F(Stream, EndsAStrangerThatSaysNoHello) {
    const auto port = listen(unix_url());
    RawClient client(io_, directory_ / "bus.sock");
    ASSERT_TRUE(wait_for([&] {
        client.try_write("{\"type\":\"ping\"}\n");
        return client.ended();
    }));
    EXPECT_TRUE(wait_for([&] { return port->refused() == 1; }));
    EXPECT_THAT(controller_.events, IsEmpty());
}

TEST_F(Stream, DropsAPeerThatDoesNotRead) {
    TransportOptions options;
    options.max_queue = 1U << 20U;
    const auto port = listen(unix_url(), {}, options);
    RawClient client(io_, directory_ / "bus.sock");
    client.write(kHello);
    ASSERT_TRUE(wait_for([&] { return controller_.events.size() == 1; }));
    const Policies policies{
        true, std::vector<model::GuestPolicy>(1000, model::GuestPolicy{base::GuestId("guest"), true, true, 1})};
    ASSERT_TRUE(wait_for([&] {
        client.try_write("{\"type\":\"ping\"}\n");
        port->send(base::HostId("raw"), policies);
        return controller_.events.size() == 2;
    }));
    EXPECT_THAT(controller_.events[1],
                StartsWith("down raw: does not read: more than 1048576 bytes wait for it; dropped "));
    EXPECT_GT(port->dropped(), 0U);
}

TEST_F(Stream, DropsAControllerThatDoesNotReadAndNeverFromWithinSend) {
    TransportOptions options;
    options.max_queue = 10'000;
    const auto port = listen(unix_url());
    const auto link = connect(unix_url(), agent_, {}, options);
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    const std::size_t fit = 10'000 / (encode(ToController(GuestGone{base::GuestId("g")})).size() + 1);
    for (std::size_t i = 0; i < fit; ++i)
        link->send(GuestGone{base::GuestId("g")});
    EXPECT_EQ(link->dropped(), 0U);
    for (int i = 0; i < 1000; ++i)
        link->send(GuestGone{base::GuestId("g")});
    EXPECT_THAT(agent_.downs, IsEmpty());
    ASSERT_TRUE(wait_for([&] { return !agent_.downs.empty(); }));
    EXPECT_EQ(link->dropped(), fit + 1000) << "all that waited, and what came before we were told";
    EXPECT_EQ(agent_.downs[0],
              "does not read: more than 10000 bytes wait for it; dropped " + std::to_string(fit + 1) + " messages");
    EXPECT_TRUE(wait_for([&] { return agent_.ups == 2; })) << "and the next connection starts from nothing";
}

TEST_F(Stream, RefusesUrlsThatCannotWork) {
    const auto error = [&](const std::string& url) {
        const auto link = make_agent_link(io_, url);
        return link ? "accepted" : link.error().message;
    };
    EXPECT_THAT(error("http://x:1"),
                HasSubstr("expected unix:///path, tcp://host:port, tls://host:port, amqp://broker"));
    EXPECT_THAT(error("unix://relative"), HasSubstr("expected unix:///path"));
    EXPECT_THAT(error("tcp://127.0.0.1"), HasSubstr("expected host:port"));
    EXPECT_THAT(error("tcp://127.0.0.1:70000"), HasSubstr("expected host:port"));
    EXPECT_THAT(error("tcp://::1:80"), HasSubstr("expected host:port"));
    EXPECT_THAT(error("tls://controller:1"), HasSubstr("needs a CA file, a certificate and its key"));
    EXPECT_EQ(error("tcp://[::1]:80"), "accepted");
}

TEST_F(Stream, WantsTlsBeyondLoopbackUnlessToldOtherwise) {
    EXPECT_THAT(make_agent_link(io_, "tcp://10.0.0.1:80").error().message,
                HasSubstr("beyond loopback tls:// is expected"));
    EXPECT_THAT(make_controller_port(io_, "tcp://0.0.0.0:80").error().message,
                HasSubstr("beyond loopback tls:// is expected"));
    Access access;
    access.allow_plain_tcp = true;
    EXPECT_TRUE(make_agent_link(io_, "tcp://10.0.0.1:80", access));
}

TEST_F(Stream, SaysWhyItCannotListen) {
    const auto first = listen(unix_url());
    const auto second = make_controller_port(io_, unix_url()).value();
    EXPECT_THAT(second->start(controller_).error().message, HasSubstr("another process listens there"));
    const auto by_name = make_controller_port(io_, "tcp://localhost:0");
    ASSERT_FALSE(by_name);  // known before it starts
    EXPECT_THAT(by_name.error().message, HasSubstr("expected an IP address"));
}

}  // namespace
}  // namespace vitalwire::bus
