#include "runtime/http/http_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/log.hpp"
#include "runtime/http/router.hpp"
#include "tests/unit/runtime/http_fixture.hpp"

namespace vitalwire::runtime {
namespace {

namespace asio = boost::asio;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

HttpResponse echo(const HttpRequest& request) {
    return {
        200, "text/plain",
        request.method + '|' + request.path + '|' + request.query_value("q") + '|' + request.body + '|' + request.peer};
}

std::string get(unsigned short port, const std::string& target) {
    return talk(port, "GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

std::mutex g_denied_mutex;
std::vector<std::string> g_denied;

TEST(HttpServer, CountsAndLogsRequestsThatItDenies) {
    log::set_backend([](log::Level, std::string_view line) {
        const std::lock_guard lock(g_denied_mutex);
        if (line.find("denied") != std::string_view::npos) g_denied.emplace_back(line);
    });
    {
        Router router{Router::Tokens{"", "secret"}};
        router.add("POST", "/act", Router::Right::operators, [](const auto&, const auto&) { return HttpResponse{}; });
        RunningServer server(router);
        for (int i = 0; i < 50; ++i)
            talk(server.port(),
                 "POST /act HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer guess\r\nConnection: close\r\n\r\n");
        EXPECT_EQ(server.denied(), 50U);
        talk(server.port(),
             "POST /act HTTP/1.1\r\nHost: a\r\nOrigin: http://evil\r\nAuthorization: Bearer secret\r\nConnection: "
             "close\r\n\r\n");
        EXPECT_EQ(server.denied(), 51U);
        talk(server.port(),
             "POST /act HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\nConnection: close\r\n\r\n");
        EXPECT_EQ(server.denied(), 51U);
    }
    log::set_backend([](log::Level, std::string_view) {});
    ASSERT_GE(g_denied.size(), 1U);
    EXPECT_LE(g_denied.size(), 2U);
    EXPECT_THAT(g_denied.front(), HasSubstr("127.0.0.1"));
}

TEST(HttpServer, GivesTheHandlerTheWholeRequest) {
    RunningServer server(echo);
    EXPECT_THAT(talk(server.port(),
                     "PUT /a%20b/c?x=1&q=one%2Ftwo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                     "Connection: close\r\n\r\nhi"),
                EndsWith("\r\n\r\nPUT|/a b/c|one/two|hi|127.0.0.1"));
}

TEST(HttpServer, GivesAnEmptyStringForAValueThatIsNotThere) {
    RunningServer server(echo);
    EXPECT_THAT(get(server.port(), "/a?qq=1&r"), EndsWith("GET|/a|||127.0.0.1"));
    EXPECT_THAT(get(server.port(), "/a?q"), EndsWith("GET|/a|||127.0.0.1"));
    EXPECT_THAT(get(server.port(), "/a?q=%zz"), EndsWith("GET|/a|||127.0.0.1"));
}

TEST(HttpServer, AnswersRequestsOfOneConnectionInOrder) {
    RunningServer server(echo);
    const std::string answers = talk(server.port(),
                                     "GET /first HTTP/1.1\r\nHost: x\r\n\r\n"
                                     "GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_LT(answers.find("GET|/first"), answers.find("GET|/second"));
    EXPECT_THAT(answers, HasSubstr("GET|/second"));
}

TEST(HttpServer, AnAnswerMayComeLaterAndHoldsNobodyUp) {
    HttpServer::Respond waiting;
    RunningServer server([&waiting](const HttpRequest& request, HttpServer::Respond respond) {
        if (request.path == "/later") {
            waiting = std::move(respond);
            return;
        }
        respond({200, "text/plain", "now"});
        if (waiting) std::exchange(waiting, nullptr)({200, "text/plain", "later"});
    });
    auto later = std::async(std::launch::async, [&] { return get(server.port(), "/later"); });
    do {
        EXPECT_THAT(get(server.port(), "/now"), EndsWith("\r\n\r\nnow"));
    } while (later.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready);
    EXPECT_THAT(later.get(), EndsWith("\r\n\r\nlater"));
}

TEST(HttpServer, WhatWaitsForALateAnswerIsNotClosedForOthersAndIsBoundedBySource) {
    // Both ends of each are in this process.
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 8192);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur < 4096) GTEST_SKIP() << "too few files may be open";
    constexpr std::size_t kOfOneSource = 768;
    std::vector<HttpServer::Respond> waiting;
    std::atomic<std::size_t> asked = 0;
    RunningServer server([&](const HttpRequest& request, HttpServer::Respond respond) {
        if (request.path == "/now") {
            respond({200, "text/plain", "now"});
            for (auto& each : std::exchange(waiting, {}))
                each({200, "text/plain", "later"});
        } else if (!request.may_wait) {
            respond({503, "text/plain", "too many"});
        } else {
            waiting.push_back(std::move(respond));
            ++asked;
        }
    });
    boost::asio::io_context io;
    const auto connect = [&] {
        boost::asio::ip::tcp::socket socket(io);
        socket.connect({boost::asio::ip::address_v4::loopback(), server.port()});
        return socket;
    };
    const auto send = [](auto& socket, const std::string& request) {
        boost::asio::write(socket, boost::asio::buffer(request));
    };
    const std::string later = "GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    std::vector<boost::asio::ip::tcp::socket> votes;
    while (votes.size() < kOfOneSource) {
        votes.push_back(connect());
        send(votes.back(), later);
        while (asked < votes.size())
            std::this_thread::yield();
    }
    EXPECT_THAT(get(server.port(), "/later"), StartsWith("HTTP/1.1 503"));
    std::vector<boost::asio::ip::tcp::socket> flood;
    while (flood.size() < 300) {
        flood.push_back(connect());
        send(flood.back(), "GET /n");
    }
    EXPECT_THAT(get(server.port(), "/now"), EndsWith("\r\n\r\nnow"));
    std::size_t answered = 0;
    for (auto& vote : votes) {
        std::string answer;
        boost::system::error_code error;
        boost::asio::read(vote, boost::asio::dynamic_buffer(answer), error);
        if (answer.ends_with("later")) ++answered;
    }
    EXPECT_EQ(answered, kOfOneSource);
}

TEST(HttpServer, AnswersWithItsTime) {
    RunningServer server(echo);
    const auto before = base::WallTime::clock::to_time_t(base::WallTime::clock::now());
    const std::string answer = get(server.port(), "/a");
    const auto after = base::WallTime::clock::to_time_t(base::WallTime::clock::now());
    const std::size_t begin = answer.find("Date: ");
    ASSERT_NE(begin, std::string::npos) << answer;
    std::tm fields{};
    ASSERT_NE(strptime(answer.c_str() + begin, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &fields), nullptr) << answer;
    EXPECT_GE(timegm(&fields), before);
    EXPECT_LE(timegm(&fields), after);
}

TEST(HttpServer, AnswersHeadWithoutABody) {
    RunningServer server(echo);
    const std::string answer = talk(server.port(), "HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(answer, HasSubstr("Content-Length: 18"));
    EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST(HttpServer, RefusesWhatIsTooLarge) {
    RunningServer server(echo);
    EXPECT_THAT(get(server.port(), '/' + std::string(20'000, 'a')), StartsWith("HTTP/1.1 431"));
    EXPECT_THAT(talk(server.port(), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"),
                StartsWith("HTTP/1.1 413"));
}

TEST(HttpServer, RefusesWhatIsNoRequest) {
    RunningServer server(echo);
    for (const char* bad :
         {"\n{\"version\":2}\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02garbage\r\n\r\n",
          "GET / HTTP/1.1\r\nbad header\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
        EXPECT_THAT(talk(server.port(), bad), StartsWith("HTTP/1.1 400")) << bad;
    }
    EXPECT_THAT(get(server.port(), "/%zz"), StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(get(server.port(), "/%00"), StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(get(server.port(), "*"), StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(get(server.port(), "/ok"), StartsWith("HTTP/1.1 200")) << "others are served all the same";
}

TEST(HttpServer, SurvivesRandomBytes) {
    RunningServer server(echo);
    std::mt19937 random(1);  // the same every run
    for (int i = 0; i < 300; ++i) {
        std::string bytes = random() % 2 == 0 ? "GET /" : "";
        for (std::size_t size = random() % 200; size > 0; --size)
            bytes += static_cast<char>(random());
        talk(server.port(), bytes);
    }
    EXPECT_THAT(get(server.port(), "/ok"), StartsWith("HTTP/1.1 200"));
}

/// `count` connections that have each sent `bytes` and wait.
std::vector<asio::ip::tcp::socket> held_connections(asio::io_context& io, unsigned short port, int count,
                                                    const std::string& bytes) {
    std::vector<asio::ip::tcp::socket> held;
    for (int i = 0; i < count; ++i) {
        held.emplace_back(io).connect({asio::ip::address_v4::loopback(), port});
        boost::system::error_code closed_for_a_newer_one;
        asio::write(held.back(), asio::buffer(bytes), closed_for_a_newer_one);
    }
    return held;
}

TEST(HttpServer, AnswersAtOnceHoweverManyConnectionsWait) {
    RunningServer server(echo);
    asio::io_context io;
    for (const char* begun :
         {"", "GET /healthz HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"}) {
        const auto held = held_connections(io, server.port(), 400, begun);
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_THAT(get(server.port(), "/x"), StartsWith("HTTP/1.1 200")) << begun;
        EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2)) << begun;
    }
}

TEST(HttpServer, ClosesAConnectionWhoseHeaderDoesNotCome) {
    RunningServer server(echo);
    asio::io_context io;
    auto held = held_connections(io, server.port(), 1, "GET / HTTP/1.1\r\n");
    const auto begin = std::chrono::steady_clock::now();
    std::string answer;
    boost::system::error_code error;
    asio::read(held[0], asio::dynamic_buffer(answer), error);
    EXPECT_EQ(answer, "");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

/// Three pieces, the second of them empty.
HttpResponse in_pieces(const HttpRequest&) {
    HttpResponse response{200, "text/plain", "one "};
    response.more = [count = 0](std::string& piece) mutable {
        if (count == 0) piece += "two ";
        if (count == 2) piece += "three";
        return ++count < 3;
    };
    return response;
}

TEST(HttpServer, SendsABodyInPieces) {
    RunningServer server(in_pieces);
    EXPECT_THAT(get(server.port(), "/"), EndsWith("\r\n\r\n8\r\none two \r\n5\r\nthree\r\n0\r\n\r\n"));
    EXPECT_THAT(talk(server.port(), "GET / HTTP/1.0\r\n\r\n"), EndsWith("\r\n\r\none two three"));
    const std::string two = talk(server.port(),
                                 "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
                                 "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(two, HasSubstr("\r\n\r\nHTTP/1.1 200"));
    EXPECT_THAT(two, EndsWith("three\r\n0\r\n\r\n"));
}

TEST(HttpServer, MakesNoPieceForAClientThatDoesNotRead) {
    std::atomic<int> pieces = 0;
    RunningServer server([&](const HttpRequest&) {
        HttpResponse response;
        response.more = [&](std::string& piece) {
            piece.append(1U << 20U, 'x');
            return ++pieces < 1000;
        };
        return response;
    });
    asio::io_context io;
    const auto held = held_connections(io, server.port(), 1, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    EXPECT_LT(pieces, 50);
}

/// Never ends; a piece each millisecond.
HttpResponse with_pauses(const HttpRequest&) {
    HttpResponse response{200, "text/event-stream", ""};
    response.pause = base::Millis(1);
    response.more = [](std::string& piece) {
        piece += "piece\n";
        return true;
    };
    return response;
}

TEST(HttpServer, SendsPiecesWithPausesAsLongAsTheClientReads) {
    RunningServer server(with_pauses);
    asio::io_context io;
    auto held = held_connections(io, server.port(), 1, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    std::string answer;
    asio::read(held[0], asio::dynamic_buffer(answer), asio::transfer_at_least(1000));
    EXPECT_THAT(answer, HasSubstr("6\r\npiece\n\r\n6\r\npiece\n\r\n"));
}

TEST(HttpServer, WaitsBetweenPieces) {
    std::atomic<int> pieces = 0;
    RunningServer server([&](const HttpRequest&) {
        HttpResponse response;
        response.pause = std::chrono::hours(1);
        response.more = [&](std::string& piece) {
            piece += "first";
            return ++pieces < 1000;
        };
        return response;
    });
    asio::io_context io;
    auto held = held_connections(io, server.port(), 2, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    for (auto& connection : held) {
        std::string answer;
        asio::read_until(connection, asio::dynamic_buffer(answer), "first");
    }
    EXPECT_EQ(pieces, 2) << "one for each connection";
}

TEST(HttpServer, ClosesConnectionsThatWaitBetweenPiecesForNewerOnes) {
    RunningServer server([](const HttpRequest& request) {
        if (request.path == "/x") return echo(request);
        HttpResponse response{200, "text/plain", "begun"};
        response.pause = std::chrono::hours(1);
        response.more = [](std::string&) { return true; };
        return response;
    });
    asio::io_context io;
    const auto held = held_connections(io, server.port(), 400, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(get(server.port(), "/x"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, ListensOnSeveralAddresses) {
    asio::io_context io;
    HttpServer server(io, echo);
    ASSERT_TRUE(server.listen("127.0.0.1:0"));
    ASSERT_TRUE(server.listen("127.0.0.2:0"));
    EXPECT_THAT(server.address(), testing::MatchesRegex("127.0.0.1:[0-9]+ 127.0.0.2:[0-9]+"));
}

TEST(HttpServer, WaitsForAnAddressThatIsNotThereYet) {
    asio::io_context io;
    HttpServer server(io, echo);
    ASSERT_TRUE(server.listen("192.0.2.7:0"));
    EXPECT_THAT(server.problem(), HasSubstr("cannot listen on 192.0.2.7:0: Cannot assign requested address"));
    ASSERT_TRUE(server.listen("127.0.0.1:0"));
    server.stop();
}

TEST(HttpServer, SaysWhyItCannotListen) {
    RunningServer first(echo);
    asio::io_context io;
    HttpServer server(io, echo);
    const auto error = [&](const std::string& address) {
        const auto result = server.listen(address);
        return result ? "listens" : result.error().message;
    };
    EXPECT_THAT(error("127.0.0.1:" + std::to_string(first.port())), HasSubstr("Address already in use"));
    EXPECT_THAT(error("nonsense"), HasSubstr("expected host:port"));
    EXPECT_THAT(error("::1:80"), HasSubstr("expected host:port"));
    EXPECT_THAT(error("127.0.0.1:99999"), HasSubstr("expected host:port"));
    EXPECT_THAT(error("example.org:80"), HasSubstr("expected an IP address"));
    EXPECT_THAT(error("unix:/nonexistent/x.sock"), HasSubstr("No such file"));
    EXPECT_THAT(error("unix:" + std::string(200, 'x')), HasSubstr("at most 107 bytes"));
}

class HttpServerUnix : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "vitalwire-http-XXXXXX";
        directory_ = mkdtemp(name.data());
        path_ = directory_ + "/http.sock";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    bool answers() const {
        asio::io_context io;
        asio::local::stream_protocol::socket socket(io);
        boost::system::error_code error;
        socket.connect(asio::local::stream_protocol::endpoint(path_), error);
        asio::write(socket, asio::buffer(std::string("GET /u HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")),
                    error);
        std::string answer;
        asio::read(socket, asio::dynamic_buffer(answer), error);
        return answer.ends_with("GET|/u|||unix");
    }

    std::string directory_;
    std::string path_;
};

TEST_F(HttpServerUnix, ServesOnASocketOfTheGroupAndRemovesItAtTheEnd) {
    {
        RunningServer server(echo, "unix:" + path_);
        EXPECT_TRUE(answers());
        struct stat status {};
        ASSERT_EQ(stat(path_.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777U, 0660U);
    }
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(HttpServerUnix, ReplacesASocketThatAKilledProcessLeft) {
    {
        asio::io_context io;
        asio::local::stream_protocol::acceptor left(io, asio::local::stream_protocol::endpoint(path_));
    }
    ASSERT_TRUE(std::filesystem::exists(path_));
    RunningServer server(echo, "unix:" + path_);
    EXPECT_TRUE(answers());
}

TEST_F(HttpServerUnix, LeavesALivingProcessAndAStrangersFileAlone) {
    RunningServer server(echo, "unix:" + path_);
    asio::io_context io;
    HttpServer second(io, echo);
    EXPECT_THAT(second.listen("unix:" + path_).error().message, HasSubstr("another process listens there"));
    EXPECT_TRUE(answers());

    std::ofstream(directory_ + "/file") << "precious";
    EXPECT_THAT(second.listen("unix:" + directory_ + "/file").error().message, HasSubstr("a file that is no socket"));
    EXPECT_TRUE(std::filesystem::exists(directory_ + "/file"));
}

}  // namespace
}  // namespace vitalwire::runtime
