#include "host/sources/libvirt/guest_agent_calls.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "tests/unit/host/unix_peer.hpp"

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;

/// Guest agents of which some hang until they are let go.
class Agents {
public:
    GuestAgentResult ask(const GuestId& guest) {
        std::unique_lock lock(mutex_);
        most_ = std::max(most_, ++under_way_);
        const bool hangs = hangs_ && guest.str().starts_with("hung");
        if (hangs) let_go_.wait_for(lock, patience_, [this] { return !hangs_; });
        --under_way_;
        return hangs ? GuestAgentResult::silent : GuestAgentResult::answered;
    }
    void let_go() {
        const std::lock_guard lock(mutex_);
        hangs_ = false;
        let_go_.notify_all();
    }
    int most() {
        const std::lock_guard lock(mutex_);
        return most_;
    }
    void set_patience(Millis patience) { patience_ = patience; }

private:
    std::mutex mutex_;
    std::condition_variable let_go_;
    bool hangs_ = true;
    int under_way_ = 0;
    int most_ = 0;
    Millis patience_{60'000};
};

class SharedAsker final : public GuestAgentAsker {
public:
    explicit SharedAsker(std::shared_ptr<Agents> agents) : agents_(std::move(agents)) {}
    GuestAgentResult ask(const GuestAgentCall& call) override { return agents_->ask(call.guest); }

private:
    std::shared_ptr<Agents> agents_;
};

class GuestAgentCallsTest : public testing::Test, protected GuestAgentPoller::Output {
protected:
    void start(int most) {
        calls_ = std::make_unique<GuestAgentCalls>(
            io_, most, [agents = agents_] { return std::make_unique<SharedAsker>(agents); },
            [this](const GuestAgentCall& call, std::int64_t challenge, GuestAgentResult result) {
                results_[call.guest.str()] = result;
                if (poller_) poller_->returned(call.guest, challenge, result, base::Clock::now());
            });
    }
    ~GuestAgentCallsTest() override { agents_->let_go(); }
    void ask(const std::string& guest, std::int64_t number) {
        calls_->ask({GuestId(guest), std::chrono::seconds(5)}, number);
    }
    bool returned(const std::string& guest) {
        return run_until(io_, [&] { return results_.contains(guest); });
    }

    std::optional<Millis> guest_agent_interval(const GuestId&) const override { return Millis(50); }
    bool guest_agent_in_doubt(const GuestId&) const override { return true; }
    void ask_guest_agent(const GuestId&, std::int64_t) override {}
    void call_guest_agent(const GuestAgentCall& call, std::int64_t challenge) override { calls_->ask(call, challenge); }
    void drain_guest_agent(const GuestId&) override {}
    void guest_agent_result(const GuestId& guest, const heartbeat::HostEvent& event) override {
        ++(std::holds_alternative<heartbeat::GuestAgentAnswered>(event) ? answers_ : silences_)[guest.str()];
    }

    class Ids final : public heartbeat::IdGenerator {
    public:
        std::int64_t challenge() override { return ++last_; }
        base::SessionId session_id() override { return base::SessionId("s"); }

    private:
        std::int64_t last_ = 0;
    };

    boost::asio::io_context io_;
    std::shared_ptr<Agents> agents_ = std::make_shared<Agents>();
    std::unique_ptr<GuestAgentCalls> calls_;
    std::map<std::string, GuestAgentResult> results_;
    Ids ids_;
    std::unique_ptr<GuestAgentPoller> poller_;
    std::map<std::string, int> answers_;
    std::map<std::string, int> silences_;
};

TEST_F(GuestAgentCallsTest, AnAgentThatHangsKeepsOneThreadAndNobodyElse) {
    start(2);
    ask("hung", 1);
    ask("lives", 2);
    ASSERT_TRUE(returned("lives"));
    EXPECT_EQ(results_["lives"], GuestAgentResult::answered);
    EXPECT_FALSE(results_.contains("hung"));
    agents_->let_go();
    ASSERT_TRUE(returned("hung"));
    EXPECT_EQ(results_["hung"], GuestAgentResult::silent);
}

TEST_F(GuestAgentCallsTest, AreNeverMoreThanAllowed) {
    start(3);
    for (int i = 0; i < 20; ++i)
        ask("hung-" + std::to_string(i), i);
    ASSERT_TRUE(run_until(io_, [&] { return agents_->most() == 3; }));
    agents_->let_go();
    EXPECT_TRUE(run_until(io_, [&] { return results_.size() == 20; }));
    EXPECT_EQ(agents_->most(), 3);
}

TEST_F(GuestAgentCallsTest, EndWithoutWaitingForAnAgentThatHangs) {
    start(1);
    ask("hung", 1);
    ASSERT_TRUE(run_until(io_, [&] { return agents_->most() == 1; }));
    const auto begun = base::Clock::now();
    calls_.reset();
    EXPECT_LT(base::Clock::now() - begun, std::chrono::seconds(30));
    agents_->let_go();
    io_.restart();
    io_.run_for(Millis(50));
    EXPECT_FALSE(results_.contains("hung")) << "nobody is left to be told";
}

/// The poller with real threads: a call to one that hangs takes 100 ms here.
TEST_F(GuestAgentCallsTest, TwoHundredThatHangDelayNeitherTheLoopNorTheOneThatAnswers) {
    agents_->set_patience(Millis(100));
    start(8);
    GuestAgentPoller::Output& output = *this;
    poller_ = std::make_unique<GuestAgentPoller>(GuestAgentPoller::Settings{8}, ids_, output);
    for (int i = 0; i < 200; ++i)
        poller_->found(GuestId("hung-" + std::to_string(i)), GuestAgentRoute::call, true, base::Clock::now());
    poller_->found(GuestId("lives"), GuestAgentRoute::call, true, base::Clock::now());
    const auto run = [&](auto condition) {
        return run_until(io_, [&] {
            poller_->tick(base::Clock::now());
            return condition();
        });
    };
    ASSERT_TRUE(run([&] { return silences_.size() == 200 && answers_["lives"] > 0; })) << silences_.size();
    const int before = answers_["lives"];
    int silent_before = 0;
    for (const auto& [guest, count] : silences_)
        silent_before += count;
    ASSERT_TRUE(run([&] { return answers_["lives"] >= before + 10; }));
    int silent = 0;
    for (const auto& [guest, count] : silences_)
        silent += count;
    EXPECT_LT(silent - silent_before, 200) << "ten answers of it take less than one round of the others";
    EXPECT_LE(agents_->most(), 8);
}

}  // namespace
}  // namespace vitalwire::host
