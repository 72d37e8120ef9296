#include "controller/http/api.hpp"

#include <gmock/gmock.h>

#include <set>

#include "tests/unit/controller/support/controller_fixture.hpp"

namespace vitalwire::controller {
namespace {

using testing::Each;

class ApiTest : public ControllerTest {};

TEST_F(ApiTest, AnswersOnItsHttpAddress) {
    start();
    runtime::HttpClient client(loop.io);
    std::vector<long> statuses;
    for (const char* path :
         {"/healthz", "/readyz", "/metrics", "/v1/status", "/v1/guests", "/v1/faults", "/v1/agents"}) {
        runtime::HttpClientRequest request;
        request.url = "http://" + controller->http_address() + path;
        client.send(request, [&](const auto& response) { statuses.push_back(response ? response->status : -1); });
    }
    ASSERT_TRUE(loop.until([&] { return statuses.size() == 7; }));
    EXPECT_THAT(statuses, Each(200));
}

TEST_F(ApiTest, RefusesOtherPagesAndMethods) {
    start();
    get("/v2", "", 404);
    runtime::HttpRequest post;
    post.method = "POST";
    post.path = "/v1/faults";
    EXPECT_EQ(make_router(controller->api())(post).status, 405);
}

TEST_F(ApiTest, GivesGuestsAndFaultsInPages) {
    inventory("[guest u1]\n[guest u2]\n");
    start();
    const auto one = welcomed_agent();
    std::vector<std::string> ids;
    std::string after;
    do {
        const json page = get("/v1/guests", "limit=1" + (after.empty() ? "" : "&after=" + after));
        ASSERT_EQ(page["guests"].size(), 1U);
        ids.push_back(page["guests"][0]["guest"]);
        after = page.value("next", "");
    } while (!after.empty() && ids.size() < 10);
    EXPECT_EQ(ids.size(), get("/v1/guests")["guests"].size());
    EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
    get("/v1/faults", "limit=0", 400);
    get("/v1/guests", "limit=many", 400);
}

}  // namespace
}  // namespace vitalwire::controller
