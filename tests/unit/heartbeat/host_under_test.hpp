#pragma once

#include <string>
#include <vector>

#include "heartbeat/host_session.hpp"

namespace vitalwire::heartbeat::test {

using base::Millis;
using base::SessionId;
using wire::Dialect;
using Lines = std::vector<std::string>;

/// Challenges count 1, 2, 3 ...; sessions are s1, s2 ...
class CountingEntropy : public IdGenerator {
public:
    std::int64_t challenge() override { return ++challenges_; }
    SessionId session_id() override { return SessionId("s" + std::to_string(++sessions_)); }

private:
    std::int64_t challenges_ = 0;
    int sessions_ = 0;
};

struct Words {
    std::string operator()(const Send& action) const { return std::visit(*this, action.pdu); }
    std::string operator()(const OpenFault& action) const {
        return words("open", action.kind, action.detail, action.reason);
    }
    std::string operator()(const UpdateFault& action) const {
        return words("update", action.kind, action.detail, action.reason);
    }
    std::string operator()(const ClearFault& action) const { return words("clear", action.kind, action.reason, ""); }
    std::string operator()(const SaveRegistration& action) const {
        if (action.registration) return "keep " + action.registration->session.str();
        return action.expected_back ? "expect back" : "forget";
    }
    std::string operator()(const wire::InitAck& pdu) const { return "init_ack " + pdu.session.str(); }
    std::string operator()(const wire::Challenge& pdu) const { return "challenge " + std::to_string(pdu.value); }
    std::string operator()(const wire::Exit& pdu) const { return "exit " + pdu.session.str(); }
    std::string operator()(const wire::Nack& pdu) const {
        return "nack " + std::string(to_string(pdu.code)) +
               (pdu.min_interval ? " min " + std::to_string(pdu.min_interval->count()) : "");
    }
    template <class T>
    std::string operator()(const T&) const {
        return "a message only a guest sends";
    }

    static std::string words(std::string verb, FaultKind kind, const std::string& detail, const std::string& reason) {
        verb += " " + std::string(to_string(kind));
        if (!detail.empty()) verb += " " + detail;
        if (!reason.empty()) verb += ": " + reason;
        return verb;
    }
};

/// One guest as its host sees it; every call returns what the host does, as words.
class Host {
public:
    explicit Host(HostPolicy policy = {}) : session_(policy, ids_) {}

    Host& after(Millis time) {
        now_ += time;
        return *this;
    }

    Lines on(const HostEvent& event) {
        HostActions actions;
        session_.step(event, now_, wall_, actions);
        Lines lines;
        for (const auto& action : actions)
            lines.push_back(std::visit(Words{}, action));
        return lines;
    }
    Lines tick() { return on(Tick{}); }
    Lines connect(Dialect dialect = Dialect::native) { return on(Connected{dialect}); }
    Lines init(Millis interval = Millis(1000), Dialect dialect = Dialect::native) {
        return on(Received{dialect, wire::Init{7, 0, "vm1", interval, {}, model::CorrectiveAction::none}});
    }
    Lines answer(std::int64_t value, bool healthy = true, const std::string& reason = "",
                 const std::string& session = "s1") {
        return on(Received{Dialect::native, wire::ChallengeResponse{SessionId(session), value, healthy, reason, {}}});
    }
    Lines answer_existing(std::int64_t value) {
        return on(Received{Dialect::existing, wire::ChallengeResponse{{}, value, true, "", {}}});
    }
    Lines exit(const std::string& session) { return on(Received{Dialect::native, wire::Exit{SessionId(session), ""}}); }

    /// Registered as s1 every 1000 ms, challenge 1 sent just now.
    Host& beating(Dialect dialect = Dialect::native) {
        connect(dialect);
        init(Millis(1000), dialect);
        tick();
        return *this;
    }
    /// beating(), and challenge 1 never answered.
    Host& lost() {
        beating().after(Millis(1000)).tick();
        return *this;
    }
    void resume(const std::vector<OpenFault>& open) {
        const Registration registration{Dialect::native, SessionId("s0"), "vm1", Millis(1000), Millis(1000), {}, {}};
        session_.resume({registration, false}, open, now_);
    }

    const HostSession& session() const { return session_; }
    Millis due_in() const { return std::chrono::duration_cast<Millis>(session_.next_deadline() - now_); }
    bool idle() const { return session_.next_deadline() == base::kNever; }

private:
    CountingEntropy ids_;
    base::TimePoint now_{std::chrono::hours(1)};
    base::WallTime wall_{std::chrono::hours(500000)};
    HostSession session_;
};

inline HostPolicy required() {
    HostPolicy policy;
    policy.required = true;
    return policy;
}

}  // namespace vitalwire::heartbeat::test
