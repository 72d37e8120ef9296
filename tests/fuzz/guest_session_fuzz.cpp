// The guest's side of a heartbeat, driven by any sequence of events at any times.
#include <optional>

#include "heartbeat/guest_session.hpp"
#include "session_script.hpp"

namespace {

using namespace vitalwire;
using namespace vitalwire::heartbeat;

constexpr base::Millis kSpace{1000};  // G-08, G-10: least time between two inits that a host provokes

class Script {
public:
    explicit Script(fuzz::Input input) : input_(input) {}

    void run() {
        while (!input_.empty()) {
            clock_.pass(input_, session_.next_deadline());
            step();
            settle();
        }
    }

private:
    void step() {
        GuestSession::Actions actions;
        switch (input_.byte() % 10) {
            case 0:
                session_.connected(clock_.now(), actions);
                may_init_at_once_ = true;
                break;
            case 1:
                session_.disconnected(actions);
                break;
            case 2:
                session_.reconfigure(new_settings(), clock_.now(), actions);
                break;
            case 3:
                stopping_ = true;
                session_.stop("bye", actions);
                break;
            case 4:
                session_.tick(clock_.now(), actions);
                break;
            default:
                session_.received(message(), {input_.coin(), "disk"}, clock_.now(), actions);
        }
        check(actions);
        may_init_at_once_ = stopping_ = false;
        challenge_.reset();
    }

    void settle() {
        for (int turns = 0; session_.next_deadline() <= clock_.now(); ++turns) {
            FUZZ_REQUIRE(turns < 4);
            GuestSession::Actions actions;
            session_.tick(clock_.now(), actions);
            check(actions);
        }
    }

    wire::HeartbeatPdu message() {
        const base::SessionId session = input_.byte() % 4 == 0 ? base::SessionId("another") : base::SessionId("mine");
        switch (input_.byte() % 6) {
            case 0:
                return wire::InitAck{last_invocation_ - input_.byte() % 2, input_.byte() % 2, session,
                                     base::Millis(100 * input_.byte()), base::Millis(50)};
            case 1:
                return nack();
            case 2:
                return wire::Exit{session, "switched off"};
            default:
                challenge_ = wire::Challenge{session, input_.byte()};
                return *challenge_;
        }
    }

    wire::Nack nack() {
        static constexpr std::array kCodes = {base::Errc::no_session,          base::Errc::interval_too_small,
                                              base::Errc::not_enabled,         base::Errc::bad_field,
                                              base::Errc::unsupported_version, base::Errc::rate_limited,
                                              base::Errc::unknown_address,     base::Errc::unknown_msg_type};
        wire::Nack nack;
        nack.code = input_.pick(kCodes);
        nack.orig_msg_type = input_.coin() ? "init" : "unknown";
        if (input_.coin()) nack.invocation_id = last_invocation_;
        if (input_.coin()) nack.min_interval = base::Millis(10 * input_.byte());
        if (input_.coin()) nack.min_detection_time = base::Millis(20 * input_.byte());
        if (input_.coin()) nack.session = base::SessionId(input_.coin() ? "mine" : "another");
        return nack;
    }

    GuestSettings new_settings() {
        GuestSettings settings;
        settings.name = "vm";
        if (input_.coin()) settings.detection_time = base::Millis(200 + input_.byte());
        if (input_.coin()) settings.interval = base::Millis(100 + input_.byte());
        if (input_.coin()) settings.response_deadline = base::Millis(80);
        return settings;
    }

    void check(const GuestSession::Actions& actions) {
        for (const auto& action : actions)
            std::visit([&](const auto& each) { check(each); }, action);
        FUZZ_REQUIRE(session_.registered() == registered_);
    }

    void check(const GuestSession::SendPdu& send) {
        std::visit([&](const auto& pdu) { check_sent(pdu); }, send.pdu);
    }

    void check(const GuestSession::Registered& registered) {
        // Of two answers to one init the later counts, without an end of the session between.
        FUZZ_REQUIRE(!registered_ || registered.session != own_session_);
        FUZZ_REQUIRE(registered.interval >= base::Millis(0));
        registered_ = true;
        own_session_ = registered.session;
    }

    void check(const GuestSession::Unregistered& unregistered) {
        FUZZ_REQUIRE(registered_ && !unregistered.why.empty());
        registered_ = false;
    }

    void check(const GuestSession::Refused& refused) { FUZZ_REQUIRE(refused.retry_in >= base::Millis(0)); }
    void check(const GuestSession::Asked& asked) { FUZZ_REQUIRE(!asked.notify.session.empty()); }

    // Nothing that a host sends makes a guest flood it.
    void check_sent(const wire::Init& init) {
        FUZZ_REQUIRE(init.invocation_id != last_invocation_ || !last_init_at_);
        FUZZ_REQUIRE(!init.response_deadline || *init.response_deadline <= init.interval);
        FUZZ_REQUIRE(may_init_at_once_ || !last_init_at_ || clock_.now() >= *last_init_at_ + kSpace);
        last_invocation_ = init.invocation_id;
        last_init_at_ = clock_.now();
    }

    void check_sent(const wire::ChallengeResponse& response) {
        // The known session is answered also while the guest is not, or not any more, registered.
        FUZZ_REQUIRE(challenge_);
        FUZZ_REQUIRE(response.session == own_session_ && challenge_->session == own_session_);
        FUZZ_REQUIRE(response.value == challenge_->value);
        challenge_.reset();
    }

    void check_sent(const wire::Exit& exit) {
        FUZZ_REQUIRE(stopping_);
        FUZZ_REQUIRE(exit.session == own_session_);
    }

    template <class Pdu>
    void check_sent(const Pdu&) {
        FUZZ_REQUIRE(!"a message that only a host sends");
    }

    fuzz::Input input_;
    fuzz::ScriptClock clock_;
    GuestSession session_{{"vm", base::Millis(1000), {}, model::CorrectiveAction::none}, 41};
    bool registered_ = false;
    base::SessionId own_session_;
    std::int64_t last_invocation_ = 41;
    std::optional<base::TimePoint> last_init_at_;
    std::optional<wire::Challenge> challenge_;  ///< of the running step, not answered yet
    bool may_init_at_once_ = false;
    bool stopping_ = false;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script(fuzz::Input(data, size)).run();
    return 0;
}
