// The decision of guest/examples/active_standby, in virtual time: rows of its README one by one, and two guests in a
// world that cuts, delays, kills, freezes and pauses them at random.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "election.hpp"

namespace active_standby {
namespace {

constexpr Time kStart = Time{} + std::chrono::hours(1);

// ---- Single rules ------------------------------------------------------------------------------------------------

class ElectionTest : public testing::Test {
protected:
    static constexpr Timing kTiming{Millis(500), Millis(2000), Millis(10000)};

    void take(const Election::Actions& actions) {
        for (const auto& action : actions) {
            if (const auto* greet = std::get_if<Election::Greet>(&action)) greeting_ = greet->text;
            if (const auto* ask = std::get_if<Election::Ask>(&action)) question_ = ask->number;
        }
    }
    void pass(Millis time) {
        for (const Time end = now_ + time; now_ < end; now_ += Millis(100))
            take(election_.tick(now_));
        take(election_.tick(now_));
    }
    void answer(bool self_up, bool peer_up) {
        take(election_.answered(question_, {{"m", self_up}, {peer_, peer_up}}, now_));
    }
    /// The peer's answer to the last greeting.
    void greet(const std::string& role, std::uint64_t term = 0, const std::string& able = "able") {
        std::istringstream ours(greeting_);
        std::string mark, life, number;
        ours >> mark >> life >> number;
        take(election_.greeted(peer_,
                               "active-standby/1 77 " + std::to_string(++greetings_) + " " + role + " " + able + " " +
                                   std::to_string(term) + " " + life + " " + number,
                               now_));
    }
    bool active() const { return election_.role() == Role::active; }

    std::string peer_ = "z";  // preferred
    Time now_ = kStart;
    Election election_{"m", 42, kTiming};
    std::string greeting_;
    std::uint64_t question_ = 0;
    std::uint64_t greetings_ = 0;
};

TEST_F(ElectionTest, TakesOverAtOnceWhenThePeerIsReportedDown) {
    pass(Millis(0));
    answer(true, true);
    EXPECT_FALSE(active());
    take(election_.notified(now_));
    pass(Millis(100));
    answer(true, false);
    EXPECT_TRUE(active());
    EXPECT_NE(greeting_.find(" active "), std::string::npos) << "says so at once";
}

TEST_F(ElectionTest, ANotificationAloneIsNotBelieved) {
    pass(Millis(0));
    answer(true, true);
    const auto before = question_;
    pass(Millis(200));
    take(election_.notified(now_));
    EXPECT_GT(question_, before) << "it is a reason to ask";
    EXPECT_FALSE(active());
}

TEST_F(ElectionTest, StepsDownWhenTheAnswersEnd) {
    pass(Millis(0));
    answer(true, false);
    ASSERT_TRUE(active());
    pass(kTiming.lease - Millis(100));
    EXPECT_TRUE(active());
    pass(Millis(100));
    EXPECT_FALSE(active());
}

TEST_F(ElectionTest, AnAnswerCountsFromItsQuestion) {
    pass(Millis(0));
    const auto old = question_;
    pass(Millis(1900));
    take(election_.answered(old, {{"m", true}, {"z", false}}, now_));
    ASSERT_TRUE(active());
    pass(Millis(200));
    EXPECT_FALSE(active());
}

TEST_F(ElectionTest, StepsDownAtOnceWhenItIsReportedDownItself) {
    pass(Millis(0));
    answer(true, false);
    pass(Millis(500));
    answer(false, true);
    EXPECT_FALSE(active());
}

TEST_F(ElectionTest, RidesOutWhileTheHostSaysThatNobodyKnows) {
    pass(Millis(0));
    answer(true, false);
    const Time proof = now_;
    while (active() && now_ < proof + std::chrono::minutes(1)) {
        take(election_.unavailable(question_, now_));
        pass(Millis(500));
    }
    EXPECT_GE(now_, proof + kTiming.ride_out);
    EXPECT_LE(now_, proof + kTiming.lease + kTiming.ride_out + kTiming.beat);
}

TEST_F(ElectionTest, OfTwoThatHearEachOtherThePreferredBecomesActive) {
    pass(Millis(0));
    answer(true, true);
    greet("standby");
    EXPECT_FALSE(active()) << "z is preferred";
    greet("standby", 0, "unable");
    EXPECT_TRUE(active()) << "z cannot";
}

TEST_F(ElectionTest, TheLaterElectionWins) {
    pass(Millis(0));
    answer(true, false);
    ASSERT_TRUE(active());
    pass(Millis(500));
    answer(true, true);
    greet("active", election_.term() - 1);
    EXPECT_TRUE(active());
    greet("active", election_.term() + 1);
    EXPECT_FALSE(active());
}

TEST_F(ElectionTest, HandsOverBeforeTheCloudActsOnIt) {
    peer_ = "a";
    pass(Millis(0));
    answer(true, true);
    greet("standby");
    ASSERT_TRUE(active());
    take(election_.leave(true, now_));
    EXPECT_FALSE(active());
    EXPECT_NE(greeting_.find(" standby unable "), std::string::npos) << "says so at once";
    EXPECT_TRUE(election_.is_handing_over(now_));
    greet("active", 2);
    EXPECT_FALSE(election_.is_handing_over(now_));
    EXPECT_TRUE(election_.peer_is_active(now_));
    take(election_.leave(false, now_));
    greet("active", 2);
    EXPECT_FALSE(active()) << "the role stays where it went";
}

TEST_F(ElectionTest, StaysActiveThoughTheCloudActsOnItWhenThePeerCannotBe) {
    peer_ = "a";
    pass(Millis(0));
    answer(true, true);
    greet("standby", 0, "unable");
    ASSERT_TRUE(active());
    take(election_.leave(true, now_));
    EXPECT_TRUE(active());
    EXPECT_FALSE(election_.is_handing_over(now_)) << "nothing is to be waited for";
    greet("standby");
    EXPECT_FALSE(active()) << "it can now";
}

TEST_F(ElectionTest, OneThatLeavesTakesOverWhenThePeerEnds) {
    pass(Millis(0));
    answer(true, true);
    greet("active", 1);
    take(election_.leave(true, now_));
    pass(Millis(500));
    answer(true, false);
    EXPECT_TRUE(active());
}

TEST_F(ElectionTest, OfTwoThatBothLeaveThePreferredIsActive) {
    pass(Millis(0));
    answer(true, true);
    take(election_.leave(true, now_));
    greet("standby", 0, "unable");
    EXPECT_FALSE(active());
    peer_ = "a";
    Election preferred("m", 42, kTiming);
    std::swap(election_, preferred);
    pass(Millis(500));
    answer(true, true);
    take(election_.leave(true, now_));
    greet("standby", 0, "unable");
    EXPECT_TRUE(active());
}

TEST_F(ElectionTest, AGreetingFromBeforeOursIsNoContact) {
    pass(Millis(0));
    answer(true, true);
    take(election_.greeted("z", "active-standby/1 77 1 standby unable 0 42 99", now_));
    EXPECT_FALSE(active());
    take(election_.greeted("z", "active-standby/1 77 2 standby unable 0 41 1", now_));
    EXPECT_FALSE(active()) << "meant for an earlier life of this guest";
}

TEST_F(ElectionTest, WhatIsNoGreetingIsIgnored) {
    pass(Millis(0));
    answer(true, false);
    for (const char* text : {"", "hello", "active-standby/1", "active-standby/2 1 1 active able 9 42 1",
                             "active-standby/1 1 1 king able 9 42 1", "active-standby/1 -1 x active able 9 42 1"})
        take(election_.greeted("z", text, now_));
    take(election_.greeted("third", "active-standby/1 1 1 active able 99 42 1", now_));
    EXPECT_TRUE(active());
}

TEST_F(ElectionTest, WithoutItsOwnNameInTheGroupItStaysStandby) {
    pass(Millis(0));
    take(election_.answered(question_, {{"x", true}, {"y", false}}, now_));
    EXPECT_FALSE(active());
    pass(Millis(500));
    take(election_.answered(question_, {{"m", true}, {"y", false}, {"z", false}}, now_));
    EXPECT_FALSE(active()) << "of three nobody is elected";
}

// ---- Two guests in a hostile world -------------------------------------------------------------------------------

constexpr Millis kStep{10};

/// Virtual time, a cloud and a network between two guests.
class World {
public:
    enum class Life { running, frozen, paused, dead };  // frozen: its clock goes on; paused: it does not
    enum class Link { ok, unavailable, silent };

    World(unsigned seed, Timing timing) : random_(seed), timing_(timing) {
        for (Guest& guest : guests_)
            boot(guest);
    }

    struct Guest {
        std::unique_ptr<Election> election;
        Life life = Life::running;
        Link link = Link::ok;
        bool reported_up = true;
        bool receives = true;  ///< broadcasts of the other
        Millis behind{0};      ///< time its clock stood still
        std::deque<std::pair<Time, std::function<Election::Actions(Time)>>> inbox;
    };

    Guest& guest(int i) { return guests_[static_cast<std::size_t>(i)]; }
    Time now() const { return now_; }
    unsigned random(unsigned below) { return static_cast<unsigned>(random_() % below); }
    bool serves(int i) { return guest(i).life == Life::running && guest(i).election->role() == Role::active; }
    Millis longest_overlap() const { return longest_; }

    void set_life(int i, Life life) {
        Guest& it = guest(i);
        if (it.life == Life::dead && life != Life::dead) boot(it);
        if (life == Life::dead) it.inbox.clear();
        it.life = life;
    }
    void report(int i, bool up) {
        if (std::exchange(guest(i).reported_up, up) == up) return;
        post(1 - i, delay(), [this, i](Time now) { return guest(1 - i).election->notified(now); });
    }
    void set_delay(Millis most) { most_delay_ = most; }

    void run(Millis time) {
        for (const Time end = now_ + time; now_ < end; now_ += kStep)
            step();
    }

private:
    void boot(Guest& guest) {
        const std::string name = &guest == guests_.data() ? "a" : "b";
        guest.election = std::make_unique<Election>(name, random_(), timing_);
        guest.inbox.clear();
    }
    Millis delay() { return Millis(random(static_cast<unsigned>(most_delay_.count()) + 1)); }

    /// Into the guest's inbox after `delay`, never before what was posted earlier.
    template <class Message>
    void post(int to, Millis delay, Message message) {
        auto& inbox = guest(to).inbox;
        const Time due = std::max(now_ + delay, inbox.empty() ? Time{} : inbox.back().first);
        if (guest(to).life != Life::dead) inbox.emplace_back(due, std::move(message));
    }

    void step() {
        for (int i : {0, 1}) {
            Guest& it = guest(i);
            if (it.life == Life::paused) it.behind += kStep;
            if (it.life != Life::running) continue;
            const Time own = now_ - it.behind;
            perform(i, it.election->tick(own));
            while (!it.inbox.empty() && it.inbox.front().first <= now_) {
                const auto message = std::move(it.inbox.front().second);
                it.inbox.pop_front();
                perform(i, message(own));
            }
        }
        const bool both = serves(0) && serves(1);
        overlap_ = both ? overlap_ + kStep : Millis(0);
        longest_ = std::max(longest_, overlap_);
    }

    void perform(int from, const Election::Actions& actions) {
        for (const auto& action : actions) {
            if (const auto* greet = std::get_if<Election::Greet>(&action)) broadcast(from, greet->text);
            if (const auto* ask = std::get_if<Election::Ask>(&action)) query(from, ask->number);
        }
    }

    void broadcast(int from, const std::string& text) {
        const int to = 1 - from;
        if (guest(from).link != Link::ok || guest(to).link != Link::ok || !guest(to).receives) return;
        const std::string source = from == 0 ? "a" : "b";
        post(to, delay(),
             [this, to, source, text](Time now) { return guest(to).election->greeted(source, text, now); });
    }

    void query(int from, std::uint64_t number) {
        Guest& it = guest(from);
        if (it.link == Link::unavailable) {
            post(from, delay(), [&it, number](Time now) { return it.election->unavailable(number, now); });
        }
        if (it.link != Link::ok) return;
        const std::vector<Report> group = {{"a", guest(0).reported_up}, {"b", guest(1).reported_up}};
        post(from, delay(), [&it, number, group](Time now) { return it.election->answered(number, group, now); });
    }

    std::mt19937 random_;
    Timing timing_;
    Time now_ = kStart;
    std::array<Guest, 2> guests_;
    Millis most_delay_{20};
    Millis overlap_{0}, longest_{0};
};

class Pair : public testing::TestWithParam<unsigned> {};

constexpr Timing kQuick{Millis(200), Millis(800), Millis(2000)};

/// One thing that goes wrong, or right again.
void disturb(World& world) {
    const int i = static_cast<int>(world.random(2));
    switch (world.random(6)) {
        case 0:
            world.set_life(i, static_cast<World::Life>(world.random(4)));
            break;
        case 1:
            world.guest(i).link = static_cast<World::Link>(world.random(3));
            break;
        case 2:
            world.guest(i).receives = world.random(2) == 0;
            break;
        case 3:
            world.report(i, world.random(2) == 0);  // true or not
            break;
        case 4:
            world.report(i, world.guest(i).life == World::Life::running);
            break;
        default:
            world.set_delay(Millis(world.random(4) == 0 ? 3000 : 50));
    }
}

void heal(World& world) {
    world.set_delay(Millis(20));
    for (int i : {0, 1}) {
        world.set_life(i, World::Life::running);
        world.guest(i).link = World::Link::ok;
        world.guest(i).receives = true;
        world.report(i, true);
    }
}

TEST_P(Pair, IsNeverActiveTwiceForLongerThanItsBoundAndHealsToOne) {
    World world(GetParam(), kQuick);
    for (int round = 0; round < 40; ++round) {
        for (unsigned trouble = world.random(12); trouble > 0; --trouble) {
            disturb(world);
            world.run(Millis(world.random(1500)));
        }
        heal(world);
        // What was delayed still comes, then one of two that hear each other is elected.
        world.run(Millis(3000) + 2 * kQuick.lease);
        ASSERT_NE(world.serves(0), world.serves(1)) << "round " << round;
        const bool first = world.serves(0);
        world.run(3 * kQuick.lease);
        ASSERT_EQ(world.serves(0), first) << "round " << round << ": it stays so";
        ASSERT_NE(world.serves(0), world.serves(1)) << "round " << round;
    }
    EXPECT_LE(world.longest_overlap(), longest_overlap(kQuick) + 2 * kStep);
}

TEST_P(Pair, TheStandbyTakesOverWhenTheActiveIsKilled) {
    World world(GetParam(), kQuick);
    world.run(2 * kQuick.lease);
    for (int round = 0; round < 10; ++round) {
        ASSERT_NE(world.serves(0), world.serves(1));
        const int active = world.serves(0) ? 0 : 1;
        world.set_life(active, static_cast<World::Life>(1 + world.random(3)));
        world.run(Millis(world.random(1000)));
        ASSERT_FALSE(world.serves(1 - active)) << "not before it is reported";
        world.report(active, false);
        world.run(Millis(200));
        ASSERT_TRUE(world.serves(1 - active)) << "a question and an answer later";
        world.run(Millis(world.random(3000)));
        world.set_life(active, World::Life::running);
        world.run(Millis(world.random(500)));
        world.report(active, true);
        world.run(2 * kQuick.lease);
        ASSERT_TRUE(world.serves(1 - active)) << "the one that returns does not take it back";
    }
    EXPECT_LE(world.longest_overlap(), kQuick.lease);
}

TEST_P(Pair, ACutOfAllThatTheyHearOfEachOtherLeavesOne) {
    World world(GetParam(), kQuick);
    world.run(2 * kQuick.lease);
    const bool moved = world.random(2) == 0;  // to the one that is not preferred
    if (moved) world.report(1, false);
    world.run(kQuick.lease);
    world.report(1, true);
    world.run(kQuick.lease);
    ASSERT_TRUE(world.serves(moved ? 0 : 1));
    const unsigned which = world.random(3);
    world.guest(0).receives = which == 1;
    world.guest(1).receives = which == 2;
    world.run(2 * (2 * kQuick.lease + kQuick.ride_out));
    EXPECT_NE(world.serves(0), world.serves(1));
    EXPECT_LE(world.longest_overlap(), 2 * kStep + Millis(20)) << "one lets go before the other takes";
}

TEST_P(Pair, AnOutageOfTheControllersThatIsRiddenOutChangesNothing) {
    World world(GetParam(), kQuick);
    world.run(2 * kQuick.lease);
    ASSERT_NE(world.serves(0), world.serves(1));
    const int active = world.serves(0) ? 0 : 1;
    world.guest(0).link = world.guest(1).link = World::Link::unavailable;
    for (Millis passed{0}; passed < kQuick.ride_out - kQuick.lease; passed += Millis(100)) {
        world.run(Millis(100));
        ASSERT_TRUE(world.serves(active) && !world.serves(1 - active));
    }
    heal(world);
    world.run(4 * kQuick.lease);
    EXPECT_TRUE(world.serves(active) && !world.serves(1 - active));
    EXPECT_EQ(world.longest_overlap(), Millis(0));
}

INSTANTIATE_TEST_SUITE_P(Seeds, Pair, testing::Range(1U, 101U));

}  // namespace
}  // namespace active_standby
