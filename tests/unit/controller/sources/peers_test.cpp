#include "controller/sources/peers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller/alarms/evidence.hpp"
#include "runtime/http/http_server.hpp"
#include "tests/unit/controller/support/loop.hpp"

namespace vitalwire::controller {
namespace {

using nlohmann::json;
using std::chrono::minutes;
using std::chrono::seconds;

const base::WallTime kStarted = base::from_iso8601("2026-01-01T00:00:00.000000Z");
constexpr const char* kAgentTime = "2026-01-02T03:04:05.000000Z";

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
            const std::string time = base::to_iso8601(now);
            const json entry = {{"at", time}, {"what", "cleared"}, {"times", 2}, {"first_at", time}};
            const json fault = {{"id", "f1"},
                                {"guest", "g1"},
                                {"kind", "heartbeat_lost"},
                                {"revision", 2},
                                {"opened_at", kAgentTime},
                                {"updated_at", kAgentTime},
                                {"cleared_at", clear_reason == kByOperator ? time : kAgentTime},
                                {"clear_reason", clear_reason}};
            const json alarm = {{"id", "f1"},        {"kind", "agent_lost"}, {"host", "compute-1"}, {"revision", 2},
                                {"opened_at", time}, {"updated_at", time},   {"cleared_at", time}};
            json told = {{"fault", "f1"},
                         {"number", 1},
                         {"entries", json::array({entry})},
                         {"dropped", 0},
                         {"alarm", alarm},
                         {"ended", {{"host", "compute-1"}, {"fault", fault}, {"received_at", time}}}};
            body.update({{"controller", name},
                         {"life", life},
                         {"sinks", sinks},
                         {"complete", true},
                         {"journals", json::array({told})},
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
    void journal_of_peer(const base::FaultId&, const std::string&, Journal::Part told,
                         const std::optional<TrackedFault>& over) override {
        journal = std::move(told);
        past = over;
    }
    std::vector<std::string> sink_names() const override { return {"ours", "vitrage"}; }
    void agents_of_peer(PeerAnswer answer, base::TimePoint) override { agents = answer; }
    void peer_silent(const std::string& controller) override { silent = controller; }
    void peer_removed(const std::string& controller) override { removed = controller; }

    /// The other controller starts again, and tells all once more.
    void restart() {
        life += "1";
        journal.reset();
        past.reset();
    }
    std::string problem(const std::string& about = "clock") const {
        for (const auto& problem : problems.list()) {
            if (problem.what.find(about) != std::string::npos) return problem.what + ": " + problem.detail;
        }
        return {};
    }

    Loop loop;
    base::WallTime::duration ahead{};
    std::string name = "other";
    std::string life = "1";
    json sinks = {"vitrage", "ours"};
    runtime::HttpServer server{loop.io, [this](const runtime::HttpRequest& request) { return respond(request); }};
    runtime::HttpClient http{loop.io};
    runtime::Problems problems;
    Peers peers{loop.io, http, problems, {}, {"own", kStarted}, *this};
    std::vector<Maintenance> windows;
    std::string clear_reason = "recovered";
    std::optional<Journal::Part> journal;
    std::optional<TrackedFault> past;
    std::optional<PeerAnswer> agents;
    std::string silent;
    std::string removed;
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
    ahead = {};
    EXPECT_TRUE(loop.until([&] { return problem().empty(); }));
}

TEST_F(PeersTest, APeerThatHasOtherSinksIsAProblemUntilTheyAreTheSame) {
    sinks = {"vitrage", "theirs\n"};
    ASSERT_TRUE(loop.until([&] { return !problem("sinks").empty(); }));
    EXPECT_EQ(problem("sinks"),
              "the peer http://" + server.address() + " has other sinks: only here: ours; only there: theirs\\n");
    sinks = {"ours", "vitrage"};
    EXPECT_TRUE(loop.until([&] { return problem("sinks").empty(); }));
}

TEST_F(PeersTest, TheJournalOfAPeerWhoseClockDiffersIsInTimesOfTheClockHere) {
    for (const auto offset : {-minutes(10), minutes(10)}) {
        ahead = offset;
        restart();
        ASSERT_TRUE(loop.until([&] { return journal.has_value(); }));
        const base::WallTime now = std::chrono::system_clock::now();
        const auto near = [&](base::WallTime time) { return std::chrono::abs(now - time) < seconds(5); };
        EXPECT_TRUE(near(journal->entries.at(0).at));
        EXPECT_TRUE(near(journal->entries.at(0).first_at));
        ASSERT_TRUE(journal->alarm && journal->alarm->cleared_at);
        EXPECT_TRUE(near(journal->alarm->opened_at));
        EXPECT_TRUE(near(journal->alarm->updated_at));
        EXPECT_TRUE(near(*journal->alarm->cleared_at));
        EXPECT_LT(std::chrono::abs(journal->ahead - offset), seconds(5));
        ASSERT_TRUE(past);
        EXPECT_TRUE(near(past->received_at));
    }
}

TEST_F(PeersTest, OfAnEndedFaultOnlyWhatAControllerEndedIsByThatOnesClock) {
    ahead = minutes(10);
    ASSERT_TRUE(loop.until([&] { return past.has_value(); }));
    EXPECT_EQ(past->fault.opened_at, base::from_iso8601(kAgentTime));
    EXPECT_EQ(past->fault.cleared_at, base::from_iso8601(kAgentTime));
    clear_reason = std::string(kByOperator);
    restart();
    ASSERT_TRUE(loop.until([&] { return past.has_value(); }));
    EXPECT_EQ(past->fault.opened_at, base::from_iso8601(kAgentTime));
    EXPECT_LT(std::chrono::abs(*past->fault.cleared_at - std::chrono::system_clock::now()), seconds(5));
}

TEST_F(PeersTest, APeerOfTheOwnNameIsNoPeerAndNamed) {
    ASSERT_TRUE(loop.until([&] { return agents.has_value(); }));
    EXPECT_EQ(peers.namesakes(), "");
    name = "own";
    ASSERT_TRUE(loop.until([&] { return !peers.namesakes().empty(); }));
    EXPECT_EQ(peers.namesakes(), "the peer http://" + server.address());
    EXPECT_EQ(removed, "other") << "it is no more";
    agents.reset();
    restart();
    const auto end = base::Clock::now() + base::Millis(200);
    EXPECT_FALSE(loop.until([&] { return agents || journal || base::Clock::now() >= end; }) && (agents || journal));
    name = "other";
    EXPECT_TRUE(loop.until([&] { return peers.namesakes().empty() && agents && journal; }));
}

TEST_F(PeersTest, TheControllerItselfAmongItsPeersIsNoPeerAndNoProblem) {
    name = "own";
    life = base::to_iso8601(kStarted);
    const auto end = base::Clock::now() + base::Millis(200);
    loop.until([&] { return base::Clock::now() >= end; });
    EXPECT_EQ(peers.namesakes(), "");
    EXPECT_FALSE(agents || journal);
    EXPECT_TRUE(problems.empty());
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
