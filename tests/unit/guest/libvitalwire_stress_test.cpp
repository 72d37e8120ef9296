// libvitalwire called from within its own callbacks, at random, by several handles, with children forked in between.
#include <poll.h>
#include <sys/wait.h>
#include <vitalwire/vitalwire.h>

#include <array>
#include <cstdlib>
#include <random>
#include <string>

#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

/// Calls whatever there is to call, from callbacks too.
class Chaos {
public:
    explicit Chaos(unsigned seed) : random_(seed) {}

    void call_something(vw_t* handle) {
        if (depth_ > 3) return;
        ++depth_;
        switch (pick(10)) {
            case 0:
                register_one(handle);
                break;
            case 1:
                vw_heartbeat_deregister(handle);
                break;
            case 2:
                vw_heartbeat_report(handle, pick(2) == 0 ? VW_HEALTHY : VW_UNHEALTHY,
                                    pick(2) == 0 ? nullptr : "a\nb\xff");
                break;
            case 3:
                subscribe(handle);
                break;
            case 4:
                vw_group_unsubscribe(handle);
                break;
            case 5: {
                const std::string payload(static_cast<std::size_t>(pick(3060)), 'x');
                vw_group_broadcast(handle, payload.data(), payload.size(), nullptr);
                break;
            }
            case 6:
                vw_group_query(handle, static_cast<std::uint32_t>(pick(50)), on_status, this);
                break;
            case 7:
                vw_dispatch(handle, static_cast<unsigned>(pick(2)));
                break;
            case 8:
                EXPECT_TRUE(depth_ == 1 || vw_close(handle) == VW_ERR_BUSY);
                break;
            default:
                fork_one(handle);
        }
        --depth_;
    }

    int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
    long callbacks() const { return callbacks_; }

private:
    static void on_status(vw_t* handle, vw_result_t, const char* message, const vw_group_member* const* members,
                          std::size_t count, void* self) {
        std::size_t bytes = std::string(message).size();
        for (std::size_t i = 0; i < count; ++i)
            bytes += std::string(members[i]->instance_id).size();
        EXPECT_LT(bytes, 1'000'000U);
        static_cast<Chaos*>(self)->called(handle);
    }

    void called(vw_t* handle) {
        ++callbacks_;
        // Only from here may a close be refused: depth counts the callback itself.
        ++depth_;
        call_something(handle);
        --depth_;
    }

    void register_one(vw_t* handle) {
        const std::string name = "n" + std::to_string(pick(3));
        vw_heartbeat_options options = VW_HEARTBEAT_OPTIONS_INIT;
        options.name = name.c_str();
        options.interval_ms = 100;
        options.context = this;
        if (pick(2) == 0) {
            options.health = [](vw_t* vw, char* reason, std::size_t size, void* self) {
                std::fill_n(reason, size, '\xff');
                static_cast<Chaos*>(self)->called(vw);
                return VW_UNHEALTHY;
            };
        }
        options.registration = [](vw_t* vw, vw_result_t, const char*, void* self) {
            static_cast<Chaos*>(self)->called(vw);
        };
        vw_heartbeat_register(handle, &options);
    }

    void subscribe(vw_t* handle) {
        vw_group_options options = VW_GROUP_OPTIONS_INIT;
        options.context = this;
        options.broadcast = [](vw_t* vw, const vw_group_message*, void* self) {
            static_cast<Chaos*>(self)->called(vw);
        };
        options.refused = [](vw_t* vw, const vw_group_refusal*, void* self) { static_cast<Chaos*>(self)->called(vw); };
        vw_group_subscribe(handle, &options);
    }

    /// A child that tries to speak for its parent, closes its copy, and leaves.
    void fork_one(vw_t* handle) {
        if (pick(20) != 0 || depth_ > 1) return;
        const pid_t child = ::fork();
        if (child == 0) {
            const bool right =
                vw_dispatch(handle, VW_DISPATCH_ALL) == VW_ERR_WRONG_PROCESS && vw_close(handle) == VW_OK;
            ::_exit(right ? 0 : 1);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }

    std::mt19937 random_;
    int depth_ = 0;
    long callbacks_ = 0;
};

class StressTest : public GuestTest {
protected:
    std::array<vw_t*, 4> handles_{};
};

TEST_F(StressTest, SurvivesEveryCallFromEveryCallback) {
    log::set_backend([](log::Level, std::string_view) {});
    const std::string socket = dir_ / "apps";
    start_registered();
    Chaos chaos(20261129);
    const auto until = base::Clock::now() + std::chrono::seconds(3);
    while (base::Clock::now() < until) {
        vw_t*& handle = handles_[static_cast<std::size_t>(chaos.pick(4))];
        if (handle == nullptr) {
            vw_options options = VW_OPTIONS_INIT;
            options.socket_path = socket.c_str();
            ASSERT_EQ(vw_open(&options, &handle), VW_OK);
        } else if (chaos.pick(300) == 0) {
            EXPECT_EQ(vw_close(handle), VW_OK);
            handle = nullptr;
        } else {
            chaos.call_something(handle);
            vw_dispatch(handle, VW_DISPATCH_ALL);
        }
        if (chaos.pick(2000) == 0) {
            guest_.reset();
            start();
        }
        io_.restart();
        io_.poll();
    }
    for (vw_t* handle : handles_)
        EXPECT_EQ(vw_close(handle), VW_OK);
    EXPECT_GT(chaos.callbacks(), 100);
}

}  // namespace
}  // namespace vitalwire::guest::test
