#include "guest/unwatched.hpp"

#include <gmock/gmock.h>

#include "guest_fixture.hpp"
#include "raw_application.hpp"

namespace vitalwire::guest::test {
namespace {

using testing::Contains;
using testing::Field;
using testing::HasSubstr;

const base::Error kInUse{base::Errc::in_use, "it is registered already"};
constexpr const char* kWanted = "wanted to be watched and is not";

class UnwatchedTest : public LoopTest {
protected:
    UnwatchedTest() {
        lines() = 0;
        log::set_backend([](log::Level, std::string_view) { ++lines(); });
    }
    ~UnwatchedTest() override {
        log::set_backend([](log::Level, std::string_view) {});
    }
    static int& lines() {
        static int count = 0;
        return count;
    }
    void add(uid_t uid, const std::string& name) { unwatched_.add(uid, name, kWanted, kInUse); }
    std::string reason() const { return board_.overall().reason; }

    MonitorClock clock_{io_};
    HealthBoard board_{[](const heartbeat::Health&) {}};
    Unwatched unwatched_{clock_, board_};
};

TEST_F(UnwatchedTest, OneUserTakesNoPlacesFromAnother) {
    for (int i = 0; i < 100; ++i)
        add(1000, "application a" + std::to_string(i));
    add(0, "application db");
    EXPECT_THAT(unwatched_.list(), testing::SizeIs(17));
    EXPECT_THAT(unwatched_.list(), Contains(Field(&app::Item::name, "application db")));
    EXPECT_THAT(reason(), HasSubstr("application db wanted to be watched"));
}

TEST_F(UnwatchedTest, OfEachUserOneIsNamedToTheHostAndTheOthersAreCounted) {
    add(1000, "application b");
    add(1000, "application a");
    EXPECT_EQ(reason(),
              "warning: application a wanted to be watched and is not: it is registered already, and 1 more of user "
              "1000");
    unwatched_.remove(1000, "application a");
    EXPECT_EQ(reason(), "warning: application b wanted to be watched and is not: it is registered already");
    unwatched_.remove(1000, "application b");
    EXPECT_EQ(reason(), "");
}

TEST_F(UnwatchedTest, TwoUsersMayWantTheSameName) {
    add(0, "application db");
    add(1000, "application db");
    unwatched_.remove(0, "application db");
    EXPECT_EQ(reason(), "warning: application db wanted to be watched and is not: it is registered already");
    unwatched_.remove(1000, "application db");
    EXPECT_EQ(reason(), "");
}

TEST_F(UnwatchedTest, AUserDoesNotFillTheLogNorSilenceAnother) {
    for (int i = 0; i < 1000; ++i) {
        add(1000, "application x");
        unwatched_.remove(1000, "application x");
    }
    EXPECT_LE(lines(), 20);
    const int before = lines();
    add(0, "application db");
    EXPECT_EQ(lines(), before + 1);
}

class RefusedTest : public LoopTest {
protected:
    RefusedTest() {
        log::set_level(log::Level::error);
        server_.start();
        application_ = std::make_unique<RawApplication>(dir_ / "apps");
    }
    ~RefusedTest() override { log::set_level(log::Level::info); }
    /// Of a registration with `fields`.
    base::Error refused(const std::string& fields) {
        application_->write(R"({"version":1,"type":"register","healthy":true,)" + fields + "}");
        return answer<app::Refused>().error;
    }
    template <class Event>
    Event answer() {
        std::optional<app::Event> event;
        await("it is answered", [&] { return (event = application_->next()).has_value(); });
        return std::get<Event>(*event);
    }
    std::string reason() const { return board_.overall().reason; }

    MonitorClock clock_{io_};
    HealthBoard board_{[](const heartbeat::Health&) {}};
    FakeChannel channel_;
    GroupApp group_{channel_};
    ActionVotes votes_{clock_, [](const auto&, auto, const auto&) {}};
    AppServer server_{clock_, board_, group_, {dir_ / "apps", "", 4}, votes_};
    std::unique_ptr<RawApplication> application_;
};

TEST_F(RefusedTest, ARegistrationWithAMistakeIsAWarningWithItsName) {
    EXPECT_EQ(refused(R"("name":"db","interval_ms":1,"timeout_ms":1)").code, base::Errc::bad_field);
    EXPECT_THAT(reason(), HasSubstr("warning: application db wanted to be watched and is not: key 'interval_ms'"));
    application_->register_as("db");
    answer<app::Registered>();
    EXPECT_EQ(reason(), "");
}

TEST_F(RefusedTest, OneWithoutAValidNameIsNamedByItsProcessAndProgram) {
    refused(R"("name":"my db","interval_ms":1000,"timeout_ms":1000)");
    const std::string process = "warning: application pid-" + std::to_string(::getpid());
    EXPECT_THAT(reason(), testing::StartsWith(process + " wanted to be watched and is not: key 'name': "));
    EXPECT_THAT(reason(), testing::EndsWith(", in program test_guest"));
    application_->register_as("my-db");
    answer<app::Registered>();
    EXPECT_EQ(reason(), "");
}

TEST_F(RefusedTest, AFurtherNameOnAConnectionIsAWarningAndTheSameNameIsNone) {
    application_->register_as("db");
    answer<app::Registered>();
    refused(R"("name":"db","interval_ms":1000,"timeout_ms":1000)");
    refused(R"("name":"db","interval_ms":1,"timeout_ms":1)");
    EXPECT_EQ(reason(), "") << "it is watched";
    refused(R"("name":"db2","interval_ms":1000,"timeout_ms":1000)");
    EXPECT_THAT(reason(), HasSubstr("application db2 wanted to be watched and is not"));
}

}  // namespace
}  // namespace vitalwire::guest::test
