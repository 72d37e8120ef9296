#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "guest/app_server.hpp"
#include "guest_fixture.hpp"
#include "raw_application.hpp"

namespace vitalwire::guest::test {

/// vitalwired's socket for applications, and what the board makes of them.
class AppServerTest : public LoopTest {
protected:
    AppServerTest() {
        log::set_level(log::Level::error);
        server_.start();
    }
    ~AppServerTest() override { log::set_level(log::Level::info); }

    std::unique_ptr<RawApplication> connect() { return std::make_unique<RawApplication>(dir_ / "apps"); }
    std::unique_ptr<RawApplication> registered(const std::string& name,
                                               std::chrono::milliseconds interval = std::chrono::seconds(60),
                                               std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
        auto application = connect();
        application->register_as(name, interval, timeout);
        next<app::Registered>(*application);
        return application;
    }
    /// The next event, which must be of type `Event`.
    template <class Event>
    Event next(RawApplication& application) {
        std::optional<app::Event> event;
        await("an event comes", [&] { return (event = application.next()).has_value(); });
        if (const auto* refused = std::get_if<app::Refused>(&*event); refused && !std::holds_alternative<Event>(*event))
            throw std::runtime_error("refused: " + refused->error.message);
        return std::get<Event>(*event);
    }
    base::Error refused(RawApplication& application) { return next<app::Refused>(application).error; }
    void await_reason(const std::string& reason) {
        try {
            await("the reason", [&] { return board_.overall().reason == reason; });
        } catch (const std::runtime_error&) {
            FAIL() << "the reason is '" << board_.overall().reason << "', not '" << reason << "'";
        }
    }

    MonitorClock clock_{io_};
    HealthBoard board_{[](const heartbeat::Health&) {}};
    FakeChannel channel_;
    GroupApp group_{channel_};
    ActionVotes votes_{clock_, [](const auto&, auto, const auto&) {}};
    AppServer server_{clock_, board_, group_, {dir_ / "apps", "", 4}, votes_};
};

}  // namespace vitalwire::guest::test
