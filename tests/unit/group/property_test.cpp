// Over random schedules: no message crosses groups, none reaches its sender, none is delivered twice, the order of each
// sender is kept - with guests that move, agents that restart, and a bus that delivers again and out of turn.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "group/duplicates.hpp"
#include "group/rate_limiter.hpp"
#include "group/router.hpp"
#include "unit/group/fake_directory.hpp"

namespace vitalwire::group {
namespace {

using base::GuestId;
using base::HostId;

constexpr int kGuests = 12;
constexpr int kGroups = 3;
constexpr int kHosts = 4;

struct Packet {
    Hop hop;
    std::string sender;
    std::string agent;
    std::uint64_t number = 0;
    int message = 0;
};

std::string host_name(int host) {
    return "h" + std::to_string(host);
}
std::string guest_name(int guest) {
    return "g" + std::to_string(guest);
}
std::string group_name(int guest) {
    return "group" + std::to_string(guest % kGroups);
}

/// The sending side of one compute node and the controller behind it.
class Node : private RateLimiter::Output {
public:
    Node(int host, const Router& router, std::vector<Packet>& wire)
        : host_(host_name(host)), router_(router), wire_(wire) {
        start();
    }

    void start() {
        rate_limiter_ = std::make_unique<RateLimiter>(static_cast<RateLimiter::Output&>(*this));
        rate_limiter_->serving();
        for (int guest = 0; guest < kGuests; ++guest)
            rate_limiter_->set_limits(GuestId(guest_name(guest)), Limits{true, 1e9, 1e9});
        agent_ = host_ + "#" + std::to_string(++life_);
    }
    void say(int guest, int message) {
        rate_limiter_->received({GuestId(guest_name(guest))}, wire::Broadcast{std::to_string(message), {}},
                                base::TimePoint(std::chrono::hours(1)));
    }

private:
    void broadcast(std::uint64_t number, const GuestId& sender, const std::string& payload) override {
        rate_limiter_->accepted(number);
        const auto hops = router_.broadcast(sender, HostId(host_));
        ASSERT_TRUE(hops) << hops.error().message;
        for (const Hop& hop : *hops)
            wire_.push_back({hop, sender.str(), agent_, number, std::stoi(payload)});
    }
    void query(std::uint64_t, const GuestId&) override {}
    void answer(const Channel&, wire::GroupPdu) override {}
    void status(const Channel&, std::int64_t, std::vector<wire::MemberState>) override {}

    std::string host_;
    const Router& router_;
    std::vector<Packet>& wire_;
    std::unique_ptr<RateLimiter> rate_limiter_;
    std::string agent_;
    int life_ = 0;
};

class Cloud {
public:
    explicit Cloud(unsigned seed) : random_(seed) {
        for (int host = 0; host < kHosts; ++host)
            nodes_.push_back(std::make_unique<Node>(host, router_, wire_));
        for (int guest = 0; guest < kGuests; ++guest)
            move(guest);
    }

    void step() {
        switch (pick(10)) {
            case 0:
                return move(pick(kGuests));
            case 1:
                return restart(pick(kHosts));
            case 2:
                return deliver_again();
            case 3:
            case 4:
            case 5:
                return say(pick(kGuests));
            default:
                return deliver();
        }
    }
    int delivered() const { return delivered_; }

private:
    int pick(int below) { return std::uniform_int_distribution<>(0, below - 1)(random_); }

    void say(int guest) { nodes_[static_cast<std::size_t>(where_[guest])]->say(guest, ++said_[guest]); }

    /// What a guest sent from one host has arrived, or is lost, before it speaks from another: a migration takes
    /// longer.
    void move(int guest) {
        std::erase_if(wire_, [&](const Packet& packet) { return packet.sender == guest_name(guest); });
        where_[guest] = pick(kHosts);
        directory_.put(guest_name(guest), group_name(guest), host_name(where_[guest]));
    }

    /// An agent that restarts loses what it had sent but nobody had taken.
    void restart(int host) {
        std::erase_if(wire_, [&](const Packet& packet) { return packet.agent.starts_with(host_name(host) + "#"); });
        nodes_[static_cast<std::size_t>(host)]->start();
    }

    void deliver() {
        if (wire_.empty()) return;
        // The next one, or, where two controllers race each other, one behind it.
        const auto which = wire_.begin() + pick(static_cast<int>(std::min<std::size_t>(wire_.size(), 3)));
        const Packet packet = *which;
        wire_.erase(which);
        old_.push_back(packet);
        arrive(packet);
    }

    void deliver_again() {
        if (!old_.empty()) arrive(old_[static_cast<std::size_t>(pick(static_cast<int>(old_.size())))]);
    }

    void arrive(const Packet& packet) {
        const auto answer = seen_[packet.hop.host.str()].judge(packet.sender, packet.agent, packet.number, {});
        if (answer != Duplicates::Answer::fresh) return;
        for (const GuestId& listener : packet.hop.guests)
            hear(listener.str(), packet);
    }

    void hear(const std::string& listener, const Packet& packet) {
        ++delivered_;
        const std::string context = listener + " heard " + packet.sender + " say " + std::to_string(packet.message);
        EXPECT_NE(listener, packet.sender) << context;
        EXPECT_EQ(group_name(std::stoi(listener.substr(1))), group_name(std::stoi(packet.sender.substr(1)))) << context;
        int& last = last_heard_[listener + "<" + packet.sender + "@" + packet.hop.host.str()];
        EXPECT_GT(packet.message, last) << context << ", again or out of order";
        last = packet.message;
    }

    std::mt19937 random_;
    FakeDirectory directory_;
    Router router_{directory_};
    std::vector<Packet> wire_;
    std::vector<Packet> old_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::map<std::string, Duplicates> seen_;
    std::map<int, int> where_;
    std::map<int, int> said_;
    std::map<std::string, int> last_heard_;
    int delivered_ = 0;
};

TEST(ServerGroupProperties, HoldOverRandomSchedules) {
    int delivered = 0;
    for (unsigned seed = 1; seed <= 200 && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Cloud cloud(seed);
        for (int i = 0; i < 500; ++i)
            cloud.step();
        delivered += cloud.delivered();
    }
    EXPECT_GT(delivered, 10'000);
}

}  // namespace
}  // namespace vitalwire::group
