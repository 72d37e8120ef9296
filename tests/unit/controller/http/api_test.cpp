#include "controller/http/api.hpp"

#include <gmock/gmock.h>

#include <set>

#include "tests/unit/controller/support/controller_fixture.hpp"

namespace vitalwire::controller {
namespace {

using model::Fault;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::EndsWith;
using testing::Gt;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Ne;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;

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

TEST_F(ApiTest, FindsGuestsByStateAndByPartOfAName) {
    inventory(
        "[guest vm-1]\nname = Web\nhost = compute-1\n[guest vm-2]\nname = db\nhost = compute-2\n"
        "[guest far]\nhost = compute-10\n");
    start();
    const auto one = welcomed_agent();
    model::GuestReport report;
    report.guest = base::GuestId("vm-1");
    report.state = "registered";
    one->send(bus::Guests{{report}});
    ASSERT_TRUE(loop.until([&] { return get("/v1/status")["guests"]["registered"] == 1; }));
    const auto found = [&](const std::string& query) {
        std::vector<std::string> ids;
        const json guests = get("/v1/guests", query)["guests"];
        for (const json& guest : guests)
            ids.push_back(guest["guest"]);
        return ids;
    };
    EXPECT_THAT(found("match=wEb"), ElementsAre("vm-1"));
    EXPECT_THAT(found("match=compute-2"), ElementsAre("vm-2"));
    EXPECT_THAT(found("match=vm"), ElementsAre("vm-2", "vm-1"));
    EXPECT_THAT(found("match=vm&state=registered"), ElementsAre("vm-1"));
    EXPECT_THAT(found("state=lost"), ElementsAre());
    EXPECT_THAT(found("match=compute-1"), ElementsAre("far", "vm-1"));
    EXPECT_THAT(found("host=compute-1"), ElementsAre("vm-1"));
    EXPECT_THAT(found("host=compute-10"), ElementsAre("far"));
    EXPECT_EQ(get("/v1/guests/vm-1")["hosts"], json({"compute-1"}));
    EXPECT_EQ(get("/v1/guests/vm-2")["hosts"], json::array());
    get("/v1/guests/vm-3", "", 404);
}

TEST_F(ApiTest, ShowsTheFaultsOfOneGuestTheNewestFirst) {
    start();
    const auto one = welcomed_agent();
    Fault later = open_fault("vm-1", "f3");
    later.kind = model::FaultKind::unhealthy;
    later.opened_at = f1.opened_at + std::chrono::seconds(1);
    one->send(bus::Faults{{f1, open_fault("vm-2", "f2"), later}});
    ASSERT_TRUE(loop.until([&] { return get("/v1/faults")["faults"].size() == 3; }));
    const json faults = get("/v1/faults", "guest=vm-1&newest=1")["faults"];
    ASSERT_EQ(faults.size(), 2U);
    EXPECT_EQ(faults[0]["id"], "f3");
    const json rest = get("/v1/faults", "guest=vm-1&newest=1&after=f3")["faults"];
    ASSERT_EQ(rest.size(), 1U);
    EXPECT_EQ(rest[0]["id"], "f1");
}

TEST_F(ApiTest, ListsFaultsOfATimeByItsOwnClock) {
    start();
    const auto one = welcomed_agent();
    const auto send = [&](const char* id, std::chrono::hours ahead, std::size_t known) {
        Fault fault = open_fault("vm-" + std::string(id), id);
        fault.revision = 2;
        fault.opened_at = fault.updated_at = std::chrono::system_clock::now() + ahead;
        fault.cleared_at = fault.opened_at - std::chrono::hours(48);
        one->send(bus::Faults{{fault}});
        ASSERT_TRUE(loop.until([&] { return get("/v1/faults", "all=1")["faults"].size() == known; }));
    };
    send("first", std::chrono::hours(24), 1);
    send("second", std::chrono::hours(-24), 2);
    send("third", std::chrono::hours(0), 3);
    const auto ids = [&](const std::string& query) {
        std::vector<std::string> out;
        const json found = get("/v1/faults", "all=1&" + query)["faults"];
        for (const json& fault : found)
            out.push_back(fault["id"]);
        return out;
    };
    const auto now = std::chrono::system_clock::now();
    const auto at = [](base::WallTime time) { return base::to_iso8601(time); };
    const json second = get("/v1/faults/second");
    const auto just_after = base::from_iso8601(second["received_at"]) + std::chrono::microseconds(1);
    EXPECT_LT(std::chrono::abs(now - just_after), std::chrono::minutes(1));
    EXPECT_THAT(ids("since=" + at(now - std::chrono::minutes(10))), ElementsAre("first", "second", "third"));
    EXPECT_THAT(ids("until=" + at(now - std::chrono::minutes(10))), IsEmpty());
    EXPECT_THAT(ids("since=" + second["changed_at"].get<std::string>()), ElementsAre("second", "third"));
    EXPECT_THAT(ids("until=" + at(just_after)), ElementsAre("first", "second"));
    EXPECT_THAT(ids("newest=1&limit=2"), ElementsAre("third", "second"));
    EXPECT_THAT(ids("newest=1&limit=2&after=second"), ElementsAre("first"));
    EXPECT_EQ(get("/v1/faults", "since=yesterday", 400)["error"],
              "since: expected a time like 2026-03-01T04:05:06.000000Z");
}

TEST_F(ApiTest, ShowsOpenFaultsTheWorstFirst) {
    start();
    const auto one = welcomed_agent();
    Fault unhealthy = open_fault("vm-2", "f2");
    unhealthy.kind = model::FaultKind::unhealthy;
    unhealthy.opened_at = f1.opened_at + std::chrono::seconds(2);
    Fault later = open_fault("vm-3", "f3");
    later.opened_at = f1.opened_at + std::chrono::seconds(1);
    Fault over = open_fault("vm-4", "f4");
    over.revision = 2;
    over.cleared_at = over.opened_at;
    one->send(bus::Faults{{f1, unhealthy, later, over}});
    ASSERT_TRUE(loop.until([&] { return get("/v1/faults", "all=1")["faults"].size() == 4; }));
    std::vector<std::string> ids;
    for (std::string after; ids.size() < 9;) {
        const json page = get("/v1/faults", "open=1&worst=1&limit=1&after=" + after);
        ASSERT_EQ(page["faults"].size(), 1U);
        after = ids.emplace_back(page["faults"][0]["id"]);
        if (!page.contains("next")) break;
    }
    EXPECT_THAT(ids, ElementsAre("f3", "f1", "f2"));
}

TEST_F(ApiTest, ListsGuestsOfOneKindOfCoverage) {
    inventory("[guest vm-1]\nheartbeat = yes\nhost = compute-1\n[guest vm-2]\nheartbeat = yes\nstate = stopped\n");
    start();
    const json uncovered = get("/v1/coverage", "only=uncovered");
    ASSERT_EQ(uncovered["guests"].size(), 1U);
    EXPECT_EQ(uncovered["guests"][0]["guest"], "vm-1");
    EXPECT_EQ(uncovered["counts"]["inhibited"], 1);
    EXPECT_EQ(get("/v1/coverage", "limit=1")["guests"].size(), 1U);
    EXPECT_EQ(get("/v1/status")["coverage"], uncovered["counts"]);
}

TEST_F(ApiTest, SendsAnEventWhenAndOnlyWhenSomethingChanged) {
    start();
    const auto one = welcomed_agent();
    runtime::HttpRequest request;
    request.method = "GET";
    request.path = "/v1/events";
    const auto response = make_router(controller->api())(request);
    EXPECT_EQ(response.content_type, "text/event-stream");
    EXPECT_EQ(response.pause, base::Millis(1000)) << "more than one event a second helps nobody";
    const auto next = [&] {
        std::string piece;
        EXPECT_TRUE(response.more(piece));
        return piece;
    };
    const std::string first = next();
    EXPECT_THAT(first, StartsWith("event: changed\ndata: {\"faults\":"));
    EXPECT_THAT(first, EndsWith("}\n\n"));
    EXPECT_EQ(next(), "");
    one->report(f1);
    ASSERT_TRUE(loop.until([&] { return one->confirmed.size() == 1; }));
    EXPECT_THAT(next(), AllOf(StartsWith("event: changed\n"), Ne(first)));
    std::string quiet;
    for (int second = 0; second < 15; ++second)
        quiet += next();
    EXPECT_EQ(quiet, ": nothing has changed\n\n") << "shows that the connection works";
}

TEST_F(ApiTest, ServesAPageThatMayLoadNothingFromElsewhere) {
    start();
    for (const char* path : {"/", "/app.js", "/app.css", "/icon.svg"}) {
        runtime::HttpRequest request;
        request.method = "GET";
        request.path = path;
        const auto response = make_router(controller->api())(request);
        EXPECT_EQ(response.status, 200) << path;
        EXPECT_THAT(response.body, SizeIs(Gt(100))) << path;
        EXPECT_THAT(response.headers, Contains(Pair("Content-Security-Policy", HasSubstr("default-src 'self'"))));
    }
}

}  // namespace
}  // namespace vitalwire::controller
