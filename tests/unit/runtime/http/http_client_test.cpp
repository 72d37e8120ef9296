#include "runtime/http/http_client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <optional>
#include <vector>

#include "tests/unit/runtime/http_fixture.hpp"

namespace vitalwire::runtime {
namespace {

namespace asio = boost::asio;
using base::Errc;
using base::Millis;
using testing::HasSubstr;
using tcp = asio::ip::tcp;

HttpResponse repeat(const HttpRequest& request) {
    return {request.path == "/missing" ? 404 : 200, "text/plain",
            request.method + '|' + request.path + '|' + request.body};
}

class HttpClientTest : public testing::Test {
protected:
    using Answer = base::Result<HttpClientResponse>;

    Answer send(HttpClientRequest request) {
        std::optional<Answer> answer;
        client_.send(std::move(request), [&](Answer got) { answer = std::move(got); });
        EXPECT_FALSE(answer.has_value()) << "never from within send";
        run_until([&] { return answer.has_value(); });
        return answer ? std::move(*answer) : base::fail(Errc::io, "the test waited in vain");
    }
    void run_until(const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!condition() && std::chrono::steady_clock::now() < deadline) {
            io_.restart();
            io_.run_one_for(Millis(10));
        }
    }
    static HttpClientRequest request(std::string url) {
        HttpClientRequest out;
        out.url = std::move(url);
        return out;
    }

    asio::io_context io_{1};
    HttpClient client_{io_};
};

/// Accepts connections and does with them what the test says.
class Peer {
public:
    explicit Peer(std::function<void(tcp::socket&)> serve)
        : acceptor_(io_, {asio::ip::address_v4::loopback(), 0}), thread_([this, serve = std::move(serve)] {
              tcp::socket socket(io_);
              boost::system::error_code error;
              acceptor_.accept(socket, error);
              if (!error) serve(socket);
          }) {}
    ~Peer() { thread_.join(); }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    std::string url() const { return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) + "/"; }

private:
    asio::io_context io_;
    tcp::acceptor acceptor_;
    std::thread thread_;
};

void wait_for_close(tcp::socket& socket) {
    std::string rest;
    boost::system::error_code error;
    asio::read(socket, asio::dynamic_buffer(rest), error);
}

TEST_F(HttpClientTest, SendsEachMethodWithItsBody) {
    RunningServer server(repeat);
    for (const char* method : {"PUT", "POST", "PATCH", "DELETE"}) {
        HttpClientRequest out = request(server.url() + "/a");
        out.method = method;
        out.body = "hello";
        const Answer answer = send(std::move(out));
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_EQ(answer->status, 200);
        EXPECT_EQ(answer->body, std::string(method) + "|/a|hello");
    }
    EXPECT_EQ(send(request(server.url() + "/a")).value().body, "GET|/a|");
}

TEST_F(HttpClientTest, GivesAnyStatusAndTheHeadersInLowerCase) {
    RunningServer server(repeat);
    const Answer answer = send(request(server.url() + "/missing"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 404);
    EXPECT_EQ(answer->headers.at("content-type"), "text/plain");
}

TEST_F(HttpClientTest, SendsHeadersAndBasicAuthentication) {
    std::string seen;
    Peer peer([&](tcp::socket& socket) {
        boost::system::error_code error;
        asio::read_until(socket, asio::dynamic_buffer(seen), "\r\n\r\n", error);
        asio::write(socket, asio::buffer(std::string("HTTP/1.1 204 No Content\r\n\r\n")), error);
    });
    HttpClientRequest out = request(peer.url());
    out.headers = {{"X-Auth-Token", "t0ken"}, {"X-Empty", ""}};
    out.user_password = "user:pass word";
    EXPECT_EQ(send(std::move(out)).value().status, 204);
    EXPECT_THAT(seen, HasSubstr("\r\nX-Auth-Token: t0ken\r\n"));
    EXPECT_THAT(seen, HasSubstr("\r\nX-Empty:\r\n"));
    EXPECT_THAT(seen, HasSubstr("\r\nAuthorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n"));
}

TEST_F(HttpClientTest, ReusesTheConnection) {
    std::atomic<int> requests = 0;
    Peer peer([&](tcp::socket& socket) {  // one connection only
        std::string buffer;
        while (requests < 3) {
            boost::system::error_code error;
            const std::size_t size = asio::read_until(socket, asio::dynamic_buffer(buffer), "\r\n\r\n", error);
            buffer.erase(0, size);
            ++requests;
            asio::write(socket, asio::buffer(std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), error);
        }
    });
    for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(send(request(peer.url())));
    EXPECT_EQ(requests, 3);
}

TEST_F(HttpClientTest, ManageManyRequestsAtOnce) {
    constexpr int kAtOnce = 200;  // the server takes 256 connections
    RunningServer server(repeat);
    int answers = 0;
    for (int i = 0; i < kAtOnce; ++i) {
        HttpClientRequest out = request(server.url() + "/" + std::to_string(i));
        out.timeout = Millis(20'000);
        client_.send(std::move(out), [&, i](const Answer& answer) {
            if (answer && answer->body == "GET|/" + std::to_string(i) + "|") ++answers;
        });
    }
    run_until([&] { return answers == kAtOnce; });
    EXPECT_EQ(answers, kAtOnce);
}

TEST_F(HttpClientTest, RequestsToOneHostDoNotWaitForEachOther) {
    constexpr std::size_t kAtOnce = 40;
    tcp::acceptor acceptor(io_, {asio::ip::address_v4::loopback(), 0});
    std::vector<tcp::socket> hanging;  // none is answered
    std::function<void()> accept = [&] {
        acceptor.async_accept([&](const boost::system::error_code& error, tcp::socket socket) {
            if (error) return;
            hanging.push_back(std::move(socket));
            accept();
        });
    };
    accept();
    for (std::size_t i = 0; i < kAtOnce; ++i)
        client_.send(request("http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/"),
                     [](const Answer&) {});
    run_until([&] { return hanging.size() == kAtOnce; });
    EXPECT_EQ(hanging.size(), kAtOnce);
    client_.stop();
}

TEST_F(HttpClientTest, TalksToAUnixSocket) {
    const std::string path = testing::TempDir() + "vitalwire-client-" + std::to_string(getpid()) + ".sock";
    RunningServer server(repeat, "unix:" + path);
    HttpClientRequest out = request("http://agent/v1/status");
    out.unix_socket = path;
    EXPECT_EQ(send(std::move(out)).value().body, "GET|/v1/status|");
}

TEST_F(HttpClientTest, SaysThatNobodyListens) {
    unsigned short port = 0;
    {
        asio::io_context io;
        port = tcp::acceptor(io, {asio::ip::address_v4::loopback(), 0}).local_endpoint().port();
    }
    const Answer answer = send(request("http://127.0.0.1:" + std::to_string(port)));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::unavailable);
    EXPECT_EQ(answer.error().message, "cannot connect: Connection refused");
}

TEST_F(HttpClientTest, GivesUpOnAPeerThatDoesNotAnswer) {
    Peer peer(wait_for_close);
    HttpClientRequest out = request(peer.url());
    out.timeout = Millis(50);
    const Answer answer = send(std::move(out));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::timeout);
    EXPECT_EQ(answer.error().message, "no answer within 0.050 s") << "the same each time";
}

TEST_F(HttpClientTest, AStatusIsAnAnswerWhereThatIsAllThatCounts) {
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    for (const std::string& body : {std::string("half"), std::string(90'000, 'x')}) {
        for (const bool closes : {true, false}) {
            Peer peer([&](tcp::socket& socket) {
                std::string request;
                boost::system::error_code error;
                asio::read_until(socket, asio::dynamic_buffer(request), "\r\n\r\n", error);
                asio::write(socket, asio::buffer(head + body), error);
                if (!closes) wait_for_close(socket);
            });
            HttpClientRequest out = request(peer.url());
            out.timeout = Millis(200);
            out.status_only = true;
            const Answer answer = send(std::move(out));
            ASSERT_TRUE(answer) << answer.error().message;
            EXPECT_EQ(answer->status, 200);
        }
    }
}

TEST_F(HttpClientTest, ReportsAPeerThatClosesOrTalksNonsense) {
    for (const char* nonsense : {"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "\n{\"version\":2}\n"}) {
        Peer peer([&](tcp::socket& socket) {
            std::string request;
            boost::system::error_code error;
            asio::read_until(socket, asio::dynamic_buffer(request), "\r\n\r\n", error);
            asio::write(socket, asio::buffer(std::string(nonsense)), error);
        });
        EXPECT_FALSE(send(request(peer.url()))) << nonsense;
    }
}

TEST_F(HttpClientTest, RefusesAnAnswerWithoutEnd) {
    Peer peer([](tcp::socket& socket) {
        const std::string chunk(1U << 20U, 'x');
        boost::system::error_code error;
        asio::write(socket, asio::buffer(std::string("HTTP/1.1 200 OK\r\n\r\n")), error);
        while (!error)
            asio::write(socket, asio::buffer(chunk), error);
    });
    HttpClientRequest out = request(peer.url());
    out.timeout = Millis(20'000);
    const Answer answer = send(std::move(out));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::too_large);
}

TEST_F(HttpClientTest, RefusesWhatWouldForgeAHeader) {
    HttpClientRequest out = request("http://127.0.0.1:1/");
    out.headers = {{"X", "a\r\nY: b"}};
    EXPECT_EQ(send(std::move(out)).error().code, Errc::bad_field);
    EXPECT_EQ(send(request("http://127.0.0.1:1/\r\nX: y")).error().code, Errc::bad_field);
}

TEST_F(HttpClientTest, SpeaksNothingButHttp) {
    EXPECT_EQ(send(request("file:///etc/passwd")).error().code, Errc::config);
    EXPECT_EQ(send(request("no url at all")).error().code, Errc::config);
}

TEST_F(HttpClientTest, CallsNobodyAfterStop) {
    RunningServer server(repeat);
    bool called = false;
    client_.send(request(server.url()), [&](const Answer&) { called = true; });
    io_.run_one_for(Millis(10));
    client_.stop();
    client_.send(request(server.url()), [&](const Answer&) { called = true; });
    io_.restart();
    io_.run_for(Millis(50));
    EXPECT_FALSE(called);
}

TEST_F(HttpClientTest, MayBeStoppedFromACallback) {
    RunningServer server(repeat);
    int answers = 0;
    for (int i = 0; i < 10; ++i) {
        client_.send(request(server.url()), [&](const Answer&) {
            ++answers;
            client_.stop();
        });
    }
    run_until([&] { return answers > 0; });
    io_.restart();
    io_.run_for(Millis(50));
    EXPECT_EQ(answers, 1);
}

TEST_F(HttpClientTest, MaySendAgainFromACallback) {
    RunningServer server(repeat);
    int answers = 0;
    std::function<void()> again = [&] {
        client_.send(request(server.url()), [&](const Answer&) {
            if (++answers < 20) again();
        });
    };
    again();
    run_until([&] { return answers == 20; });
    EXPECT_EQ(answers, 20);
}

}  // namespace
}  // namespace vitalwire::runtime
