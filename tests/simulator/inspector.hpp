#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "controller/delivery/sink.hpp"
#include "model/fault.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

/// A receiver of faults: what all controllers send it, and what must hold of that. It takes an event more than once, as
/// real ones do.
class Inspector {
public:
    Inspector(World& world, std::string name) : world_(world), name_(std::move(name)) {}

    const std::string& name() const { return name_; }

    /// Away: nothing arrives. Picky: some events are refused at first. Forgetful of answers: the event arrives and the
    /// confirmation does not.
    void set_away(bool away) { away_ = away; }
    void set_unreliable(bool unreliable) { unreliable_ = unreliable; }

    /// An agent found the fault that it may be sent.
    void fault_opened(const base::FaultId& fault) { opened_[fault] = world_.now(); }
    /// Is called with every event that arrives.
    std::function<void(const controller::AlarmEvent&)> on_received;
    /// A controller stops or is killed.
    void controller_ended();
    /// A controller sends it an event, which may not arrive.
    void sent(const controller::AlarmEvent& event);
    /// An event arrives; the outcome is what its sender learns.
    controller::Outcome receive(const controller::AlarmEvent& event);

    struct Acked {
        std::string kind;
        std::string guest;
        bool open = false;
        bool cleared = false;  ///< once at least: a new primary may deliver all of it again
    };
    const std::map<base::FaultId, Acked>& received() const { return received_; }
    /// "guest kind" of every alarm that is open here.
    std::multiset<std::string> open_alarms() const;
    std::uint64_t collapsed() const { return collapsed_; }
    std::uint64_t events() const { return events_; }

private:
    void take(const controller::AlarmEvent& event);

    World& world_;
    std::string name_;
    bool away_ = false;
    bool unreliable_ = false;
    std::map<base::FaultId, Acked> received_;
    std::set<base::FaultId> raises_sent_;
    std::map<base::FaultId, TimePoint> opened_;
    TimePoint controller_ended_{};
    std::uint64_t collapsed_ = 0;
    std::uint64_t events_ = 0;
};

/// A controller's way to an inspector.
class InspectorSink final : public controller::Sink {
public:
    using Told = std::function<void(const controller::AlarmEvent&)>;
    /// `sends` is called when the controller sends an event, `confirmed` when it has learnt that it was confirmed.
    InspectorSink(World& world, Inspector& inspector, const bool& cut_off, Told sends, Told confirmed)
        : world_(world),
          inspector_(inspector),
          cut_off_(cut_off),
          sends_(std::move(sends)),
          confirmed_(std::move(confirmed)) {}

    void deliver(const controller::AlarmEvent& event, Done done) override;
    /// The invariants are about guests.
    bool takes_hosts() const override { return false; }

private:
    World& world_;
    Inspector& inspector_;
    const bool& cut_off_;  ///< the network between this controller and all inspectors
    Told sends_;
    Told confirmed_;
    std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace vitalwire::simulator
