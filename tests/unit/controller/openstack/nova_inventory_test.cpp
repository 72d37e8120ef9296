#include "controller/openstack/nova_inventory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/controller/openstack/cloud_server.hpp"
#include "tests/unit/controller/support/loop.hpp"

namespace vitalwire::controller {
namespace {

using base::GuestId;
using nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kNotFound = "Nova does not find servers that it has not reported as deleted";

/// Keystone and Nova as they were observed: servers by pages of two, groups by offset.
class NovaInventoryTest : public ::testing::Test, public InventorySource::Handler {
protected:
    NovaInventoryTest() {
        access.auth_url = server.url("/v3");
        access.user_name = "vitalwire";
        access.password = "secret";
        access.project_name = "service";
        config.poll_interval = base::Millis(50);
        config.full_poll_interval = base::Millis(50);  // every poll lists everything, unless a test has it otherwise
    }
    ~NovaInventoryTest() override {
        if (source) source->stop();
    }

    void on_inventory_changed(const std::vector<GuestChange>&) override { ++rounds; }
    void on_inventory_problem(const std::string& what, const std::string& detail) override { problems[what] = detail; }

    static json nova_server(const std::string& id, const std::string& state = "active") {
        return {{"id", id},
                {"name", "name of " + id},
                {"tenant_id", "project"},
                {"metadata", {{"k", "v"}}},
                {"updated", "2026-11-22T06:29:49Z"},
                {"OS-EXT-SRV-ATTR:host", "compute-1"},
                {"OS-EXT-SRV-ATTR:hostname", id},
                {"OS-EXT-SRV-ATTR:hypervisor_hostname", "compute-1.site"},
                {"OS-EXT-STS:vm_state", state},
                {"OS-EXT-STS:task_state", nullptr},
                {"OS-SRV-USG:launched_at", "2026-11-22T06:29:49.000000"},
                {"flavor", {{"original_name", "ha"}, {"extra_specs", {{"vitalwire:heartbeat", "true"}}}}}};
    }

    CloudAnswer answer(const CloudRequest& request) {
        if (request.target == "/v3/auth/tokens") {
            const json token = {{"token", {{"catalog", {{{"type", "compute"}, {"endpoints", {endpoint()}}}}}}}};
            return {201, token.dump(), {{"X-Subject-Token", "good"}}};
        }
        asked.push_back(request.target);
        if (request.target == "/compute/") return root;
        if (status != 200) return {status, R"({"computeFault":{"message":"out of order"}})"};
        if (request.target == "/v2.1/" && no_document) return {404, "no such page"};
        if (request.target == "/v2.1/") return {200, json{{"version", {{"version", newest}}}}.dump()};
        microversions.push_back(request.microversion);
        if (request.target.starts_with("/v2.1/servers/detail")) return servers_page(request.target);
        if (request.target.starts_with("/v2.1/os-server-groups?")) return groups_page(request.target);
        if (request.target.starts_with("/v2.1/os-server-groups/")) return one_group(request.target);
        const std::string id = request.target.substr(request.target.rfind('/') + 1);
        for (const json& known : hidden) {
            if (known["id"] == id) return {200, json{{"server", known}}.dump()};
        }
        return {404, R"({"itemNotFound":{"message":"no such server"}})"};
    }
    json endpoint() const { return {{"interface", "public"}, {"url", server.url(path)}}; }
    CloudAnswer one_group(const std::string& target) const {
        if (no_group) return *no_group;
        for (const json& known : groups) {
            if (target.ends_with(known["id"].get<std::string>())) return {200, json{{"server_group", known}}.dump()};
        }
        return {404, R"({"itemNotFound":{"message":"no such group"}})"};
    }

    CloudAnswer servers_page(const std::string& target) const {
        if (endless) return {200, endless_page(target).dump()};
        if (target.find("changes-since") != std::string::npos && !deleted.empty())
            return {200, json{{"servers", deleted}}.dump(), dates};
        const std::size_t marker = target.find("marker=");
        const std::size_t begin = marker == std::string::npos ? 0 : std::stoul(target.substr(marker + 7));
        json page = {{"servers", json::array()}};
        for (std::size_t i = begin; i < servers.size() && i < begin + 2; ++i)
            page["servers"].push_back(servers[i]);
        if (begin + 2 < servers.size()) {
            page["servers_links"] = {
                {{"rel", "next"},
                 {"href", "http://nova.internal/v2.1/servers/detail?all_tenants=1&limit=500&marker=" +
                              std::to_string(begin + 2)}}};
        }
        return {200, page.dump(), dates};
    }
    /// Markers a, b, a, ...
    static json endless_page(const std::string& target) {
        const std::string next = target.ends_with("marker=a") ? "b" : "a";
        return {{"servers", {nova_server("vm-" + next)}},
                {"servers_links", {{{"rel", "next"}, {"href", "http://nova/v2.1/servers/detail?marker=" + next}}}}};
    }
    CloudAnswer groups_page(const std::string& target) const {
        const std::size_t asked_for = std::stoul(target.substr(target.find("offset=") + 7));
        const std::size_t offset = endless ? 0 : asked_for + shift;
        json page = {{"server_groups", json::array()}};
        if (offset < groups.size()) page["server_groups"].push_back(groups[offset]);
        return {200, page.dump()};
    }

    void start() {
        source = std::make_unique<NovaInventory>(loop.io, inventory, keystone(), metrics, config);
        source->start(*this);
    }
    Keystone& keystone() {
        if (!keystone_) keystone_ = std::make_unique<Keystone>(loop.io, http, access);
        return *keystone_;
    }
    bool until_loaded() {
        return loop.until([&] { return source->loaded(); });
    }
    bool until_next_round() {
        return loop.until([&, before = rounds] { return rounds >= before + 2; });
    }
    const std::string& problem() { return problems["the inventory cannot be read from Nova"]; }

    std::string path = "/v2.1";  ///< of the endpoint in the catalog
    CloudAnswer root;            ///< of the service, which names its versions
    std::size_t shift = 0;       ///< groups deleted between two pages
    bool no_document = false;    ///< of Nova's versions
    bool endless = false;        ///< markers go round, and the offset is ignored
    std::map<std::string, std::string> dates = {{"Date", "Sun, 22 Nov 2026 06:30:00 GMT"}};
    std::optional<CloudAnswer> no_group;
    Loop loop;
    CloudServer server{loop.io, [this](const CloudRequest& request) { return answer(request); }};
    runtime::HttpClient http{loop.io};
    runtime::Metrics metrics;
    CloudAccess access;
    NovaInventoryConfig config;
    std::unique_ptr<Keystone> keystone_;
    Inventory inventory;
    std::unique_ptr<NovaInventory> source;

    std::string newest = "2.93";
    int status = 200;
    std::vector<json> servers, hidden, deleted, groups;
    std::vector<std::string> asked, microversions;
    std::map<std::string, std::string> problems;
    std::size_t rounds = 0;
};

TEST_F(NovaInventoryTest, ListsAllPagesOfServersAndGroups) {
    for (const char* id : {"vm-1", "vm-2", "vm-3", "vm-4", "vm-5"})
        servers.push_back(nova_server(id));
    groups = {{{"id", "g1"}, {"name", "one"}, {"project_id", "project"}, {"members", {"vm-1", "vm-5"}}},
              {{"id", "g2"}, {"name", "two"}, {"project_id", "project"}, {"members", {"vm-2"}}}};
    start();
    ASSERT_TRUE(until_loaded());
    EXPECT_EQ(inventory.guests().size(), 5U);
    EXPECT_EQ(inventory.groups().size(), 2U);
    const InventoryGuest guest = *inventory.guest(GuestId("vm-5"));
    EXPECT_EQ(guest.display_name, "name of vm-5");
    EXPECT_EQ(guest.host.str(), "compute-1");
    EXPECT_EQ(guest.node, "compute-1.site");
    EXPECT_EQ(guest.group.str(), "g1");
    EXPECT_EQ(guest.project, "project");
    EXPECT_TRUE(guest.policy.heartbeat);
    EXPECT_EQ(guest.launched_at, "2026-11-22T06:29:49.000000");
    EXPECT_THAT(microversions, ::testing::Each("compute 2.93"));
    EXPECT_EQ(problem(), "");
}

TEST_F(NovaInventoryTest, AFailingNovaLeavesTheInventoryAsItWas) {
    servers = {nova_server("vm-1")};
    start();
    ASSERT_TRUE(until_loaded());
    status = 503;
    ASSERT_TRUE(loop.until([&] { return !problem().empty(); }));
    EXPECT_THAT(problem(), HasSubstr("Nova: HTTP 503: out of order; what it listed last still counts"));
    EXPECT_EQ(inventory.guests().size(), 1U);
    status = 200;
    servers.push_back(nova_server("vm-2"));
    EXPECT_TRUE(loop.until([&] { return inventory.guests().size() == 2; }));
    EXPECT_EQ(problem(), "");
}

TEST_F(NovaInventoryTest, AServerThatIsNotListedStaysUntilNovaHasItNoMore) {
    servers = {nova_server("vm-1"), nova_server("vm-2")};
    hidden = {nova_server("vm-2")};
    start();
    ASSERT_TRUE(until_loaded());
    servers.pop_back();  // its cell is down
    ASSERT_TRUE(until_next_round());
    EXPECT_NE(inventory.guest(GuestId("vm-2")), nullptr);
    hidden.clear();
    deleted = {nova_server("vm-2", "deleted")};
    EXPECT_TRUE(loop.until([&] { return inventory.guest(GuestId("vm-2")) == nullptr; }));
    EXPECT_NE(inventory.guest(GuestId("vm-1")), nullptr);
    ASSERT_TRUE(until_next_round());
    EXPECT_EQ(problems[kNotFound], "");
}

TEST_F(NovaInventoryTest, AServerOfBeforeARestartStaysWhileItsCellIsDown) {
    const json unknown = {{"id", "vm-2"}, {"status", "UNKNOWN"}, {"tenant_id", "project"}};
    for (const bool is_named : {true, false}) {
        inventory = {};
        inventory.restore({{GuestId("vm-2"), {base::HostId("compute-1"), {}, "active", "", true, {}}}});
        servers = {nova_server("vm-1")};
        if (is_named) servers.push_back(unknown);
        hidden = {unknown};
        start();
        ASSERT_TRUE(until_loaded());
        const InventoryGuest* guest = inventory.guest(GuestId("vm-2"));
        ASSERT_NE(guest, nullptr);
        EXPECT_FALSE(guest->listed);
        EXPECT_EQ(guest->host.str(), "compute-1");
        EXPECT_TRUE(guest->policy.heartbeat);
        EXPECT_EQ(problems["Nova does not show how servers are"], "vm-2");
        servers = {nova_server("vm-1"), nova_server("vm-2")};
        EXPECT_TRUE(loop.until([&] { return inventory.guest(GuestId("vm-2"))->listed; }));
        EXPECT_TRUE(loop.until([&] { return problems["Nova does not show how servers are"].empty(); }));
        source->stop();
    }
}

TEST_F(NovaInventoryTest, AServerThatWasDeletedWhileTheControllerWasAwayIsGone) {
    inventory.restore({{GuestId("vm-2"), {base::HostId("compute-1"), {}, "active", "", true, {}}}});
    servers = {nova_server("vm-1")};
    deleted = {nova_server("vm-2", "deleted")};
    start();
    ASSERT_TRUE(until_loaded());
    EXPECT_EQ(inventory.guest(GuestId("vm-2")), nullptr);
    EXPECT_THAT(asked, Contains(HasSubstr("changes-since=2026-11-15T06:30:00Z")));
}

TEST_F(NovaInventoryTest, AServerOfBeforeARestartThatNovaHasNotReportedAsDeletedStays) {
    inventory.restore({{GuestId("vm-2"), {base::HostId("compute-1"), {}, "active", "", true, {}}}});
    servers = {nova_server("vm-1")};
    start();
    ASSERT_TRUE(until_loaded());
    EXPECT_EQ(problems[kNotFound], "vm-2");
    EXPECT_NE(inventory.guest(GuestId("vm-2")), nullptr);
}

TEST_F(NovaInventoryTest, AServerThatNovaDoesNotFindAndHasNotReportedAsDeletedStays) {
    servers = {nova_server("vm-1"), nova_server("vm-2")};
    start();
    ASSERT_TRUE(until_loaded());
    servers.pop_back();  // the user sees its own project only, and of the others there are none
    ASSERT_TRUE(loop.until([&] { return problems[kNotFound] == "vm-2"; }));
    EXPECT_NE(inventory.guest(GuestId("vm-2")), nullptr);
    servers.push_back(nova_server("vm-2"));
    EXPECT_TRUE(loop.until([&] { return problems[kNotFound].empty(); }));
}

TEST_F(NovaInventoryTest, AGroupThatIsNotListedStaysUntilNovaHasItNoMore) {
    groups = {{{"id", "ga"}, {"name", "one"}, {"project_id", "project"}, {"members", {"a"}}},
              {{"id", "gb"}, {"name", "two"}, {"project_id", "project"}, {"members", {"b"}}}};
    servers = {nova_server("a"), nova_server("b")};
    start();
    ASSERT_TRUE(until_loaded());
    ASSERT_EQ(inventory.groups().size(), 2U);
    shift = 1;  // the first is missing in what is listed
    for (const CloudAnswer& answer :
         {CloudAnswer{404, ""}, CloudAnswer{404, "<html>no Nova here"}, CloudAnswer{503, ""}}) {
        no_group = answer;
        ASSERT_TRUE(until_next_round());
        EXPECT_EQ(inventory.groups().size(), 2U) << answer.status << answer.body;
    }
    no_group.reset();
    ASSERT_TRUE(until_next_round());
    EXPECT_EQ(inventory.groups().size(), 2U) << "it is there when Nova is asked for it";
    EXPECT_EQ(inventory.guest(GuestId("a"))->group.str(), "ga");
    groups.erase(groups.begin());
    shift = 0;
    ASSERT_TRUE(until_next_round());
    EXPECT_EQ(inventory.groups().size(), 1U);
}

TEST_F(NovaInventoryTest, FindsTheVersionWhereTheCatalogNamesTheRoot) {
    path = "/compute";
    root = {300, R"({"versions":[
        {"id":"v2.0","links":[{"rel":"self","href":"http://nova.internal/v2/"}]},
        {"id":"v2.1","links":[{"rel":"describedby","href":"http://docs/"},
                              {"rel":"self","href":"http://nova.internal/v2.1/"}]},
        {"id":"v3.0","links":[{"rel":"self","href":"http://nova.internal/v3/"}]}, 7, {"id":4}]})"};
    servers = {nova_server("a")};
    start();
    ASSERT_TRUE(until_loaded());
    EXPECT_EQ(inventory.guests().size(), 1U);
    EXPECT_EQ(std::count(asked.begin(), asked.end(), "/compute/"), 1) << "it is asked once";
}

TEST_F(NovaInventoryTest, NamesWhatIsWrongWithARootWithoutItsVersion) {
    path = "/compute";
    root = {300, R"({"versions":[{"id":"v3.0","links":[{"rel":"self","href":"http://nova/v3/"}]}]})"};
    start();
    ASSERT_TRUE(loop.until([&] { return !problem().empty(); }));
    EXPECT_THAT(problem(), HasSubstr("/compute has the versions v3.0, expected v2"));
    for (const CloudAnswer& answer : {CloudAnswer{300, "<html>"}, CloudAnswer{500, ""}, CloudAnswer{200, "{}"}}) {
        root = answer;
        ASSERT_TRUE(loop.until([&] {
            return problem().find("names no version, and its answer (HTTP " + std::to_string(answer.status)) !=
                   std::string::npos;
        })) << problem();
    }
}

TEST_F(NovaInventoryTest, BetweenFullPollsItAsksOnlyForWhatChanged) {
    config.full_poll_interval = std::chrono::hours(1);
    servers = {nova_server("vm-1"), nova_server("vm-2")};
    start();
    ASSERT_TRUE(until_loaded());
    servers = {nova_server("vm-2", "deleted")};
    ASSERT_TRUE(loop.until([&] { return inventory.guest(GuestId("vm-2")) == nullptr; }));
    EXPECT_NE(inventory.guest(GuestId("vm-1")), nullptr);
    EXPECT_THAT(asked, Contains(HasSubstr("changes-since=2026-11-22T06:24:49Z")))
        << "minutes before the newest change: not all clocks of Nova's are equal";
    asked.clear();
    servers = {nova_server("vm-1"), nova_server("vm-3")};
    source->reload();
    EXPECT_TRUE(loop.until([&] { return inventory.guest(GuestId("vm-3")) != nullptr; }));
    EXPECT_THAT(asked, Contains(Not(HasSubstr("changes-since")))) << "asked to poll again, it polls everything";
}

TEST_F(NovaInventoryTest, AServerWhoseTimeIsAheadHidesNoOthersChanges) {
    config.full_poll_interval = std::chrono::hours(1);
    servers = {nova_server("vm-1"), nova_server("vm-2")};
    servers[1]["updated"] = "2026-11-23T06:29:49Z";
    start();
    ASSERT_TRUE(until_loaded());
    ASSERT_TRUE(until_next_round());
    EXPECT_THAT(asked, Contains(HasSubstr("changes-since=2026-11-22T06:25:00Z"))) << "by Nova's own clock";
    EXPECT_THAT(asked, Not(Contains(HasSubstr("changes-since=2026-11-23"))));
}

TEST_F(NovaInventoryTest, ANovaWhoseClockIsAheadIsAskedFromTheNewestChange) {
    config.full_poll_interval = std::chrono::hours(1);
    dates["Date"] = "Mon, 23 Nov 2026 06:30:00 GMT";
    servers = {nova_server("vm-1")};
    start();
    ASSERT_TRUE(until_loaded());
    EXPECT_TRUE(
        loop.until([&] { return asked.back().find("changes-since=2026-11-22T06:24:49Z") != std::string::npos; }));
}

TEST_F(NovaInventoryTest, ANovaWithoutAClockIsAskedForEverything) {
    config.full_poll_interval = std::chrono::hours(1);
    dates.clear();
    servers = {nova_server("vm-1")};
    start();
    ASSERT_TRUE(until_loaded());
    ASSERT_TRUE(until_next_round());
    EXPECT_THAT(asked, Not(Contains(HasSubstr("changes-since"))));
}

TEST_F(NovaInventoryTest, AListWithoutAnEndIsAProblem) {
    endless = true;
    start();
    ASSERT_TRUE(loop.until([&] { return !problem().empty(); }));
    EXPECT_EQ(problem(),
              "Nova's list 'servers' does not end: /servers/detail?marker=b has nothing that the pages before "
              "it lack");
    EXPECT_FALSE(source->loaded());
    EXPECT_LE(asked.size(), 6U);
}

TEST_F(NovaInventoryTest, AnOffsetThatIsIgnoredIsAProblem) {
    endless = true;
    groups = {{{"id", "g1"}, {"name", "one"}, {"project_id", "project"}, {"members", json::array()}}};
    start();
    ASSERT_TRUE(loop.until([&] { return !problem().empty(); }));
    EXPECT_THAT(problem(), HasSubstr("offset=1 has nothing that the pages before it lack"));
    EXPECT_FALSE(source->loaded());
}

TEST_F(NovaInventoryTest, ReportsThatNovaIsTooOld) {
    newest = "2.38";
    start();
    ASSERT_TRUE(loop.until([&] { return !problem().empty(); }));
    EXPECT_EQ(problem(), "Nova's API is 2.38, expected 2.47 or newer");
    EXPECT_FALSE(source->loaded());
}

TEST_F(NovaInventoryTest, AVersionDocumentThatAProxyDoesNotHaveYetIsAskedForAgain) {
    no_document = true;
    start();
    ASSERT_TRUE(until_loaded());
    EXPECT_EQ(microversions.back(), "compute 2.47");
    no_document = false;
    EXPECT_TRUE(loop.until([&] { return microversions.back() == "compute 2.93"; }));
}

TEST_F(NovaInventoryTest, AServerWithoutTheAttributeOfItsHostIsAProblemAndNoServerOfNoHost) {
    servers = {nova_server("vm-1")};
    start();
    ASSERT_TRUE(until_loaded());
    servers[0].erase("OS-EXT-SRV-ATTR:host");  // the user is admin no more
    ASSERT_TRUE(loop.until([&] { return !problem().empty(); }));
    EXPECT_THAT(problem(), HasSubstr("a server without 'OS-EXT-SRV-ATTR:host', expected a text or null: the user needs "
                                     "the role admin"));
    EXPECT_EQ(inventory.guest(GuestId("vm-1"))->host.str(), "compute-1");
}

TEST_F(NovaInventoryTest, SpeaksTheVersionThatNovaHas) {
    newest = "2.60";
    start();
    ASSERT_TRUE(until_loaded());
    EXPECT_THAT(microversions, ::testing::Each("compute 2.60"));
}

TEST_F(NovaInventoryTest, ReportsWhichExtraSpecsCannotBeUsed) {
    servers = {nova_server("vm-1")};
    servers[0]["flavor"]["extra_specs"]["vitalwire:hartbeat"] = "true";
    start();
    ASSERT_TRUE(until_loaded());
    EXPECT_EQ(problems["flavors have extra specs that cannot be used"], "vitalwire:hartbeat: no such key (servers: 1)");
}

TEST_F(NovaInventoryTest, IsSilentOnceStopped) {
    servers = {nova_server("vm-1")};
    start();
    source->stop();
    loop.poll();
    EXPECT_EQ(rounds, 0U);
}

}  // namespace
}  // namespace vitalwire::controller
