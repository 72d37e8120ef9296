#include "runtime/http/router.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/http/http_list.hpp"

namespace vitalwire::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

using Right = Router::Right;
using Parts = std::vector<std::string>;

Router router(const Router::Tokens& tokens = {}) {
    Router out(tokens);
    const auto says = [](const std::string& text) {
        return [text](const HttpRequest&, const Parts& parts) {
            return HttpResponse{200, "text/plain", text + (parts.empty() ? "" : ' ' + parts[0])};
        };
    };
    out.add("GET", "/healthz", Right::everybody, says("alive"));
    out.add("GET", "/v1/groups", Right::reader, says("groups"));
    out.add("GET", "/v1/groups/*", Right::reader, says("group"));
    out.add("POST", "/v1/groups/*/send", Right::operators, says("send"));
    return out;
}

HttpRequest request(const std::string& method, const std::string& path, const std::string& peer = "unix") {
    HttpRequest out;
    out.method = method;
    out.path = path;
    out.peer = peer;
    return out;
}

TEST(Router, FindsThePageAndItsParts) {
    EXPECT_EQ(router()(request("GET", "/v1/groups")).body, "groups");
    EXPECT_EQ(router()(request("GET", "/v1/groups/g 1")).body, "group g 1");
    EXPECT_EQ(router()(request("POST", "/v1/groups/g1/send")).body, "send g1");
}

TEST(Router, NamesThePagesAndMethodsThatThereAre) {
    const auto lost = router()(request("GET", "/v2"));
    EXPECT_EQ(lost.status, 404);
    EXPECT_THAT(lost.body, HasSubstr("there are /healthz /v1/groups /v1/groups/* POST /v1/groups/*/send"));
    EXPECT_EQ(router()(request("GET", "/v1/groups/")).status, 404);
    EXPECT_EQ(router()(request("GET", "/v1/groups/a/b")).status, 404);
    const auto wrong = router()(request("DELETE", "/v1/groups/g1"));
    EXPECT_EQ(wrong.status, 405);
    EXPECT_THAT(wrong.headers, ElementsAre(Pair("Allow", "GET, HEAD")));
    EXPECT_THAT(router()(request("GET", "/v1/groups/g1/send")).headers, ElementsAre(Pair("Allow", "POST")));
}

TEST(Router, LetsOnlyTheUnixSocketActWithoutTokens) {
    for (const char* peer : {"127.0.0.1", "127.8.8.8", "::1", "10.0.0.1", "unknown"}) {
        EXPECT_EQ(router()(request("GET", "/v1/groups", peer)).status, 200) << peer;
        EXPECT_EQ(router()(request("POST", "/v1/groups/g1/send", peer)).status, 403) << peer;
    }
}

TEST(Router, TakesTokensOverTcp) {
    const Router with = router({"read-me", "act-for-me"});
    const auto status = [&](const std::string& method, const std::string& path, const std::string& authorization) {
        HttpRequest one = request(method, path, "127.0.0.1");
        one.authorization = authorization;
        return with(one).status;
    };
    EXPECT_EQ(status("GET", "/healthz", ""), 200);
    for (const char* wrong : {"", "Bearer ", "Bearer read-m", "Bearer read-me2", "Basic read-me", "read-me"}) {
        EXPECT_EQ(status("GET", "/v1/groups", wrong), 401) << wrong;
        EXPECT_EQ(status("POST", "/v1/groups/g1/send", wrong), 401) << wrong;
    }
    EXPECT_EQ(status("GET", "/v1/groups", "Bearer read-me"), 200);
    EXPECT_EQ(status("POST", "/v1/groups/g1/send", "Bearer read-me"), 401);
    EXPECT_EQ(status("GET", "/v1/groups", "Bearer act-for-me"), 200);
    EXPECT_EQ(status("POST", "/v1/groups/g1/send", "Bearer act-for-me"), 200);
    EXPECT_EQ(with(request("POST", "/v1/groups/g1/send")).status, 200) << "the UNIX socket needs none";
}

TEST(Router, RejectsWhatAWebPageSends) {
    HttpRequest forged = request("POST", "/v1/groups/g1/send");
    forged.from_web_page = true;
    EXPECT_EQ(router()(forged).status, 403);
    EXPECT_THAT(router()(forged).body, HasSubstr("web pages"));
}

std::string whole(HttpResponse response) {
    while (response.more && response.more(response.body)) {
    }
    return response.body;
}

HttpResponse numbers(std::size_t count, std::size_t limit) {
    return list_reply("numbers", limit, [count, next = std::size_t{0}]() mutable -> std::optional<ListEntry> {
        if (next == count) return std::nullopt;
        ++next;
        return ListEntry{"after \"" + std::to_string(next) + '"', std::to_string(next)};
    });
}

TEST(HttpList, ListsAllOrAPage) {
    EXPECT_EQ(whole(numbers(0, 0)), "{\"numbers\":[]}\n");
    EXPECT_EQ(whole(numbers(3, 0)), "{\"numbers\":[1,2,3]}\n");
    EXPECT_EQ(whole(numbers(3, 2)), "{\"numbers\":[1,2],\"next\":\"after \\\"2\\\"\"}\n");
    EXPECT_EQ(whole(numbers(3, 3)), "{\"numbers\":[1,2,3]}\n") << "nothing comes after it";
}

TEST(HttpList, IsMadeInPieces) {
    auto response = numbers(100'000, 0);
    std::size_t longest = 0;
    std::string piece = std::move(response.body);
    while (response.more(piece)) {
        longest = std::max(longest, piece.size());
        piece.clear();
    }
    EXPECT_LT(longest, 40'000U);
}

TEST(HttpList, TakesANumberAsLimit) {
    const auto limit = [](const std::string& query) {
        HttpRequest one;
        one.query = query;
        return list_limit(one);
    };
    EXPECT_TRUE(limit("").valid);
    EXPECT_EQ(limit("").entries, 0U);
    EXPECT_EQ(limit("limit=100000").entries, 100'000U);
    for (const char* bad : {"limit=0", "limit=-1", "limit=1x", "limit=100001", "limit=99999999999999999999"})
        EXPECT_FALSE(limit(bad).valid) << bad;
}

}  // namespace
}  // namespace vitalwire::runtime
