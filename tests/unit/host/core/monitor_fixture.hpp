#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "host/core/monitor.hpp"

namespace vitalwire::host {

/// Counts up, so that a run repeats exactly.
class CountingEntropy final : public IdGenerator {
public:
    std::int64_t challenge() override { return ++challenges_; }
    base::SessionId session_id() override { return base::SessionId("s" + std::to_string(++sessions_)); }
    base::FaultId fault_id() override { return base::FaultId("f" + std::to_string(++faults_)); }

private:
    std::int64_t challenges_ = 0;
    int sessions_ = 0;
    int faults_ = 0;
};

/// A host in virtual time: events go in by name of the guest, everything that comes out is written down in words.
class MonitorTest : public testing::Test, protected Monitor::Output {
protected:
    MonitorTest() : monitor_(Monitor::Settings{}, ids_, *this) {}

    // What happens.
    void at(base::Millis since_start) {
        const base::TimePoint until = base::TimePoint{} + since_start;
        while (monitor_.next_deadline() <= until) {
            now_ = std::max(now_, monitor_.next_deadline());
            monitor_.tick(now_, wall());
        }
        now_ = until;
    }
    void step(const char* guest, const heartbeat::HostEvent& event) {
        monitor_.step(base::GuestId(guest), event, now_, wall());
    }
    void connect(const char* guest) { step(guest, heartbeat::Connected{wire::Dialect::native}); }
    void init(const char* guest, base::Millis interval = base::Millis(1000)) {
        wire::Init pdu;
        pdu.name = std::string("name of ") + guest;
        pdu.interval = interval;
        pdu.corrective_action = model::CorrectiveAction::reboot;
        step(guest, heartbeat::Received{wire::Dialect::native, pdu});
    }
    void registered(const char* guest, base::Millis interval = base::Millis(1000)) {
        connect(guest);
        init(guest, interval);
        monitor_.tick(now_, wall());
        answer(guest);
    }
    void answer(const char* guest, bool healthy = true, const std::string& reason = "") {
        const wire::Challenge& challenge = challenges_.at(guest);
        step(guest,
             heartbeat::Received{wire::Dialect::native,
                                 wire::ChallengeResponse{challenge.session, challenge.value, healthy, reason, {}}});
    }
    void policy(const char* guest, bool complete = true) {
        model::GuestPolicy wish;
        wish.guest = base::GuestId(guest);
        wish.heartbeat = true;
        monitor_.set_policies({complete, {wish}}, now_, wall());
    }
    std::vector<std::string> take() { return std::exchange(log_, {}); }
    std::string state(const char* guest) {
        const auto report = monitor_.report(base::GuestId(guest));
        return report ? report->state : "not shown";
    }
    base::WallTime wall() const {
        return base::WallTime{} + std::chrono::duration_cast<base::WallTime::duration>(now_.time_since_epoch());
    }

    // What comes out.
    void send(const GuestKey& guest, wire::Dialect, const wire::HeartbeatPdu& pdu) override {
        if (const auto* challenge = std::get_if<wire::Challenge>(&pdu)) challenges_[guest.id().str()] = *challenge;
    }
    void final_drain(const GuestKey& guest, wire::Dialect) override {
        if (unread_.erase(guest.id().str()) > 0) answer(guest.id().str().c_str());
    }
    void fault_changed(const model::Fault& fault) override {
        std::string line = fault.open() ? (fault.revision == 1 ? "open " : "update ") : "clear ";
        line += fault.guest.str() + ' ' + std::string(to_string(fault.kind));
        const std::string& why = fault.open() ? fault.detail + fault.reason : fault.clear_reason;
        log_.push_back(why.empty() ? line : line + ' ' + why);
        faults_[fault.id.str()] = fault;
    }
    void fault_delivered(const model::Fault& fault) override { log_.push_back("delivered " + fault.id.str()); }
    void fault_forgotten(const base::FaultId& fault, bool dropped) override {
        log_.push_back((dropped ? "dropped " : "forgotten ") + fault.str());
    }
    void guest_changed(const base::GuestId& guest) override { changes_.push_back(guest.str()); }
    void guest_gone(const base::GuestId& guest) override { changes_.push_back("gone " + guest.str()); }
    void guest_warned(const base::GuestId&, const std::string& name, const std::string& warning) override {
        log_.push_back(name + " warns of " + warning);
    }
    void save(const base::GuestId& guest, const heartbeat::SaveRegistration& saved) override {
        saved_[guest.str()] = saved;
    }
    void closed_changed(const base::GuestId&, model::FaultKind, const std::optional<heartbeat::OpenFault>&) override {}
    void standing_changed(const base::GuestId&, std::optional<heartbeat::Inhibit>) override {}
    void waited_changed(const base::GuestId&, const heartbeat::Waited&) override {}

    CountingEntropy ids_;
    Monitor monitor_;
    base::TimePoint now_{};
    std::map<std::string, wire::Challenge> challenges_;
    std::map<std::string, model::Fault> faults_;
    std::map<std::string, heartbeat::SaveRegistration> saved_;
    std::set<std::string> unread_;  ///< guests whose answer lies in the channel, not read yet
    std::vector<std::string> log_;
    std::vector<std::string> changes_;
};

}  // namespace vitalwire::host
