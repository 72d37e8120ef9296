#include <gmock/gmock.h>
#include <poll.h>
#include <vitalwire/vitalwire.h>

#include <memory>
#include <string>
#include <vector>

#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// An application that writes down all that it is told.
class GroupApplication {
public:
    explicit GroupApplication(const std::string& socket) {
        vw_options options = VW_OPTIONS_INIT;
        options.socket_path = socket.c_str();
        EXPECT_EQ(vw_open(&options, &handle), VW_OK);
    }
    ~GroupApplication() { EXPECT_EQ(vw_close(handle), VW_OK); }
    GroupApplication(const GroupApplication&) = delete;
    GroupApplication& operator=(const GroupApplication&) = delete;

    void subscribe() {
        vw_group_options options = VW_GROUP_OPTIONS_INIT;
        options.context = this;
        options.broadcast = [](vw_t*, const vw_group_message* message, void* self) {
            of(self).broadcasts.emplace_back(static_cast<const char*>(message->data), message->size);
            of(self).source = message->source_instance;
            of(self).from_operator = message->from_operator;
        };
        options.notification = [](vw_t*, const vw_group_notification* told, void* self) {
            of(self).notifications.push_back(std::string(told->member->instance_id) + " " + told->member->state + " " +
                                             (told->member->heartbeat ? told->member->heartbeat : "-"));
            of(self).json = told->member->json;
            of(self).timestamp_told = told->timestamp != nullptr;
        };
        options.refused = [](vw_t*, const vw_group_refusal* refusal, void* self) {
            of(self).refusals.push_back(*refusal);
        };
        options.dropped = [](vw_t*, std::uint64_t count, void* self) { of(self).dropped += count; };
        EXPECT_EQ(vw_group_subscribe(handle, &options), VW_OK) << vw_last_error(handle);
    }
    vw_result_t query(std::uint32_t timeout_ms = 0) {
        return vw_group_query(
            handle, timeout_ms,
            [](vw_t*, vw_result_t result, const char*, const vw_group_member* const* states, size_t count, void* self) {
                of(self).answers.push_back(result);
                of(self).members.clear();
                for (size_t i = 0; i < count; ++i)
                    of(self).members.emplace_back(states[i]->instance_id);
            },
            this);
    }
    vw_result_t broadcast(const std::string& payload, std::uint32_t* id = nullptr) {
        return vw_group_broadcast(handle, payload.data(), payload.size(), id);
    }
    void poll_once() {
        pollfd ready{vw_fd(handle), POLLIN, 0};
        if (::poll(&ready, 1, 0) != 1) return;
        EXPECT_EQ(vw_dispatch(handle, VW_DISPATCH_ALL), VW_OK);
    }

    static GroupApplication& of(void* self) { return *static_cast<GroupApplication*>(self); }

    vw_t* handle = nullptr;
    std::vector<std::string> broadcasts, notifications, members;
    std::vector<vw_group_refusal> refusals;
    std::vector<vw_result_t> answers;
    std::string source, json;
    bool from_operator = false, timestamp_told = false;
    std::uint64_t dropped = 0;
};

wire::MemberState member(const std::string& instance) {
    wire::MemberState state;
    state.instance_id = instance;
    state.display_name = "name of " + instance;
    state.state = "active";
    return state;
}

class LibvitalwireGroupTest : public GuestTest {
protected:
    GroupApplication& application() {
        applications_.push_back(std::make_unique<GroupApplication>(dir_ / "apps"));
        GroupApplication& added = *applications_.back();
        await("it is connected", [&] { return vw_is_connected(added.handle) == 1; });
        return added;
    }
    /// Subscribed, and known by the daemon to be: an answered query shows it.
    GroupApplication& subscribed() {
        GroupApplication& added = application();
        added.subscribe();
        EXPECT_EQ(added.query(), VW_OK);
        host_->send_group(wire::StatusDone{await_group<wire::StatusQuery>().seq, 0});
        await("the query is answered", [&] { return !added.answers.empty(); });
        added.answers.clear();
        return added;
    }
    void turn() override {
        GuestTest::turn();
        for (const auto& each : applications_)
            each->poll_once();
    }

    std::vector<std::unique_ptr<GroupApplication>> applications_;
};

TEST_F(LibvitalwireGroupTest, ABroadcastReachesTheHostByteForByte) {
    start_registered();
    auto& app = application();
    std::string all_bytes;
    for (int i = 0; i < 256; ++i)
        all_bytes.push_back(static_cast<char>(i));
    for (const std::string& payload : {std::string(), std::string("text"), std::string("a\0b\nc\"d\\", 8), all_bytes,
                                       std::string(3050, '\xff'), std::string(3050, '\0'), std::string(3050, 'x')}) {
        std::uint32_t id = 0;
        ASSERT_EQ(app.broadcast(payload, &id), VW_OK) << vw_last_error(app.handle);
        EXPECT_GE(id, 1U);
        EXPECT_EQ(await_group<wire::Broadcast>().payload, payload);
    }
}

TEST_F(LibvitalwireGroupTest, P09_TheLimitIsExact) {
    start_registered();
    auto& app = application();
    EXPECT_EQ(app.broadcast(std::string(VW_MAX_PAYLOAD, 'x')), VW_OK);
    EXPECT_EQ(app.broadcast(std::string(VW_MAX_PAYLOAD + 1, 'x')), VW_ERR_TOO_LARGE);
    EXPECT_STREQ(vw_last_error(app.handle), "size: payload of 3051 bytes, at most 3050 are accepted");
    EXPECT_EQ(vw_group_broadcast(app.handle, nullptr, 1, nullptr), VW_ERR_INVALID);
}

TEST_F(LibvitalwireGroupTest, P12_EverySubscriberHearsABroadcast) {
    start_registered();
    auto& one = subscribed();
    auto& two = subscribed();
    auto& deaf = application();
    const std::string payload("a\0\xff", 3);
    host_->send_group(wire::Delivery{"vm-2", payload});
    await("both heard it", [&] { return !one.broadcasts.empty() && !two.broadcasts.empty(); });
    EXPECT_THAT(one.broadcasts, ElementsAre(payload));
    EXPECT_EQ(two.source, "vm-2");
    EXPECT_FALSE(one.from_operator);
    host_->send_group(wire::Delivery{"operator", "test", true});
    await("the operator's came", [&] { return one.from_operator; });
    EXPECT_THAT(deaf.broadcasts, IsEmpty());
}

TEST_F(LibvitalwireGroupTest, P13_ANotificationHasFieldsAndTheWholeObject) {
    start_registered();
    auto& app = subscribed();
    host_->write(R"({"version":2,"source_addr":"vitalwire.group","dest_addr":"vitalwire.group","data":{"version":1,)"
                 R"("msg_type":"notification","event_type":"e","data":{"instance_id":"vm-2","display_name":"","state":)"
                 R"("paused","state_description":"","heartbeat":"lost","colour":"red"}}})"
                 "\n");
    await("it came", [&] { return !app.notifications.empty(); });
    EXPECT_THAT(app.notifications, ElementsAre("vm-2 paused lost"));
    EXPECT_NE(app.json.find("\"colour\":\"red\""), std::string::npos) << app.json;
    EXPECT_FALSE(app.timestamp_told);
}

TEST_F(LibvitalwireGroupTest, P01_QueriesOfSeveralApplicationsAreToldApart) {
    start_registered();
    auto& one = application();
    auto& two = application();
    ASSERT_EQ(one.query(), VW_OK);
    const auto first = await_group<wire::StatusQuery>().seq;
    ASSERT_EQ(two.query(), VW_OK);
    const auto second = await_group<wire::StatusQuery>().seq;
    host_->send_group(wire::StatusResponse{second, member("vm-1")});
    host_->send_group(wire::StatusResponse{first, member("vm-1")});
    host_->send_group(wire::StatusResponse{first, member("vm-2")});
    host_->send_group(wire::StatusDone{second, 1});
    host_->send_group(wire::StatusDone{first, 2});
    await("both are answered", [&] { return !one.answers.empty() && !two.answers.empty(); });
    EXPECT_THAT(one.answers, ElementsAre(VW_OK));
    EXPECT_THAT(one.members, ElementsAre("vm-1", "vm-2"));
    EXPECT_THAT(two.members, ElementsAre("vm-1"));
}

TEST_F(LibvitalwireGroupTest, AQueryThatNobodyAnswersEnds) {
    start_registered();
    auto& app = application();
    ASSERT_EQ(app.query(50), VW_OK);
    const auto seq = await_group<wire::StatusQuery>().seq;
    await("it ends", [&] { return !app.answers.empty(); });
    EXPECT_THAT(app.answers, ElementsAre(VW_ERR_TIMEOUT));
    host_->send_group(wire::StatusDone{seq, 0});
    ASSERT_EQ(app.query(), VW_OK);
    host_->send_group(wire::StatusDone{await_group<wire::StatusQuery>().seq, 0});
    await("the next one is answered", [&] { return app.answers.size() == 2; });
    EXPECT_EQ(app.answers[1], VW_OK) << "the late answer to the first is nobody's";
}

TEST_F(LibvitalwireGroupTest, P16_ABaseNackNamesNoQuerySoItEndsAll) {
    start_registered();
    GroupApplication& app = application();
    ASSERT_EQ(app.query(60'000), VW_OK);
    await_group<wire::StatusQuery>();
    host_->write(
        "\n{\"version\":2,\"source_addr\":\"vitalwire.base\",\"dest_addr\":\"vitalwire.group\",\"data\":{\"version\":1,"
        "\"msg_type\":\"nack\",\"code\":\"unknown_address\",\"log_msg\":\"no application at vitalwire.group\","
        "\"orig_msg_type\":\"status_query\"}}\n");
    await("it ends", [&] { return !app.answers.empty(); });
    EXPECT_THAT(app.answers, ElementsAre(VW_ERR_REFUSED));
}

TEST_F(LibvitalwireGroupTest, AnAnswerThatLiesUnreadAtTheTimeoutCounts) {
    start_registered();
    auto& app = application();
    ASSERT_EQ(app.query(50), VW_OK);
    const auto seq = await_group<wire::StatusQuery>().seq;
    host_->send_group(wire::StatusDone{seq, 0});
    const auto end = base::Clock::now() + milliseconds(150);
    while (base::Clock::now() < end)
        GuestTest::turn();  // the application does not dispatch
    await("it ends", [&] { return !app.answers.empty(); });
    EXPECT_THAT(app.answers, ElementsAre(VW_OK));
}

TEST_F(LibvitalwireGroupTest, AnAnswerWithAPartMissingIsAnError) {
    start_registered();
    auto& app = application();
    ASSERT_EQ(app.query(), VW_OK);
    const auto seq = await_group<wire::StatusQuery>().seq;
    host_->send_group(wire::StatusResponse{seq, member("vm-1")});
    host_->send_group(wire::StatusDone{seq, 2});
    await("it ends", [&] { return !app.answers.empty(); });
    EXPECT_THAT(app.answers, ElementsAre(VW_ERR_INCOMPLETE));
    EXPECT_THAT(app.members, IsEmpty());
}

TEST_F(LibvitalwireGroupTest, ARefusalNamesItsBroadcast) {
    start_registered();
    auto& app = subscribed();
    std::uint32_t id = 0;
    ASSERT_EQ(app.broadcast("x", &id), VW_OK);
    const auto sent = await_group<wire::Broadcast>();
    wire::Nack nack{base::Errc::rate_limited, "too fast", "broadcast"};
    nack.seq = sent.seq;
    nack.refused = 12;
    host_->send_group(nack);
    await("it is told", [&] { return !app.refusals.empty(); });
    EXPECT_EQ(app.refusals[0].result, VW_ERR_RATE_LIMITED);
    EXPECT_EQ(app.refusals[0].id, id);
    EXPECT_EQ(app.refusals[0].refused, 12U);
}

TEST_F(LibvitalwireGroupTest, WithoutAHostABroadcastAndAQueryFail) {
    start();
    auto& app = application();
    app.subscribe();
    ASSERT_EQ(app.broadcast("x"), VW_OK);
    ASSERT_EQ(app.query(), VW_OK);
    await("both are refused", [&] { return !app.refusals.empty() && !app.answers.empty(); });
    EXPECT_EQ(app.refusals[0].result, VW_ERR_DISCONNECTED);
    EXPECT_THAT(app.answers, ElementsAre(VW_ERR_DISCONNECTED));
}

TEST_F(LibvitalwireGroupTest, AQueryEndsWhenTheHostGoesAway) {
    start_registered();
    auto& app = application();
    ASSERT_EQ(app.query(60'000), VW_OK);
    await_group<wire::StatusQuery>();
    host_->disconnect();
    await("it ends", [&] { return !app.answers.empty(); });
    EXPECT_THAT(app.answers, ElementsAre(VW_ERR_DISCONNECTED));
}

TEST_F(LibvitalwireGroupTest, AQueryEndsWhenVitalwiredGoesAwayAndTheSubscriptionReturnsWithIt) {
    start_registered();
    auto& app = subscribed();
    ASSERT_EQ(app.query(60'000), VW_OK);
    guest_.reset();
    await("it ends", [&] { return !app.answers.empty(); });
    EXPECT_THAT(app.answers, ElementsAre(VW_ERR_DISCONNECTED));
    EXPECT_EQ(app.broadcast("x"), VW_ERR_DISCONNECTED);
    EXPECT_EQ(app.query(), VW_ERR_DISCONNECTED);

    start_registered();
    await("it is connected again", [&] { return vw_is_connected(app.handle) == 1; });
    await("broadcasts come again", [&] {
        host_->send_group(wire::Delivery{"vm-2", "hello"});
        turn();
        return !app.broadcasts.empty();
    });
}

TEST_F(LibvitalwireGroupTest, NothingComesAfterUnsubscribing) {
    start_registered();
    auto& app = subscribed();
    auto& witness = subscribed();
    ASSERT_EQ(vw_group_unsubscribe(app.handle), VW_OK);
    for (int i = 0; i < 3; ++i)
        host_->send_group(wire::Delivery{"vm-2", "hello", false, 1});
    await("the other heard all", [&] { return witness.broadcasts.size() == 3; });
    EXPECT_THAT(app.broadcasts, IsEmpty());
    EXPECT_EQ(witness.dropped, 3U);
    EXPECT_EQ(app.dropped, 0U);
}

TEST_F(LibvitalwireGroupTest, WrongArgumentsAreNamed) {
    start_registered();
    auto& app = application();
    EXPECT_EQ(vw_group_query(app.handle, 0, nullptr, nullptr), VW_ERR_INVALID);
    EXPECT_EQ(app.query(VW_MAX_QUERY_TIMEOUT_MS + 1), VW_ERR_INVALID);
    EXPECT_STREQ(vw_last_error(app.handle), "timeout_ms: expected 1 to 3600000 milliseconds");
    EXPECT_EQ(vw_group_subscribe(app.handle, nullptr), VW_ERR_INVALID);
    EXPECT_EQ(vw_group_broadcast(nullptr, "x", 1, nullptr), VW_ERR_INVALID);
    for (int i = 0; i < VW_MAX_QUERIES; ++i)
        ASSERT_EQ(app.query(), VW_OK);
    EXPECT_EQ(app.query(), VW_ERR_QUEUE_FULL);
}

}  // namespace
}  // namespace vitalwire::guest::test
