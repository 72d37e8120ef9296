#include "cli/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/unit/runtime/http_fixture.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::cli {
namespace {

using runtime::HttpRequest;
using runtime::HttpResponse;
using runtime::RunningServer;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

constexpr const char* kNobody = "http://127.0.0.1:1";

runtime::HttpServer::Handler says(const std::string& who) {
    return [who](const HttpRequest& request) {
        return HttpResponse{200, "application/json", R"({"who":")" + who + R"(","path":")" + request.path + "\"}"};
    };
}

class ClientTest : public testing::Test {
protected:
    Client client() {
        return {io_, options_, [this](const std::string& note) { notes_.push_back(note); }};
    }
    static std::string who(const base::Result<nlohmann::json>& answer) {
        return answer ? answer->at("who").get<std::string>() : answer.error().message;
    }

    boost::asio::io_context io_{1};
    Options options_;
    std::vector<std::string> notes_;
    test::TempDir directory_;
};

TEST_F(ClientTest, AsksAController) {
    const RunningServer server(says("controller"));
    options_.controllers = {server.url()};
    options_.controllers_chosen = true;
    Client asking = client();
    EXPECT_EQ(asking.get("/v1/guests").value().at("path"), "/v1/guests");
    EXPECT_EQ(asking.source(), server.url());
    EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(ClientTest, SendsItsTokenToAController) {
    const RunningServer server([](const HttpRequest& request) {
        return HttpResponse{200, "application/json", R"({"who":")" + request.authorization + "\"}"};
    });
    options_.controllers = {server.url()};
    options_.controllers_chosen = true;
    options_.token = "s3cret";
    Client asking = client();
    EXPECT_EQ(who(asking.get("/v1/guests")), "Bearer s3cret");
}

TEST_F(ClientTest, ARefusalIsAnAnswerAndNobodyElseIsAsked) {
    const RunningServer refusing([](const HttpRequest&) {
        return HttpResponse{404, "application/json", R"({"error":"no group 'x'"})"};
    });
    const RunningServer other(says("other"));
    options_.controllers = {refusing.url(), other.url()};
    options_.controllers_chosen = true;
    Client asking = client();
    const auto answer = asking.post("/v1/groups/x/send", "hello");
    EXPECT_EQ(answer.error().code, base::Errc::permission);
    EXPECT_EQ(answer.error().message, "answers 404 no group 'x'");
    EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(ClientTest, TakesTheFirstControllerThatAnswersAndStaysWithIt) {
    const RunningServer server(says("second"));
    options_.controllers = {kNobody, server.url()};
    options_.controllers_chosen = true;
    Client asking = client();
    EXPECT_EQ(who(asking.get("/v1/status")), "second");
    EXPECT_EQ(who(asking.get("/v1/status")), "second");
    EXPECT_THAT(notes_, ElementsAre(AllOf(StartsWith(kNobody), HasSubstr("; asking " + server.url()))));
}

TEST_F(ClientTest, PassesOverASocketThatADeadControllerHasLeft) {
    {
        const RunningServer killed(says("first"), "unix:" + directory_ / "first.sock");
        std::filesystem::create_hard_link(directory_ / "first.sock", directory_ / "left.sock");
    }
    const RunningServer server(says("second"));
    options_.controllers = {"unix:" + directory_ / "left.sock", server.url()};
    options_.controllers_chosen = true;
    EXPECT_EQ(who(client().get("/v1/status")), "second");
    EXPECT_THAT(notes_, ElementsAre(HasSubstr("; asking " + server.url())));
}

TEST_F(ClientTest, AsksTheAgentWhenNothingWasChosenAndNoControllerAnswers) {
    const RunningServer agent(says("agent"), "unix:" + directory_ / "agent.sock");
    options_.controllers = {kNobody};
    options_.agent = directory_ / "agent.sock";
    EXPECT_EQ(who(client().get("/v1/status")), "agent");
    EXPECT_THAT(notes_, ElementsAre(HasSubstr("; asking " + options_.agent)));
}

TEST_F(ClientTest, DoesNotAskTheAgentWhenAControllerWasChosen) {
    const RunningServer agent(says("agent"), "unix:" + directory_ / "agent.sock");
    options_.controllers = {kNobody};
    options_.controllers_chosen = true;
    options_.agent = directory_ / "agent.sock";
    EXPECT_THAT(who(client().get("/v1/status")), StartsWith(std::string(kNobody) + ": "));
}

TEST_F(ClientTest, NamesEveryoneWhoDidNotAnswerAndWhy) {
    options_.controllers = {kNobody};
    options_.agent = directory_ / "agent.sock";
    const auto answer = client().get("/v1/status");
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().message, AllOf(HasSubstr("http://127.0.0.1:1: cannot connect: Connection refused"),
                                              HasSubstr("agent.sock: No such file or directory")));
}

TEST_F(ClientTest, RefusesAnswersThatAreNotVitalwires) {
    options_.controllers_chosen = true;
    const auto error_of = [&](HttpResponse response) {
        const RunningServer server([response](const HttpRequest&) { return response; });
        options_.controllers = {server.url()};
        const auto answer = client().get("/v1/status");
        return answer ? "accepted" : answer.error().message;
    };
    EXPECT_THAT(error_of({404, "application/json", R"({"error":"no such \u001b page"})"}),
                HasSubstr("answers 404 no such \\x1b page"));
    EXPECT_THAT(error_of({200, "text/html", "<html>hello</html>"}), HasSubstr("the answer is not Vitalwire's"));
    EXPECT_THAT(error_of({200, "application/json", "[1,2]"}), HasSubstr("expected a JSON object"));
    EXPECT_THAT(error_of({503, "text/plain", ""}), HasSubstr("answers 503"));
}

TEST_F(ClientTest, ReadsTheAnswerOfALargeCloud) {
    std::string guests;
    for (int i = 0; i < 20'000; ++i)
        guests += (i == 0 ? "" : ",") + std::string(R"({"guest":"g","state":"registered"})");
    const RunningServer server([&](const HttpRequest&) {
        return HttpResponse{200, "application/json", "{\"guests\":[" + guests + "]}"};
    });
    options_.controllers = {server.url()};
    options_.controllers_chosen = true;
    EXPECT_THAT(client().get("/v1/guests").value().at("guests"), SizeIs(20'000));
}

}  // namespace
}  // namespace vitalwire::cli
