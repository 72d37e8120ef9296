#include "controller/openstack/keystone.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "tests/unit/controller/openstack/cloud_server.hpp"
#include "tests/unit/controller/support/loop.hpp"

namespace vitalwire::controller {
namespace {

using nlohmann::json;
using runtime::HttpClientResponse;
using ::testing::HasSubstr;

/// What this unit needs of Keystone and of a service behind it: tokens are numbered, the newest is taken.
class KeystoneTest : public ::testing::Test {
protected:
    KeystoneTest() {
        access.auth_url = url("/v3");
        access.user_name = "vitalwire";
        access.password = "secret";
        access.project_name = "service";
    }

    std::string url(const std::string& path) const { return server.url(path); }

    CloudAnswer answer(const CloudRequest& request) {
        if (request.target != "/v3/auth/tokens") {
            served.push_back(request.target);
            return {request.token == "token-" + std::to_string(tokens) ? 200 : 401};
        }
        asked.push_back(json::parse(request.body));
        if (status != 201) return {status, R"({"error":{"message":"not you","code":401}})", refusal_headers};
        ++tokens;
        json token = {{"issued_at", issued},
                      {"expires_at", expires},
                      {"catalog", json::array({{{"type", "compute"}, {"endpoints", endpoints}}})}};
        return {201, json{{"token", token}}.dump(), {{"X-Subject-Token", "token-" + std::to_string(tokens)}}};
    }
    json endpoint(const std::string& interface, const std::string& region, const std::string& path) const {
        return {{"interface", interface}, {"region_id", region}, {"url", url(path)}};
    }

    base::Result<CloudGrant> token(Keystone& keystone, const std::string& service = "compute") {
        std::optional<base::Result<CloudGrant>> got;
        keystone.with_token(service, [&](base::Result<CloudGrant> grant) { got = std::move(grant); });
        EXPECT_FALSE(got) << "never from within the call";
        EXPECT_TRUE(loop.until([&] { return got.has_value(); }));
        return *got;
    }

    Loop loop;
    CloudServer server{loop.io, [this](const CloudRequest& request) { return answer(request); }};
    runtime::HttpClient http{loop.io};
    CloudAccess access;
    json endpoints = json::array();
    std::string issued = "2026-11-22T06:00:00.000000Z";
    std::string expires = "2026-11-22T07:00:00.000000Z";
    int status = 201;
    std::map<std::string, std::string> refusal_headers;
    int tokens = 0;
    std::vector<json> asked;
    std::vector<std::string> served;
};

TEST_F(KeystoneTest, AsksOnceForManyAndReturnsWhereTheServiceIs) {
    endpoints = {endpoint("internal", "east", "/internal"), endpoint("public", "east", "/v2.1/")};
    Keystone keystone(loop.io, http, access);
    std::vector<std::string> got;
    for (int i = 0; i < 3; ++i)
        keystone.with_token("compute", [&](const auto& grant) { got.push_back(grant->token + " " + grant->endpoint); });
    ASSERT_TRUE(loop.until([&] { return got.size() == 3; }));
    EXPECT_THAT(got, ::testing::Each("token-1 " + url("/v2.1")));
    EXPECT_EQ(token(keystone)->token, "token-1");
    ASSERT_EQ(asked.size(), 1U);
    EXPECT_EQ(asked[0], json::parse(R"({"auth":{
        "identity":{"methods":["password"],"password":{"user":
            {"name":"vitalwire","password":"secret","domain":{"id":"default"}}}},
        "scope":{"project":{"name":"service","domain":{"id":"default"}}}}})"));
}

TEST_F(KeystoneTest, UsesAnApplicationCredential) {
    endpoints = {endpoint("public", "east", "/v2.1")};
    access = {};
    access.auth_url = url("/v3");
    access.application_credential_id = "abc";
    access.application_credential_secret = "s3cret";
    Keystone keystone(loop.io, http, access);
    ASSERT_TRUE(token(keystone));
    EXPECT_EQ(asked[0], json::parse(R"({"auth":{"identity":{"methods":["application_credential"],
        "application_credential":{"id":"abc","secret":"s3cret"}}}})"));
}

TEST_F(KeystoneTest, ChoosesByRegionAndInterface) {
    endpoints = {endpoint("public", "east", "/e"), endpoint("internal", "west", "/w"),
                 endpoint("public", "west", "/p")};
    access.region = "west";
    access.interface = "internal";
    Keystone keystone(loop.io, http, access);
    EXPECT_EQ(token(keystone)->endpoint, url("/w"));
}

TEST_F(KeystoneTest, AnEndpointOfTheConfigurationGoesFirst) {
    access.endpoints["compute"] = "http://nova:8774/v2.1/";
    Keystone keystone(loop.io, http, access);
    EXPECT_EQ(token(keystone)->endpoint, "http://nova:8774/v2.1");
}

TEST_F(KeystoneTest, NamesTheServiceThatTheCatalogLacks) {
    access.region = "west";
    Keystone keystone(loop.io, http, access);
    const auto got = token(keystone, "rca");
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, base::Errc::not_found);
    EXPECT_EQ(got.error().message, "Keystone's catalog has no public endpoint of type 'rca' in region west");
}

TEST_F(KeystoneTest, ChoosesNoneOfTwoRegionsWhateverTheirOrder) {
    const json east = endpoint("public", "east", "/e");
    const json west = endpoint("public", "west", "/w");
    for (const json& order : {json{east, west}, json{west, east}}) {
        endpoints = order;
        Keystone keystone(loop.io, http, access);
        const auto got = token(keystone);
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().message,
                  "Keystone's catalog has a public endpoint of type 'compute' in each of the regions east, west: "
                  "expected region_name to name one");
        access.region = "west";
        Keystone named(loop.io, http, access);
        EXPECT_EQ(token(named)->endpoint, url("/w"));
        access.region.clear();
    }
}

TEST_F(KeystoneTest, ChoosesNoneOfTwoEndpointsOfOneRegion) {
    endpoints = {endpoint("public", "east", "/b"), endpoint("public", "east", "/a")};
    Keystone keystone(loop.io, http, access);
    const auto got = token(keystone);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().message, "Keystone's catalog has more than one public endpoint of type 'compute': " +
                                       url("/a") + ", " + url("/b") + "; expected one, or the key endpoint to name it");
    endpoints = {endpoint("public", "east", "/a/"), endpoint("public", "east", "/a")};
    Keystone same(loop.io, http, access);
    EXPECT_EQ(token(same)->endpoint, url("/a"));
}

TEST_F(KeystoneTest, StaysInTheRegionWhereItFoundTheService) {
    endpoints = {endpoint("public", "east", "/e")};
    Keystone keystone(loop.io, http, access);
    EXPECT_EQ(token(keystone)->endpoint, url("/e"));
    endpoints = {endpoint("public", "west", "/w")};
    keystone.token_rejected("token-1");
    const auto got = token(keystone);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().message,
              "Keystone's catalog had the public endpoint of type 'compute' in region east, and has it in region west "
              "now: expected region_name to name one");
    endpoints = {endpoint("public", "east", "/moved")};
    keystone.token_rejected("token-2");
    EXPECT_EQ(token(keystone)->endpoint, url("/moved"));
}

TEST_F(KeystoneTest, FindsAServiceThatTheCatalogHasSinceTheTokenWasIssued) {
    access.doubt_catalog_after = base::Millis(20);
    Keystone keystone(loop.io, http, access);
    ASSERT_FALSE(token(keystone));
    endpoints = {endpoint("public", "east", "/v2.1")};
    EXPECT_TRUE(loop.until([&] { return token(keystone).has_value(); }));
}

TEST_F(KeystoneTest, FindsAServiceThatHasMovedSinceTheTokenWasIssued) {
    access.doubt_catalog_after = base::Millis(20);
    endpoints = {endpoint("public", "east", "/v2.1")};
    endpoints[0]["url"] = "http://127.0.0.1:1/v2.1";  // nobody listens there
    Keystone keystone(loop.io, http, access);
    const auto served_at = [&] {
        std::optional<bool> got;
        runtime::HttpClientRequest request;
        request.url = "/servers";
        keystone.call("compute", request, [&](const auto& response) { got = response.has_value(); });
        EXPECT_TRUE(loop.until([&] { return got.has_value(); }));
        return *got;
    };
    ASSERT_FALSE(served_at());
    endpoints = {endpoint("public", "east", "/v2.1")};
    EXPECT_TRUE(loop.until(served_at));
}

TEST_F(KeystoneTest, AsksNoMoreOftenForAServiceThatTheCatalogLacks) {
    Keystone keystone(loop.io, http, access);
    for (int i = 0; i < 5; ++i)
        EXPECT_FALSE(token(keystone));
    EXPECT_EQ(asked.size(), 1U) << "the catalog is some milliseconds old";
}

TEST_F(KeystoneTest, RenewsATokenThatEndsSoonWhateverKeystonesClockShows) {
    endpoints = {endpoint("public", "east", "/v2.1")};
    issued = "1999-01-01T00:00:00.000000Z";
    expires = "1999-01-01T00:00:00.000000Z";  // unknown life: some minutes
    Keystone keystone(loop.io, http, access);
    EXPECT_EQ(token(keystone)->token, "token-1");
    EXPECT_EQ(token(keystone)->token, "token-1");
    keystone.token_rejected("token-1");
    issued = "2000-01-01T00:00:00.000000Z";
    expires = "2000-01-01T00:00:00.200000Z";
    EXPECT_EQ(token(keystone)->token, "token-2");
    EXPECT_TRUE(loop.until([&] { return token(keystone)->token == "token-3"; })) << "renewed at half of 0.2 s";
}

TEST_F(KeystoneTest, DropsOnlyTheTokenThatWasRefused) {
    endpoints = {endpoint("public", "east", "/v2.1")};
    Keystone keystone(loop.io, http, access);
    EXPECT_EQ(token(keystone)->token, "token-1");
    keystone.token_rejected("another");
    EXPECT_EQ(token(keystone)->token, "token-1");
}

TEST_F(KeystoneTest, ServesTheOldTokenToItsEndWhileItCannotBeRenewed) {
    endpoints = {endpoint("public", "east", "/v2.1")};
    issued = "2000-01-01T00:00:00.000000Z";
    expires = "2000-01-01T00:00:01.000000Z";  // renewed at half of it
    Keystone keystone(loop.io, http, access);
    EXPECT_EQ(token(keystone)->token, "token-1");
    status = 503;
    ASSERT_TRUE(loop.until([&] {
        const auto got = token(keystone);
        EXPECT_TRUE(got || asked.size() == 2U);
        return asked.size() == 2U;
    }));
    EXPECT_TRUE(loop.until([&] { return !token(keystone); })) << "it has an end";
}

TEST_F(KeystoneTest, RepeatsACallOnceWithANewTokenAfterA401) {
    endpoints = {endpoint("public", "east", "/v2.1")};
    Keystone keystone(loop.io, http, access);
    ASSERT_TRUE(token(keystone));
    tokens = 7;  // token-1 is revoked
    std::optional<long> got;
    runtime::HttpClientRequest request;
    request.url = "/servers";
    keystone.call("compute", request,
                  [&](const base::Result<HttpClientResponse>& response) { got = response ? response->status : 0; });
    ASSERT_TRUE(loop.until([&] { return got.has_value(); }));
    EXPECT_EQ(*got, 200);
    EXPECT_THAT(served, ::testing::ElementsAre("/v2.1/servers", "/v2.1/servers"));
    EXPECT_EQ(asked.size(), 2U);
}

TEST_F(KeystoneTest, ReportsWhyItWasRefusedAndDoesNotHammer) {
    status = 401;
    Keystone keystone(loop.io, http, access);
    for (int i = 0; i < 3; ++i) {
        const auto got = token(keystone);
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().code, base::Errc::permission);
        EXPECT_EQ(got.error().message, "Keystone: HTTP 401: not you");
        EXPECT_THAT(got.error().message, ::testing::Not(HasSubstr("secret")));
    }
    EXPECT_EQ(asked.size(), 1U);
}

TEST_F(KeystoneTest, IsAskedAtOnceWithANewPassword) {
    endpoints = {endpoint("public", "east", "/v2.1")};
    status = 401;
    Keystone keystone(loop.io, http, access);
    ASSERT_FALSE(token(keystone));
    status = 201;
    access.password = "renewed";
    keystone.change(access);
    EXPECT_TRUE(token(keystone)) << "the refusal was about the one before";
    EXPECT_EQ(asked.back()["auth"]["identity"]["password"]["user"]["password"], "renewed");
    keystone.change(access);
    EXPECT_TRUE(token(keystone));
    EXPECT_EQ(asked.size(), 2U) << "a token that lives is used on";
}

TEST_F(KeystoneTest, TriesAgainSoonWhenKeystoneWasAway) {
    endpoints = {endpoint("public", "east", "/v2.1")};
    status = 503;
    Keystone keystone(loop.io, http, access);
    EXPECT_EQ(token(keystone).error().code, base::Errc::unavailable);
    status = 201;
    EXPECT_TRUE(loop.until([&] { return token(keystone).has_value(); }));
}

TEST_F(KeystoneTest, IsLeftAloneForAsLongAsItAsks) {
    status = 503;
    refusal_headers = {{"Retry-After", "2"}};
    Keystone keystone(loop.io, http, access);
    ASSERT_FALSE(token(keystone));
    const auto answered = base::Clock::now();
    ASSERT_TRUE(loop.until([&] {
        token(keystone);
        return asked.size() > 1;
    }));
    EXPECT_GE(base::Clock::now() - answered, base::Millis(1900));
}

TEST_F(KeystoneTest, CallsNobodyOnceItIsStopped) {
    Keystone keystone(loop.io, http, access);
    keystone.with_token("compute", [](const auto&) { FAIL(); });
    keystone.stop();
    loop.poll();
}

}  // namespace
}  // namespace vitalwire::controller
