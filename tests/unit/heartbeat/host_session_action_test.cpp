// Rows of the host's state table (proto-spec/heartbeat.md, section 4) about the action that ill health calls for, in
// virtual time.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host_under_test.hpp"

namespace vitalwire::heartbeat::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using wire::Dialect;

TEST(HostSession, H12_AnAnswersActionIsAboutTheIllHealthThatItReports) {
    Host host;
    host.connect();
    const auto reboot = model::CorrectiveAction::reboot;
    host.on(Received{Dialect::native, wire::Init{7, 0, "vm1", Millis(1000), {}, reboot}});
    const auto answer = [&](std::int64_t value, model::CorrectiveAction action) {
        return host.on(
            Received{Dialect::native, wire::ChallengeResponse{SessionId("s1"), value, false, "disk", action}});
    };
    host.tick();
    EXPECT_THAT(answer(1, model::CorrectiveAction::log), ElementsAre("open unhealthy: disk (log)"));
    host.after(Millis(1000)).tick();
    EXPECT_THAT(answer(2, model::CorrectiveAction::none), IsEmpty()) << "cgcs guests name it once a minute";
    host.after(Millis(1000)).tick();
    EXPECT_THAT(answer(3, model::CorrectiveAction::stop), ElementsAre("update unhealthy: disk (stop)"));
    EXPECT_EQ(host.session().registration()->corrective_action, reboot) << "what a hang calls for stays";
}

TEST(HostSession, H13_AnIllGuestThatRegistersAgainWithAnotherActionCallsForThat) {
    Host host;
    host.connect();
    const auto init = [&](std::int64_t invocation, model::CorrectiveAction action) {
        host.on(Received{Dialect::native, wire::Init{invocation, 0, "vm1", Millis(1000), {}, action}});
    };
    const auto answer = [&](const std::string& session, std::int64_t value) {
        host.tick();
        return host.on(Received{Dialect::native, wire::ChallengeResponse{SessionId(session), value, false, "disk"}});
    };
    init(7, model::CorrectiveAction::reboot);
    EXPECT_THAT(answer("s1", 1), ElementsAre("open unhealthy: disk"));
    init(8, model::CorrectiveAction::none);
    EXPECT_THAT(answer("s2", 2), ElementsAre("update unhealthy: disk (none)"));
    host.after(Millis(1000));
    EXPECT_THAT(answer("s2", 3), IsEmpty());
}

}  // namespace
}  // namespace vitalwire::heartbeat::test
