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
        return words("open", action.kind, action.detail, action.reason) + advice(action.corrective_action);
    }
    std::string operator()(const UpdateFault& action) const {
        return words("update", action.kind, action.detail, action.reason) + advice(action.corrective_action);
    }
    static std::string advice(std::optional<model::CorrectiveAction> action) {
        return action ? " (" + std::string(model::to_string(*action)) + ")" : "";
    }
    std::string operator()(const ClearFault& action) const { return words("clear", action.kind, action.reason, ""); }
    std::string operator()(const SaveRegistration& action) const {
        if (action.registration) return "keep " + action.registration->session.str();
        return action.expected_back ? "expect back" : "forget";
    }
    std::string operator()(const wire::InitAck& pdu) const {
        if (pdu.revision == 0) return "init_ack " + pdu.session.str();
        return "init_ack " + pdu.session.str() + " " + std::to_string(pdu.interval.count()) + "+" +
               std::to_string(pdu.response_deadline.count());
    }
    std::string operator()(const wire::Challenge& pdu) const { return "challenge " + std::to_string(pdu.value); }
    std::string operator()(const wire::Exit& pdu) const { return "exit " + pdu.session.str(); }
    std::string operator()(const wire::Nack& pdu) const {
        return "nack " + std::string(to_string(pdu.code)) +
               (pdu.min_interval ? " min " + std::to_string(pdu.min_interval->count()) : "") +
               (pdu.min_detection_time ? " detection " + std::to_string(pdu.min_detection_time->count()) : "") +
               (pdu.session ? " for " + pdu.session->str() : "");
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
        for (const auto& action : actions) {
            // How long it was awaited is tested with the agent that keeps it.
            if (std::holds_alternative<SaveWaited>(action)) continue;
            lines.push_back(std::visit(Words{}, action));
            if (const auto* save = std::get_if<SaveRegistration>(&action)) saved_ = *save;
        }
        return lines;
    }
    Lines tick() { return on(Tick{}); }
    Lines connect(Dialect dialect = Dialect::native) { return on(Connected{dialect}); }
    Lines init(Millis interval = Millis(1000), Dialect dialect = Dialect::native) {
        return on(Received{dialect, wire::Init{7, 0, "vm1", interval, {}, model::CorrectiveAction::none}});
    }
    /// Of revision 1, which declares this detection time, or none.
    Lines init_detected_within(std::optional<Millis> time, std::optional<Millis> challenge_interval = {}) {
        wire::Init init;
        init.invocation_id = 7;
        init.revision = 1;
        init.name = "vm1";
        init.detection_time = time;
        init.challenge_interval = challenge_interval;
        return on(Received{Dialect::native, init});
    }
    Lines answer(std::int64_t value, bool healthy = true, const std::string& reason = "",
                 const std::string& session = "s1") {
        return on(Received{Dialect::native, wire::ChallengeResponse{SessionId(session), value, healthy, reason, {}}});
    }
    Lines answer_cgcs(std::int64_t value) {
        return on(Received{Dialect::cgcs, wire::ChallengeResponse{{}, value, true, "", {}}});
    }
    Lines exit(const std::string& session) { return on(Received{Dialect::native, wire::Exit{SessionId(session), ""}}); }

    /// Registered as s1 every 1000 ms, challenge 1 sent just now.
    Host& beating(Dialect dialect = Dialect::native) {
        connect(dialect);
        init(Millis(1000), dialect);
        tick();
        return *this;
    }
    /// The same of revision 1: interval 300 ms, deadline 600 ms.
    Host& detected_within_900() {
        connect();
        init_detected_within(Millis(900));
        tick();
        return *this;
    }
    /// Until `time` from now, with a tick whenever one is due: what the host does, each with the time that has passed.
    Lines run(Millis time) {
        Lines lines;
        const base::TimePoint from = now_;
        for (; session_.next_deadline() <= from + time;) {
            now_ = std::max(now_, session_.next_deadline());
            const auto passed = std::chrono::duration_cast<Millis>(now_ - from).count();
            for (const std::string& line : tick())
                lines.push_back(std::to_string(passed) + " " + line);
        }
        now_ = from + time;
        return lines;
    }
    /// beating(), and challenge 1 never answered.
    Host& lost() {
        beating().after(Millis(1000)).tick();
        return *this;
    }
    void resume(const std::vector<OpenFault>& open, const std::string& run = "") {
        Registration registration;
        registration.session = SessionId("s0");
        registration.run = run;
        registration.name = "vm1";
        registration.interval = registration.response_deadline = Millis(1000);
        session_.resume({registration, false, {}}, open, now_);
    }

    void resume_inhibited(Inhibit why) { session_.resume_inhibited(why, now_); }
    void resume_unregistered(const std::vector<OpenFault>& open, const SaveRegistration& saved = {}) {
        session_.resume(saved, open, now_);
    }

    const HostSession& session() const { return session_; }
    const SaveRegistration& saved() const { return saved_; }
    Millis due_in() const { return std::chrono::duration_cast<Millis>(session_.next_deadline() - now_); }
    bool idle() const { return session_.next_deadline() == base::kNever; }

private:
    CountingEntropy ids_;
    base::TimePoint now_{std::chrono::hours(1)};
    base::WallTime wall_{std::chrono::hours(500000)};
    HostSession session_;
    SaveRegistration saved_;
};

inline HostPolicy required() {
    HostPolicy policy;
    policy.required = true;
    return policy;
}

}  // namespace vitalwire::heartbeat::test
