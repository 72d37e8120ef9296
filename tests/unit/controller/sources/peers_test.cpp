#include "controller/sources/peers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/http/http_server.hpp"
#include "tests/unit/controller/support/loop.hpp"

namespace vitalwire::controller {
namespace {

using nlohmann::json;
using std::chrono::minutes;
using std::chrono::seconds;

/// Another controller, whose clock may differ.
class PeersTest : public ::testing::Test, protected Peers::Handler {
protected:
    PeersTest() {
        if (!server.listen("127.0.0.1:0")) throw std::runtime_error("cannot listen");
        peers.configure({{"http://" + server.address()}, "", "", base::Millis(50)});
    }
    ~PeersTest() override {
        peers.stop();
        http.stop();
        server.stop();
    }

    runtime::HttpResponse respond(const runtime::HttpRequest& request) {
        const base::WallTime now = std::chrono::system_clock::now() + ahead;
        json body = {{"time", base::to_iso8601(now)}};
        if (request.path == "/v1/maintenance") {
            body["maintenance"] = json::array(
                {to_json(Maintenance{"m1", MaintenanceScope::all, "", now, now + minutes(5), "disks", "eva"})});
        } else {
            json journal = {{"fault", "f1"}, {"number", 1}, {"entries", json::array()}, {"dropped", 0}};
            body.update({{"controller", "other"},
                         {"life", "1"},
                         {"complete", true},
                         {"journals", json::array({journal})},
                         {"silent_after_ms", 900},
                         {"agents", json::array()}});
            for (int i = 0; i < 100; ++i)
                body["agents"].push_back({{"host", "compute-" + std::to_string(i)},
                                          {"connected", true},
                                          {"primary", false},
                                          {"seen_ms", 7}});
        }
        return {200, "application/json", body.dump()};
    }

    // Peers::Handler
    std::size_t maintenance_of_peer(const std::vector<Maintenance>& told) override {
        windows = told;
        return 0;
    }
    void journal_of_peer(const base::FaultId&, const std::string&, Journal::Part, const std::optional<TrackedFault>&,
                         base::Duration told) override {
        told_ahead = told;
    }
    void agents_of_peer(PeerAnswer answer, base::TimePoint) override { agents = answer; }
    void peer_silent(const std::string& controller) override { silent = controller; }
    void peer_removed(const std::string&) override {}

    std::string problem() const {
        for (const auto& problem : problems.list()) {
            if (problem.what.find("clock") != std::string::npos) return problem.what + ": " + problem.detail;
        }
        return {};
    }

    Loop loop;
    base::WallTime::duration ahead{};
    runtime::HttpServer server{loop.io, [this](const runtime::HttpRequest& request) { return respond(request); }};
    runtime::HttpClient http{loop.io};
    runtime::Problems problems;
    Peers peers{loop.io, http, problems, {}, *this};
    std::vector<Maintenance> windows;
    std::optional<base::Duration> told_ahead;
    std::optional<PeerAnswer> agents;
    std::string silent;
};

TEST_F(PeersTest, AWindowOfAPeerWhoseClockDiffersLastsAsLongHere) {
    for (const auto offset : {-minutes(10), minutes(10)}) {
        ahead = offset;
        windows.clear();
        ASSERT_TRUE(loop.until([&] { return !windows.empty(); }));
        const auto left = windows.at(0).until - std::chrono::system_clock::now();
        EXPECT_GT(left, minutes(4));
        EXPECT_LE(left, minutes(5) + seconds(2));
    }
}

TEST_F(PeersTest, ThatAPeersClockDiffersIsAProblemUntilItDoesNot) {
    ahead = minutes(10);
    ASSERT_TRUE(loop.until([&] { return !problem().empty(); }));
    EXPECT_EQ(problem(),
              "the clock of the peer http://" + server.address() + " differs: it is 600 s ahead of the one here");
    ASSERT_TRUE(loop.until([&] { return told_ahead.has_value(); }));
    EXPECT_GT(*told_ahead, minutes(9));
    ahead = {};
    EXPECT_TRUE(loop.until([&] { return problem().empty(); }));
}

TEST_F(PeersTest, TellsOfAllAgentsOfALargeCloudAndOfAPeerThatIsGone) {
    ASSERT_TRUE(loop.until([&] { return agents.has_value(); }));
    EXPECT_EQ(agents->controller, "other");
    ASSERT_EQ(agents->agents.size(), 100u);
    EXPECT_EQ(agents->agents[0], (PeerAgent{base::HostId("compute-0"), true, false, base::Millis(7)}));
    server.stop();
    EXPECT_TRUE(loop.until([&] { return silent == "other"; }));
}

}  // namespace
}  // namespace vitalwire::controller
