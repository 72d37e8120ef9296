#include "host/bus/controllers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/host/unix_peer.hpp"

namespace vitalwire::host {
namespace {

using base::FaultId;
using base::GuestId;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using wire::Dialect;

template <class... F>
struct Overload : F... {
    using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

std::string in_words(const bus::ToController& message) {
    return std::visit(
        Overload{[](const bus::Hello& hello) { return std::string(hello.lead ? "hello lead" : "hello"); },
                 [](const bus::LeadChanged& changed) { return std::string(changed.lead ? "lead" : "no lead"); },
                 [](const bus::SnapshotBegin&) { return std::string("begin"); },
                 [](const bus::SnapshotEnd&) { return std::string("end"); },
                 [](const bus::Guests& guests) {
                     std::string out = "guests";
                     for (const auto& report : guests.guests)
                         out += ' ' + report.guest.str() + '=' + report.state;
                     return out;
                 },
                 [](const bus::GuestGone& gone) { return "gone " + gone.guest.str(); },
                 [](const bus::Faults& faults) {
                     std::string out = "faults";
                     for (const auto& fault : faults.faults)
                         out += ' ' + fault.guest.str() + '#' + std::to_string(fault.revision) + '/' +
                                std::to_string(fault.delivered);
                     return out;
                 },
                 [](const auto&) { return std::string("another message"); }},
        message);
}

/// A link that the test takes up and down; what was sent stays with the test.
class FakeLink final : public bus::AgentLink {
public:
    FakeLink(std::string name, std::vector<std::string>& sent) : name_(std::move(name)), sent_(sent) {}

    void start(Handler& handler) override { handler_ = &handler; }
    void stop() override { handler_ = nullptr; }
    void send(const bus::ToController& message) override { sent_.push_back(name_ + ": " + in_words(message)); }
    bool up() const override { return up_; }
    const std::string& name() const override { return name_; }

    void come_up() {
        up_ = true;
        handler_->on_up(*this);
    }
    void go_down() {
        up_ = false;
        handler_->on_down(*this, "gone");
    }
    void says(const bus::ToAgent& message) { handler_->on_message(*this, message); }

private:
    std::string name_;
    std::vector<std::string>& sent_;
    Handler* handler_ = nullptr;
    bool up_ = false;
};

/// A broker at which the test makes controllers appear.
class FakeFinder final : public bus::ControllerFinder {
public:
    void start(Found found, Reached when_reached) override {
        found_ = std::move(found);
        reached = std::move(when_reached);
    }
    void deposit(const bus::Faults& faults) override { deposited.push_back(in_words(faults)); }
    void stop() override { found_ = nullptr; }
    std::string problem() const override { return found_ ? "" : "not started"; }

    FakeLink& appears(const std::string& name, std::vector<std::string>& sent) {
        auto link = std::make_unique<FakeLink>(name, sent);
        FakeLink& there = *link;
        found_(std::move(link));
        return there;
    }

    Reached reached;
    std::vector<std::string> deposited;

private:
    Found found_;
};

class ControllersTest : public testing::Test, protected Monitor::Output {
protected:
    ControllersTest()
        : monitor_({}, ids_, *this),
          controllers_(io_, {base::HostId("node"), "1", "i"}, monitor_, base::Millis(3'600'000),
                       {[this](const bus::Policies& policies) { policies_ += policies.policies.size(); },
                        [this](const bus::FaultsDelivered& delivered) {
                            for (const auto& item : delivered.items)
                                monitor_.delivered(item.fault, item.revision);
                        },
                        [this](bool any) { leads_.push_back(any); }, [this](const bus::ToAgent&) { ++group_messages_; },
                        [this](bool any) { reachable_.push_back(any); }}) {}
    ~ControllersTest() override {
        controllers_.stop();
        io_.restart();
        io_.poll();
    }

    void start(int links) {
        for (int i = 0; i < links; ++i) {
            auto link = std::make_unique<FakeLink>(std::string(1, static_cast<char>('A' + i)), sent_);
            links_.push_back(link.get());
            controllers_.add(std::move(link));
        }
        controllers_.start();
    }
    /// Registers and falls silent.
    void lose(const char* guest) {
        monitor_.step(GuestId(guest), heartbeat::Connected{Dialect::native}, now_, {});
        monitor_.step(GuestId(guest), heartbeat::Received{Dialect::native, wire::Init{}}, now_, {});
        monitor_.tick(now_, {});
        now_ += std::chrono::seconds(1);
        monitor_.tick(now_, {});
    }
    std::vector<std::string> take() {
        io_.restart();
        io_.poll();
        return std::exchange(sent_, {});
    }

    void send(const GuestKey&, Dialect, const wire::HeartbeatPdu&) override {}
    void final_drain(const GuestKey&, Dialect) override {}
    void fault_changed(const model::Fault& fault) override {
        last_fault_ = fault.id;
        controllers_.fault_changed(fault);
    }
    void fault_delivered(const model::Fault&) override {}
    void fault_forgotten(const FaultId&, bool) override {}
    void guest_changed(const GuestId& guest) override { controllers_.guest_changed(guest); }
    void guest_gone(const GuestId& guest) override { controllers_.guest_gone(guest); }
    void save(const GuestId&, const heartbeat::SaveRegistration&) override {}

    boost::asio::io_context io_;
    SystemIdGenerator ids_;
    Monitor monitor_;
    std::vector<std::string> sent_;
    std::vector<bool> leads_;  ///< any controller, at each change
    int group_messages_ = 0;
    Controllers controllers_;
    std::vector<FakeLink*> links_;
    std::vector<bool> reachable_;
    std::size_t policies_ = 0;
    FaultId last_fault_;
    base::TimePoint now_{};
};

TEST_F(ControllersTest, KeepsFaultsForControllersThatAreYetToBeFound) {
    EXPECT_FALSE(controllers_.any());
    auto finder = std::make_unique<FakeFinder>();
    FakeFinder& broker = *finder;
    controllers_.find_by(std::move(finder));
    EXPECT_TRUE(controllers_.any());
    EXPECT_EQ(controllers_.problem(), "not started");
    controllers_.start();
    lose("g");
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(std::exchange(broker.deposited, {}), ElementsAre("faults g#1/0"));
    broker.reached();
    EXPECT_THAT(broker.deposited, ElementsAre("faults g#1/0")) << "the broker may have been away";
    broker.appears("A", sent_).come_up();
    EXPECT_THAT(take(), ElementsAre("A: hello lead", "A: begin", "A: guests g=lost", "A: faults g#1/0", "A: end"));
    broker.appears("B", sent_).come_up();
    EXPECT_EQ(take().front(), "B: hello");
}

TEST_F(ControllersTest, PrefersControllersInAnOrderOfTheHostsOwn) {
    const auto order = [this](const std::vector<std::string>& names) {
        Controllers some(io_, {base::HostId("node"), "1", "i"}, monitor_, base::Millis(1000), {});
        for (const std::string& name : names)
            some.add(std::make_unique<FakeLink>(name, sent_));
        std::vector<std::string> found;
        for (const auto& link : some.status())
            found.push_back(link.name);
        return found;
    };
    EXPECT_EQ(order({"A", "B", "C", "D"}), order({"D", "B", "A", "C"}));
}

TEST_F(ControllersTest, TellsTheWholeStateToAControllerThatConnects) {
    start(1);
    lose("g");
    EXPECT_THAT(take(), IsEmpty());
    links_[0]->come_up();
    EXPECT_THAT(take(), ElementsAre("A: hello lead", "A: begin", "A: guests g=lost", "A: faults g#1/0", "A: end"));
}

TEST_F(ControllersTest, LetsTheFirstLeadAndTellsChangesToAll) {
    start(2);
    links_[1]->come_up();
    links_[0]->come_up();
    EXPECT_THAT(take(), ElementsAre("B: hello lead", "B: begin", "B: end", "A: hello", "A: begin", "A: end"));
    lose("g");
    EXPECT_THAT(take(), AllOf(Contains("A: faults g#1/0"), Contains("B: faults g#1/0"), Contains("A: guests g=lost"),
                              Contains("B: guests g=lost")));
}

TEST_F(ControllersTest, MakesAnotherOneLeadAndTellsItWhatTheFirstHasDelivered) {
    start(2);
    links_[0]->come_up();
    links_[1]->come_up();
    lose("g");
    links_[0]->says(bus::FaultsDelivered{{{last_fault_, 1}}});
    take();
    links_[0]->go_down();
    EXPECT_THAT(take(), ElementsAre("B: lead", "B: faults g#1/1"));
    links_[0]->come_up();
    EXPECT_EQ(take().front(), "A: hello");
    const auto status = controllers_.status();
    EXPECT_EQ(std::count_if(status.begin(), status.end(), [](const auto& link) { return link.lead; }), 1);
}

TEST_F(ControllersTest, KeepsFaultsWhileNoControllerIsThere) {
    start(1);
    links_[0]->come_up();
    take();
    links_[0]->go_down();
    lose("g");
    monitor_.gone(GuestId("g"), heartbeat::StopReason::removed, now_, {});
    EXPECT_THAT(take(), IsEmpty());
    links_[0]->come_up();
    EXPECT_THAT(take(), ElementsAre("A: hello lead", "A: begin", "A: faults g#2/0", "A: end"));
    links_[0]->says(bus::FaultsDelivered{{{last_fault_, 2}}});
    EXPECT_EQ(monitor_.faults().size(), 0U);
}

TEST_F(ControllersTest, TellsOfManyGuestsInPieces) {
    start(1);
    for (int i = 0; i < 450; ++i)
        monitor_.step(GuestId("g" + std::to_string(i)), heartbeat::Connected{Dialect::native}, now_, {});
    take();
    links_[0]->come_up();
    const auto sent = take();
    EXPECT_EQ(std::count_if(sent.begin(), sent.end(), [](const auto& line) { return line.starts_with("A: guests"); }),
              3);
}

TEST_F(ControllersTest, TellsOnceOfAGuestThatChangedSeveralTimesInATurn) {
    start(1);
    links_[0]->come_up();
    take();
    const GuestId guest("g");
    monitor_.step(guest, heartbeat::Connected{Dialect::native}, now_, {});
    monitor_.step(guest, heartbeat::Received{Dialect::native, wire::Init{}}, now_, {});
    monitor_.step(guest, heartbeat::Held{heartbeat::Hold::paused}, now_, {});
    EXPECT_THAT(take(), ElementsAre("A: guests g=held"));
    monitor_.gone(guest, heartbeat::StopReason::removed, now_, {});
    EXPECT_THAT(take(), ElementsAre("A: gone g"));
}

TEST_F(ControllersTest, HandsOnPolicies) {
    start(1);
    links_[0]->come_up();
    links_[0]->says(bus::Policies{true, {model::GuestPolicy{}, model::GuestPolicy{}}});
    EXPECT_EQ(policies_, 2U);
}

TEST_F(ControllersTest, RemembersWhyAControllerWasLostOrRefused) {
    start(1);
    links_[0]->come_up();
    links_[0]->says(bus::Rejected{"too old"});
    EXPECT_EQ(controllers_.status().at(0).last_error, "too old");
    links_[0]->go_down();
    EXPECT_EQ(controllers_.status().at(0).last_error, "gone");
    EXPECT_EQ(controllers_.links_lost(), 1U);
}

TEST_F(ControllersTest, AsksTheLeadForTheServerGroupAndHearsFromItOnly) {
    start(2);
    EXPECT_FALSE(controllers_.send_to_lead(bus::GroupQuery{1, GuestId("g1")})) << "nobody leads";
    links_[0]->come_up();
    links_[1]->come_up();
    take();
    EXPECT_TRUE(controllers_.send_to_lead(bus::GroupQuery{1, GuestId("g1")}));
    EXPECT_THAT(take(), ElementsAre("A: another message"));
    links_[1]->says(bus::GroupStatus{1, {}, true});
    links_[1]->says(bus::GroupNotify{});
    EXPECT_EQ(group_messages_, 0) << "of one that was not asked";
    links_[1]->says(bus::GroupDeliver{});
    links_[0]->says(bus::GroupStatus{1, {}, true});
    EXPECT_EQ(group_messages_, 2) << "a broadcast comes by any";
}

TEST_F(ControllersTest, TellsWhenAnotherControllerLeadsOrNone) {
    start(2);
    links_[0]->come_up();
    links_[1]->come_up();
    links_[0]->go_down();
    links_[1]->go_down();
    EXPECT_THAT(leads_, ElementsAre(true, true, false));
}

}  // namespace
}  // namespace vitalwire::host
