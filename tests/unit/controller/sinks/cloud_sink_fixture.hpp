#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "controller/openstack/keystone.hpp"
#include "tests/unit/controller/openstack/cloud_server.hpp"
#include "tests/unit/controller/sinks/sink_fixture.hpp"

namespace vitalwire::controller {

inline constexpr const char* kVersion = "/v1";  ///< the catalog's endpoint
inline constexpr const char* kServer = "0f8fad5b-d9cb-469f-a165-70867728950e";

/// A sink that notifies OpenStack: a Keystone whose newest token is good, and a service that the test writes.
class CloudSinkTest : public SinkTest {
protected:
    explicit CloudSinkTest(std::string service) : service_(std::move(service)) {
        access.auth_url = server.url("/v3");
        access.user_name = "vitalwire";
        access.password = "secret";
        access.project_name = "service";
        access.timeout = base::Millis(2000);
    }

    /// What the service answers to a request with a good token.
    virtual CloudAnswer serve(const CloudRequest& request) = 0;

    SinkContext context() override { return {loop.io, http, &keystone()}; }

    static AlarmEvent raise(const std::string& kind = "heartbeat_lost") {
        Alarm alarm = open_alarm(kServer, "f1");
        alarm.kind = kind;
        alarm.reason = "disk is full";
        return raise_of(std::move(alarm));
    }
    static AlarmEvent clear(const std::string& kind = "heartbeat_lost") { return clear_of(raise(kind)); }
    static AlarmEvent update() {
        AlarmEvent event = raise();
        event.change = AlarmChange::updated;
        return event;
    }

    CloudServer server{loop.io, [this](const CloudRequest& request) { return answer(request); }};
    CloudAccess access;
    int tokens = 0;  ///< given out; only the newest is good
    std::vector<CloudRequest> served;

private:
    CloudAnswer answer(const CloudRequest& request) {
        if (request.target == "/v3/auth/tokens") {
            ++tokens;
            const nlohmann::json endpoint = {{"interface", "public"}, {"url", server.url(kVersion)}};
            const nlohmann::json token = {{"token", {{"catalog", {{{"type", service_}, {"endpoints", {endpoint}}}}}}}};
            return {201, token.dump(), {{"X-Subject-Token", "token-" + std::to_string(tokens)}}};
        }
        if (request.token != "token-" + std::to_string(tokens)) return {401, R"({"error":{"message":"who?"}})"};
        CloudRequest below = request;
        if (below.target.starts_with(kVersion)) below.target.erase(0, std::string_view(kVersion).size());
        served.push_back(below);
        return serve(below);
    }
    Keystone& keystone() {
        if (!keystone_) keystone_ = std::make_unique<Keystone>(loop.io, http, access);
        return *keystone_;
    }

    std::string service_;
    std::unique_ptr<Keystone> keystone_;
};

/// Answers of something that is not the service.
inline const std::vector<CloudAnswer>& bad_answers() {
    static const std::vector<CloudAnswer> answers = {
        {200, "<html><body>Welcome</body></html>"},
        {200, ""},
        {200, R"({"truncated": [)"},
        {200, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["},
        {200, "null"},
        {500, "<html>"},
        {503, R"({"message":"try again"})"},
        {403, R"({"error":{"message":"not allowed"}})"},
        {404, "<html>nothing here</html>"},
        {302, ""},
    };
    return answers;
}

}  // namespace vitalwire::controller
