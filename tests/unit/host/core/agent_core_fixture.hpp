#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "host/core/agent_core.hpp"

namespace vitalwire::host {

class NumberedIds final : public IdGenerator {
public:
    std::int64_t challenge() override { return ++challenges_; }
    base::SessionId session_id() override { return base::SessionId("s" + std::to_string(++sessions_)); }
    base::FaultId fault_id() override { return base::FaultId("f" + std::to_string(++faults_)); }

private:
    std::int64_t challenges_ = 0;
    int sessions_ = 0;
    int faults_ = 0;
};

/// An agent's core in virtual time on a disk that outlives it; one source, one controller.
class AgentCoreTest : public testing::Test, protected AgentCore::Output {
protected:
    using GuestId = base::GuestId;
    using Millis = base::Millis;
    using ChannelKind = wire::ChannelKind;
    using Dialect = wire::Dialect;
    using Disk = std::map<std::string, std::map<std::string, std::string>>;

    AgentCoreTest() { restart(); }

    void restart(const std::string& boot = "boot-1") {
        core_.reset();
        handed_over_.clear();
        AgentCore::Settings settings;
        settings.heartbeat = monitor_settings_;
        AgentCore::Output& output = *this;
        core_ = std::make_unique<AgentCore>(
            AgentCore::Identity{{base::HostId("node"), "1", "life-" + std::to_string(++lives_), boot},
                                {Millis(60'000)},
                                false,
                                "fresh"},
            settings, ids_, output);
        core_->add_source("hypervisor");
        core_->add_link("controller", at());
        core_->start(at());
    }
    void listed(const SourceListing& listing = {"here"}) { core_->source_listed("hypervisor", listing, at()); }
    void connect_controller() {
        core_->link_up(0, at());
        core_->controller_sent(0, bus::Welcome{1, "ctl-1"}, at());
        after(Millis(0));
    }
    void after(base::Duration time) {
        if (disk_writes_ && std::exchange(disk_awaited_, false)) core_->durable(at());
        const base::TimePoint until = now_ + time;
        while (core_->next_due() <= until) {
            advance_to(std::max(now_, core_->next_due()));
            core_->tick(at());
        }
        advance_to(until);
    }
    void advance_to(base::TimePoint until) {
        while (now_ + Millis(50) < until) {
            now_ += Millis(50);
            core_->probe(now_);
        }
        now_ = until;
        core_->probe(now_);
    }
    base::Moment at() const { return {now_, base::WallTime{} + std::chrono::hours(1)}; }

    void found(Millis end_known_within = Millis(300)) {
        core_->channel_found(kGuest, ChannelKind::native, end_known_within, at());
        core_->machine(kGuest, heartbeat::Found{}, at());
    }
    void registered() {
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
        core_->heartbeat_received(GuestKey(kGuest), Dialect::native, wire::Init{}, at());
        after(Millis(0));
        answer();
    }
    void answer(bool healthy = true) {
        core_->heartbeat_received(
            GuestKey(kGuest), Dialect::native,
            wire::ChallengeResponse{challenge_.session, challenge_.value, healthy, healthy ? "" : "full", {}}, at());
    }
    void init() { core_->heartbeat_received(GuestKey(kGuest), Dialect::native, wire::Init{}, at()); }
    template <class Message>
    std::vector<Message> sent() const {
        std::vector<Message> out;
        for (const bus::ToController& message : sent_) {
            if (const auto* found = std::get_if<Message>(&message)) out.push_back(*found);
        }
        return out;
    }
    std::vector<std::string> open_faults() const {
        std::vector<std::string> out;
        core_->monitor().faults().for_each([&](const model::Fault& fault) {
            if (fault.open())
                out.push_back(fault.id.str() + ' ' + std::string(to_string(fault.kind)) + ' ' + fault.detail);
        });
        return out;
    }
    model::Fault lost(const std::string& id) const {
        model::Fault fault;
        fault.id = base::FaultId(id);
        fault.guest = kGuest;
        fault.kind = model::FaultKind::heartbeat_lost;
        fault.detail = "silent";
        return fault;
    }

    /// Once, as the store does.
    std::map<std::string, std::string> load(const std::string& table) override {
        return handed_over_.insert(table).second ? disk_[table] : std::map<std::string, std::string>();
    }
    void put(const std::string& table, const std::string& key, std::string value) override {
        disk_[table][key] = std::move(value);
    }
    void erase(const std::string& table, const std::string& key) override { disk_[table].erase(key); }
    void send(const GuestKey&, Dialect, const wire::HeartbeatPdu& pdu) override {
        if (const auto* challenge = std::get_if<wire::Challenge>(&pdu)) challenge_ = *challenge;
        if (const auto* ack = std::get_if<wire::InitAck>(&pdu)) {
            ++acknowledged_;
            facts_ = ack->facts;
        }
        if (const auto* notify = std::get_if<wire::ActionNotify>(&pdu))
            notified_.push_back(std::string(model::to_string(notify->event)) +
                                (notify->revocable ? " vote" : " notice"));
        if (const auto* nack = std::get_if<wire::Nack>(&pdu)) nacks_.push_back(nack->code);
    }
    void final_drain(const GuestKey&, Dialect) override {}
    bool channel_idle(const GuestId&, Dialect) override { return true; }
    void write_group(const GuestId&, Dialect, std::string) override {}
    void group_not_read(const GuestId&, Dialect, std::uint64_t) override {}
    void allow(const GuestId&, const group::Limits& limits) override { allowed_ = limits; }
    void send(AgentCore::LinkId, const bus::ToController& message) override { sent_.push_back(message); }
    void leave_at_broker(const bus::Faults&) override {}
    void await_durable() override { disk_awaited_ = true; }
    void ask_machine(const GuestId& guest) override { asked_.push_back(guest.str()); }
    void want(const WantedChannels& wanted) override { wanted_ = wanted; }
    bool read_io(const GuestId&, std::int64_t number) override {
        io_reads_.push_back(number);
        return true;
    }
    void fault_changed(const model::Fault& fault) override {
        // What is sent to the controllers must not wait for anything.
        const auto faults = sent<bus::Faults>();
        sent_before_logged_ = !faults.empty() && faults.back().faults.front().id == fault.id;
    }

    void registered_and_asked() {
        found();
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
        wire::Init init;
        init.notice_times = {Millis(8000), Millis(8000), Millis(8000), Millis(8000)};
        core_->heartbeat_received(GuestKey(kGuest), Dialect::native, init, at());
        after(Millis(0));
        answer();
    }
    void ask(model::LifecycleEvent event) {
        ASSERT_TRUE(core_->ask_guest(
            {kGuest, event, true},
            [this](const GuestActions::Outcome& outcome) { decided_.emplace_back(outcome.answer); }, at()));
    }

    const base::GuestId kGuest{"g1"};
    std::vector<std::string> notified_;
    std::vector<std::string> decided_;
    Monitor::Settings monitor_settings_;
    NumberedIds ids_;
    Disk disk_;
    std::set<std::string> handed_over_;
    base::TimePoint now_{std::chrono::hours(1)};
    std::unique_ptr<AgentCore> core_;
    wire::Challenge challenge_;
    wire::HostFacts facts_;  ///< of the last registration
    std::vector<base::Errc> nacks_;
    int acknowledged_ = 0;
    std::vector<bus::ToController> sent_;
    std::vector<std::string> asked_;
    WantedChannels wanted_;
    std::vector<std::int64_t> io_reads_;
    group::Limits allowed_;
    bool sent_before_logged_ = false;
    bool disk_awaited_ = false;
    bool disk_writes_ = true;
    int lives_ = 0;  ///< of the agent
};

}  // namespace vitalwire::host
