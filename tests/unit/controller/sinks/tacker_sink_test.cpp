#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/log.hpp"
#include "runtime/metrics.hpp"
#include "runtime/problems.hpp"
#include "runtime/store.hpp"
#include "runtime/stored_table.hpp"
#include "tests/unit/controller/sinks/sink_fixture.hpp"
#include "tests/unit/controller/support/receiver.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::controller {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = Outcome::Kind;

const std::string kVm = "0f8fad5b-d9cb-469f-a165-70867728950e";
const std::string kAlarms = "/v2/3f0c5c0d8a3b4d0f/servers/" + kVm + "/alarms";
const std::string kNotify = "/server_notification/vnf_instances/v1/servers/" + kVm + "/notify";

/// A controller with a sink for Tacker, a Tacker that registers there, and what that is sent.
class TackerSinkTest : public SinkTest {
protected:
    SinkFactory configure(runtime::ConfigReader& section) override { return configure_tacker_sink(section); }
    SinkContext context() override {
        if (!store) store = std::move(*runtime::Store::open(loop.io, dir / "controller.db"));
        metrics.push_back(std::make_unique<runtime::Metrics>());
        return {loop.io,
                http,
                nullptr,
                "s",
                store.get(),
                [this](const std::string& name) -> runtime::StoredTable& {
                    return tables.try_emplace(controller + name, *store, controller + name).first->second;
                },
                metrics.back().get(),
                &problems,
                [this](const base::GuestId& guest) { registered.push_back(guest.str()); },
                [this] { return own; }};
    }

    std::unique_ptr<Sink> started(const std::string& lines = "") {
        auto sink = make("listen = 127.0.0.1:0\n" + lines);
        if (!sink) {
            ADD_FAILURE() << "mistakes in the configuration";
            return nullptr;
        }
        const auto listening = sink->start();
        EXPECT_TRUE(listening) << listening.error().message;
        return sink;
    }

    runtime::HttpClientResponse ask(const Sink& sink, const std::string& method, const std::string& path,
                                    const std::string& body = "") {
        std::optional<runtime::HttpClientResponse> answer;
        runtime::HttpClientRequest request;
        request.method = method;
        request.url = "http://" + sink.address() + path;
        request.body = body;
        http.send(request, [&](const auto& response) {
            answer = response ? *response : runtime::HttpClientResponse{0, {}, response.error().message};
        });
        EXPECT_TRUE(loop.until([&] { return answer.has_value(); }));
        return *answer;
    }
    std::string request_for(const std::string& ids) const {
        return R"({"fault_action":")" + tacker.url(kNotify) + R"(","fault_id":)" + ids + "}";
    }
    /// The alarm id.
    std::string register_at(const Sink& sink, const std::string& ids = R"(["1111","1234"])",
                            const std::string& prefix = "") {
        const auto answer = ask(sink, "POST", prefix + kAlarms, request_for(ids));
        EXPECT_EQ(answer.status, 201) << answer.body;
        const json body = json::parse(answer.body, nullptr, false);
        return body.is_object() ? body.value("alarm_id", "") : "";
    }

    static AlarmEvent raise(const std::string& kind = "heartbeat_lost") {
        Alarm alarm = open_alarm(kVm, "f1");
        alarm.kind = kind;
        return raise_of(std::move(alarm));
    }
    static AlarmEvent clear() { return clear_of(raise()); }

    test::TempDir dir;
    std::unique_ptr<runtime::Store> store;
    std::map<std::string, runtime::StoredTable> tables;  ///< as the controllers keep them
    std::string controller;                              ///< whose sink is made
    std::vector<std::unique_ptr<runtime::Metrics>> metrics;
    runtime::Problems problems;
    Receiver tacker{loop.io};
    std::vector<std::string> registered;
    std::vector<std::string> own;  ///< where the controller listens

    TackerSinkTest() { tacker.status = 204; }
};

TEST_F(TackerSinkTest, NotifiesWhoHasRegisteredTheServer) {
    const auto sink = started();
    const std::string id = register_at(*sink);
    EXPECT_THAT(registered, ElementsAre(kVm));
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    ASSERT_THAT(tacker.requests, SizeIs(1));
    EXPECT_EQ(tacker.requests[0].method, "POST");
    EXPECT_EQ(tacker.requests[0].path, kNotify);
    EXPECT_EQ(json::parse(tacker.requests[0].body),
              json({{"notification",
                     {{"host_id", "compute-1"},
                      {"alarm_id", id},
                      {"fault_id", "1234"},
                      {"fault_type", "20"},
                      {"fault_option", {{"message", "the guest stopped answering its heartbeat (silent)"}}}}}}));
}

TEST_F(TackerSinkTest, WithoutARegistrationThereIsNobodyToNotify) {
    const auto sink = started();
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::skipped);
    const std::string id = register_at(*sink);
    EXPECT_EQ(ask(*sink, "DELETE", kAlarms + "/" + id).status, 204);
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::skipped);
    EXPECT_THAT(tacker.requests, IsEmpty());
}

TEST_F(TackerSinkTest, AFaultThatWasNotRegisteredIsNotSent) {
    const auto sink = started("fault = heartbeat_lost 1111 21\nfault = unhealthy 9999 20\n");
    register_at(*sink, R"(["1111"])");
    EXPECT_EQ(deliver(*sink, raise("unhealthy")).kind, Kind::skipped);
    EXPECT_EQ(deliver(*sink, raise("vm_crashed")).kind, Kind::skipped);
    EXPECT_THAT(tacker.requests, IsEmpty());
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    ASSERT_THAT(tacker.requests, SizeIs(1));
    const json notification = json::parse(tacker.requests[0].body)["notification"];
    EXPECT_EQ(notification["fault_id"], "1111");
    EXPECT_EQ(notification["fault_type"], "21");
}

TEST_F(TackerSinkTest, HasNoUpdateAndNoClear) {
    const auto sink = started();
    register_at(*sink);
    AlarmEvent update = raise();
    update.change = AlarmChange::updated;
    AlarmEvent late = raise();
    late.over = true;
    for (const AlarmEvent& event : {update, clear(), late})
        EXPECT_EQ(deliver(*sink, event).kind, Kind::skipped);
    EXPECT_THAT(tacker.requests, IsEmpty());
}

TEST_F(TackerSinkTest, EachOfTwoFaultsIsSentForItself) {
    const auto sink = started();
    register_at(*sink);
    AlarmEvent first = raise();
    first.others_open = {"vm_crashed"};
    AlarmEvent second = raise("vm_crashed");
    second.alarm.id = base::FaultId("f2");
    second.others_open = {"heartbeat_lost"};
    tacker.status = 503;
    EXPECT_EQ(deliver(*sink, first).kind, Kind::retry);
    EXPECT_EQ(deliver(*sink, second).kind, Kind::retry);
    tacker.status = 204;
    EXPECT_EQ(deliver(*sink, first).kind, Kind::confirmed);
    EXPECT_EQ(deliver(*sink, second).kind, Kind::confirmed);
    EXPECT_THAT(tacker.confirmed, SizeIs(2));
}

TEST_F(TackerSinkTest, TheRouteIsTheAddressesThatHaveRegistered) {
    const auto sink = started();
    EXPECT_EQ(sink->route(raise().alarm), "");
    register_at(*sink);
    EXPECT_EQ(sink->route(raise().alarm), tacker.address());
    EXPECT_EQ(sink->route(raise("unhealthy").alarm), "") << "nothing is sent of this kind";
    EXPECT_EQ(ask(*sink, "POST", kAlarms, R"({"fault_action":"http://192.0.2.7:9890/x","fault_id":["1234"]})").status,
              201);
    EXPECT_EQ(sink->route(raise().alarm), tacker.address() + " 192.0.2.7:9890");
}

TEST_F(TackerSinkTest, AProjectMayBeANameAndSlashesMayBeTooMany) {
    const auto sink = started();
    const std::string server = "/servers/" + kVm + "/alarms";
    for (const char* project :
         {"nfv", "NFV%20Project", "nfv@example.net", "Projekt-%C3%9C", "a+b", "tenant:1", "a%2Fb", "%E6%97%A5"}) {
        const std::string path = std::string("/v2/") + project + server;
        const auto answer = ask(*sink, "POST", path, request_for(R"(["1111"])"));
        ASSERT_EQ(answer.status, 201) << project << answer.body;
        EXPECT_EQ(ask(*sink, "DELETE", path + "/" + json::parse(answer.body)["alarm_id"].get<std::string>()).status,
                  204);
    }
    for (const std::string& path : {"/" + kAlarms, "//v2//p/" + server + "/", kAlarms + "//"})
        EXPECT_EQ(ask(*sink, "POST", path, request_for(R"(["1111"])")).status, 201) << path;
    for (const char* project : {"%FF", "%01", ""})
        EXPECT_GE(ask(*sink, "POST", std::string("/v2/") + project + server, request_for(R"(["1111"])")).status, 400);
    EXPECT_EQ(ask(*sink, "POST", "/v2/" + std::string(256, 'x') + server, request_for(R"(["1111"])")).status, 400);
}

TEST_F(TackerSinkTest, NeverCallsTheControllerItself) {
    own = {tacker.address()};
    const auto sink = started();
    register_at(*sink);
    const Outcome outcome = deliver(*sink, raise());
    EXPECT_EQ(outcome.kind, Kind::refused);
    EXPECT_THAT(outcome.why, HasSubstr("is this controller itself"));
    EXPECT_THAT(tacker.requests, IsEmpty());
}

TEST_F(TackerSinkTest, ARedirectIsNotFollowed) {
    const auto sink = started();
    register_at(*sink);
    tacker.status = 302;
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry);
    EXPECT_THAT(tacker.requests, SizeIs(1));
}

TEST_F(TackerSinkTest, NotifiesOnlyTheNetworksThatAreNamed) {
    const auto sink = started("notify = 192.0.2.0/24\n");
    const auto answer = ask(*sink, "POST", kAlarms, request_for(R"(["1234"])"));
    EXPECT_EQ(answer.status, 403);
    EXPECT_THAT(answer.body, HasSubstr("notifications to 127.0.0.1 are not allowed"));
    const std::string port = tacker.address().substr(tacker.address().find(':'));
    const std::string by_name = R"({"fault_action":"http://localhost)" + port + R"(/x","fault_id":["1234"]})";
    EXPECT_EQ(ask(*sink, "POST", kAlarms, by_name).status, 201);
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::refused) << "what a name leads to is seen when it is connected to";
    EXPECT_THAT(tacker.requests, IsEmpty());
}

TEST_F(TackerSinkTest, WhoHasItIsNotNotifiedOnceMoreWhenAnotherOneComes) {
    const auto sink = started();
    register_at(*sink);
    deliver(*sink, raise());
    register_at(*sink, R"(["1234"])");
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::confirmed);
    EXPECT_THAT(tacker.requests, SizeIs(2));
}

TEST_F(TackerSinkTest, OnlyNoContentIsProof) {
    const auto sink = started();
    register_at(*sink);
    for (const auto& [status, kind] : std::map<int, Kind>{{200, Kind::retry},
                                                          {400, Kind::refused},
                                                          {401, Kind::retry},
                                                          {404, Kind::refused},
                                                          {503, Kind::retry},
                                                          {204, Kind::confirmed}}) {
        tacker.status = status;
        EXPECT_EQ(deliver(*sink, raise()).kind, kind) << status;
        deliver(*sink, clear());
    }
    tacker.stop();
    EXPECT_EQ(deliver(*sink, raise()).kind, Kind::retry);
}

TEST_F(TackerSinkTest, RegistrationsSurviveARestart) {
    auto sink = started();
    const std::string kept = register_at(*sink);
    const std::string removed = register_at(*sink, R"(["1234"])");
    ask(*sink, "DELETE", kAlarms + "/" + removed);
    ASSERT_TRUE(loop.until([&] { return store->pending() == 0; }));
    sink->stop();
    sink.reset();
    store->close();
    tables.clear();
    store.reset();
    sink = started();
    EXPECT_EQ(register_at(*sink), kept);
    deliver(*sink, raise());
    EXPECT_THAT(tacker.requests, SizeIs(1));
}

TEST_F(TackerSinkTest, RegistrationsSurviveAReload) {
    auto sink = started();
    register_at(*sink);
    sink->stop();
    sink.reset();
    sink = started("fault = heartbeat_lost 1111 21\n");
    deliver(*sink, raise());
    EXPECT_THAT(tacker.requests, SizeIs(1));
}

TEST_F(TackerSinkTest, WhatIsRegisteredAtOneControllerTheOthersGetToo) {
    const auto first = started();
    controller = "second";
    const auto second = started("peers = http://" + first->address() + "\n");
    const std::string id = register_at(*second);
    deliver(*first, raise());
    EXPECT_THAT(tacker.requests, SizeIs(1)) << "before Tacker was answered";
    EXPECT_EQ(ask(*second, "DELETE", kAlarms + "/" + id).status, 204);
    deliver(*first, clear());
    deliver(*first, raise());
    EXPECT_THAT(tacker.requests, SizeIs(1));
}

TEST_F(TackerSinkTest, WhoWasAwayFetchesWhatHeMissed) {
    const auto first = started();
    register_at(*first);
    registered.clear();
    controller = "second";
    const auto second = started("sync = 100 ms\npeers = http://" + first->address() + "\n");
    ASSERT_TRUE(loop.until([&] { return !registered.empty(); }));
    deliver(*second, raise());
    EXPECT_THAT(tacker.requests, SizeIs(1));
    first->stop();
    ASSERT_TRUE(loop.until([&] { return !problems.empty(); }));
    EXPECT_THAT(problems.list().at(0).what, HasSubstr("cannot fetch registrations from http://"));
    EXPECT_EQ(ask(*second, "POST", kAlarms, request_for(R"(["1111"])")).status, 201) << "it does not wait without end";
}

TEST_F(TackerSinkTest, OnlyTheAllowedNetworksMayRegister) {
    const auto sink = started("allow = 192.0.2.0/24\n");
    const auto answer = ask(*sink, "POST", kAlarms, request_for(R"(["1111"])"));
    EXPECT_EQ(answer.status, 403);
    EXPECT_THAT(answer.body, HasSubstr("your address may not register"));
    EXPECT_EQ(ask(*sink, "GET", "/v1/registrations").status, 403);
}

TEST_F(TackerSinkTest, WithATokenOnlyWhoHasItMayRegister) {
    std::ofstream(dir / "token") << "s3cret\n";
    const auto sink = started("token_file = " + (dir / "token") + "\n");
    for (const char* prefix : {"", "/guess", "/s3cre", "/s3cret1"})
        EXPECT_EQ(ask(*sink, "POST", prefix + kAlarms, request_for(R"(["1111"])")).status, 404) << prefix;
    EXPECT_EQ(ask(*sink, "GET", "/v1/registrations").status, 404);
    register_at(*sink, R"(["1111"])", "/s3cret");
}

TEST_F(TackerSinkTest, WhoRegistersAndRemovesAllTheTimeFillsNoLog) {
    static std::mutex mutex;
    static std::vector<std::string> lines;
    log::set_backend([](log::Level, std::string_view line) {
        const std::lock_guard lock(mutex);
        if (line.find("registered") != std::string_view::npos) lines.emplace_back(line);
    });
    const auto sink = started();
    for (int i = 0; i < 50; ++i) {
        const std::string id = register_at(*sink);
        EXPECT_EQ(ask(*sink, "DELETE", kAlarms + "/" + id).status, 204);
    }
    log::set_backend([](log::Level, std::string_view) {});
    EXPECT_GE(lines.size(), 20U);
    EXPECT_LE(lines.size(), 25U);
}

TEST_F(TackerSinkTest, ABadRequestIsAnsweredWithWhatIsWrong) {
    const auto sink = started();
    const std::string body = request_for(R"(["1111"])");
    EXPECT_EQ(ask(*sink, "POST", kAlarms, "{").status, 400);
    EXPECT_THAT(ask(*sink, "POST", kAlarms, request_for(R"(["11"])")).body, HasSubstr("4 characters each"));
    EXPECT_EQ(ask(*sink, "POST", "/v2/t/servers/vm-1/alarms", body).status, 400);
    EXPECT_EQ(ask(*sink, "POST", "/v2/t/servers", body).status, 404);
    EXPECT_EQ(ask(*sink, "GET", kAlarms).status, 405);
    EXPECT_EQ(ask(*sink, "DELETE", kAlarms + "/x").status, 404);
    EXPECT_THAT(metrics.back()->text(), HasSubstr("vitalwire_controller_tacker_refused_total{sink=\"s\"} 6"));
}

TEST_F(TackerSinkTest, ReportsEveryMistakeOfItsSection) {
    EXPECT_THAT(mistakes("fault = heartbeat_lost 123 20\nfault = asleep 1234 20\nfault = unhealthy 1234 30\n"
                         "allow = everybody\npeers = ctl-2:8993\n"),
                ElementsAre(HasSubstr("c:2: [sink s] fault: expected a kind of fault"), HasSubstr("'asleep 1234 20'"),
                            HasSubstr("'unhealthy 1234 30'"), HasSubstr("c:1: [sink s] listen: is missing"),
                            HasSubstr("c:5: [sink s] allow: expected addresses or networks"),
                            HasSubstr("c:6: [sink s] peers: expected http://HOST:PORT")));
}

}  // namespace
}  // namespace vitalwire::controller
