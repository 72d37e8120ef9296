// The host's side of a heartbeat, driven by any sequence of events at any times.
#include <map>
#include <memory>

#include "heartbeat/host_session.hpp"
#include "session_script.hpp"

namespace {

using namespace vitalwire;
using namespace vitalwire::heartbeat;
using wire::Dialect;

class CountingEntropy final : public IdGenerator {
public:
    std::int64_t challenge() override { return ++challenges_; }
    base::SessionId session_id() override { return base::SessionId("s-" + std::to_string(++sessions_)); }

private:
    std::int64_t challenges_ = 0;
    int sessions_ = 0;
};

constexpr std::array kDialects = {Dialect::native, Dialect::cgcs};
constexpr std::array kChannels = {Dialect::native, Dialect::cgcs, Dialect::guest_agent};
const auto& kKinds = model::all_fault_kinds();

class Script {
public:
    explicit Script(fuzz::Input input) : input_(input), session_(std::make_unique<HostSession>(policy_, ids_)) {}

    void run() {
        while (!input_.empty()) {
            clock_.pass(input_, session_->next_deadline());
            if (input_.byte() % 32 == 0) {
                restart();
            } else {
                step(event());
            }
            settle();
        }
    }

private:
    HostEvent event() {
        switch (input_.byte() % 20) {
            case 0:
                return Connected{input_.pick(kChannels)};
            case 1:
                return Closed{input_.pick(kChannels)};
            case 2:
                return Saved{some_session()};
            case 3:
                return Inhibited{static_cast<Inhibit>(input_.byte() % 6)};
            case 4:
                return Released{};
            case 5:
                return Rebooted{};
            case 6:
                return Started{};
            case 7:
                return ChannelRemoved{input_.pick(kChannels)};
            case 8:
                return Stopped{static_cast<StopReason>(input_.byte() % 3)};
            case 9:
                return Crashed{static_cast<CrashReason>(input_.byte() % 4)};
            case 10:
                return PolicyChanged{new_policy()};
            case 11:
                return Received{input_.pick(kDialects), init()};
            case 12:
                return Received{input_.pick(kDialects), wire::Exit{some_session(), "done"}};
            case 13:
                return Tick{};
            case 14:
                return GuestAgentAnswered{};
            case 15:
                return GuestAgentSilent{"silent"};
            case 16:
                return FoundOff{};
            case 17:
                return Found{input_.coin() ? "" : std::to_string(input_.byte() % 3)};
            default:
                return Received{input_.pick(kDialects), response()};
        }
    }

    wire::Init init() {
        static constexpr std::array kIntervals = {10, 100, 400, 1000, 60'000};
        wire::Init init;
        init.invocation_id = input_.byte();
        init.name = "vm";
        init.interval = base::Millis(input_.pick(kIntervals));
        if (input_.coin()) init.response_deadline = base::Millis(50);
        init.revision = input_.byte() % 3;
        if (input_.coin()) init.detection_time = base::Millis(150 + 10 * input_.byte());
        if (input_.coin()) init.challenge_interval = base::Millis(1 + 10 * input_.byte());
        if (input_.coin()) init.restart_time = std::chrono::seconds(input_.byte());
        init.corrective_action = static_cast<model::CorrectiveAction>(input_.byte() % 4);
        return init;
    }

    wire::ChallengeResponse response() {
        wire::ChallengeResponse response;
        response.session = some_session();
        response.value = last_challenge_ - input_.byte() % 3;
        response.healthy = input_.coin();
        response.reason = input_.coin() ? "disk" : "memory";
        if (input_.coin()) response.corrective_action = static_cast<model::CorrectiveAction>(input_.byte() % 4);
        return response;
    }

    base::SessionId some_session() { return input_.byte() % 8 == 0 ? base::SessionId("another") : last_session_; }

    HostPolicy new_policy() {
        HostPolicy policy;
        policy.enabled = input_.byte() % 4 != 0;
        policy.required = policy.enabled && input_.coin();
        policy.guest_agent = input_.coin();
        policy.native_detect_multiplier = policy.cgcs_detect_multiplier = 1 + input_.byte() % 3;
        if (input_.coin()) policy.establish_timeout = std::chrono::seconds(1);
        if (input_.coin()) policy.detection_time = base::Millis(2000);
        policy.ack_when_saved = input_.coin();
        return policy;
    }

    void step(const HostEvent& event) {
        if (const auto* change = std::get_if<PolicyChanged>(&event)) policy_ = change->policy;
        HostActions actions;
        session_->step(event, clock_.now(), clock_.wall(), actions);
        for (const HostAction& action : actions)
            std::visit([&](const auto& each) { check(each, event); }, action);
        check_state();
    }

    /// After every step the owner calls Tick when it is due. It must come to rest.
    void settle() {
        for (int turns = 0; session_->next_deadline() <= clock_.now(); ++turns) {
            FUZZ_REQUIRE(turns < 4);
            step(Tick{});
        }
    }

    /// The agent restarts: all that goes on is what it saved and the faults it kept.
    void restart() {
        std::vector<OpenFault> faults;
        for (const auto& [kind, fault] : open_)
            faults.push_back(fault);
        session_ = std::make_unique<HostSession>(policy_, ids_);
        session_->resume_waiting(waited_);
        session_->resume(saved_, faults, clock_.now());
        if (input_.coin()) session_->resume_inhibited(Inhibit::paused, clock_.now());
        check_state();
    }

    void check(const Send& send, const HostEvent&) {
        FUZZ_REQUIRE(session_->connected(send.dialect));
        if (const auto* challenge = std::get_if<wire::Challenge>(&send.pdu)) {
            FUZZ_REQUIRE(session_->registration() && session_->registration()->session == challenge->session);
            FUZZ_REQUIRE(session_->registration()->dialect == send.dialect);
            last_challenge_ = challenge->value;
        }
        if (const auto* ack = std::get_if<wire::InitAck>(&send.pdu)) {
            FUZZ_REQUIRE(ack->session != last_session_);
            FUZZ_REQUIRE(ack->revision > 0 || ack->response_deadline <= ack->interval);
            last_session_ = ack->session;
        }
    }

    void check(const OpenFault& fault, const HostEvent& event) {
        FUZZ_REQUIRE(open_.emplace(fault.kind, fault).second);
        FUZZ_REQUIRE(policy_.enabled);
        const bool by_time = fault.kind == FaultKind::heartbeat_lost || fault.kind == FaultKind::not_established;
        const bool silent = std::holds_alternative<GuestAgentSilent>(event);
        FUZZ_REQUIRE(by_time == (silent || std::holds_alternative<Tick>(event)));
        if (silent) FUZZ_REQUIRE(fault.kind == FaultKind::heartbeat_lost && fault.detail == kGuestAgentEvidence);
        FUZZ_REQUIRE((fault.kind == FaultKind::vm_crashed) == std::holds_alternative<Crashed>(event));
        if (fault.kind == FaultKind::heartbeat_lost) FUZZ_REQUIRE(session_->registration() && !session_->inhibited());
    }

    void check(const UpdateFault& fault, const HostEvent&) {
        const auto open = open_.find(fault.kind);
        FUZZ_REQUIRE(open != open_.end());
        FUZZ_REQUIRE(open->second.detail != fault.detail || open->second.reason != fault.reason ||
                     (fault.corrective_action && open->second.corrective_action != fault.corrective_action));
        const auto action = fault.corrective_action ? fault.corrective_action : open->second.corrective_action;
        open->second = OpenFault{fault.kind, fault.detail, fault.reason, action};
    }

    void check(const ClearFault& fault, const HostEvent& event) {
        FUZZ_REQUIRE(open_.erase(fault.kind) == 1);
        FUZZ_REQUIRE(!std::holds_alternative<FoundOff>(event));
        FUZZ_REQUIRE(!fault.reason.empty());
    }

    void check(const SaveRegistration& saved, const HostEvent&) { saved_ = saved; }

    void check(const SaveWaited& saved, const HostEvent&) {
        FUZZ_REQUIRE(saved.waited != waited_);
        FUZZ_REQUIRE(saved.waited.answer >= base::Millis{} && saved.waited.registration >= base::Millis{});
        waited_ = saved.waited;
    }

    void check_state() const {
        for (const FaultKind kind : kKinds)
            FUZZ_REQUIRE(session_->fault_open(kind) == open_.contains(kind));
        // What the policy has switched off while the agent was away ends with the next tick.
        const bool ends = session_->next_deadline() <= clock_.now();
        if (!policy_.enabled) FUZZ_REQUIRE(open_.empty() || ends);
        // A restart at any moment continues with what is true now.
        FUZZ_REQUIRE(saved_.registration == session_->registration());
        FUZZ_REQUIRE(waited_ == session_->waited());
        FUZZ_REQUIRE(session_->next_deadline() >= base::TimePoint{});
    }

    fuzz::Input input_;
    fuzz::ScriptClock clock_;
    CountingEntropy ids_;
    HostPolicy policy_;
    std::unique_ptr<HostSession> session_;
    std::map<FaultKind, OpenFault> open_;
    SaveRegistration saved_;
    Waited waited_;
    base::SessionId last_session_;
    std::int64_t last_challenge_ = 0;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script(fuzz::Input(data, size)).run();
    return 0;
}
