// libvitalwire for C++17: the C interface of vitalwire.h with ownership, exceptions and std::function. Header only, so
// that no C++ of this library's build meets the application's. What the functions do, their units and ranges:
// vitalwire.h.
#pragma once

#include <vitalwire/vitalwire.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace vitalwire {

/// A call that did not return VW_OK. what(): the library's sentence on it.
class Error : public std::runtime_error {
public:
    Error(vw_result_t result, const std::string& message) : std::runtime_error(message), result_(result) {}

    vw_result_t result() const noexcept { return result_; }

private:
    vw_result_t result_;
};

/// How an application is: vw_health_t with its reason.
struct Health {
    bool healthy = true;
    std::string reason;

    static Health good() { return {}; }
    static Health bad(std::string why) { return {false, std::move(why)}; }
};

/// For Application::register_heartbeat: struct vw_heartbeat_options.
struct Heartbeat {
    std::string name;
    std::chrono::milliseconds interval{0};  ///< 0: by the detection time
    std::chrono::milliseconds timeout{0};   ///< 0: by the detection time, without one the interval
    /// An exception counts as unhealthy, with its what() as the reason.
    std::function<Health()> health;
    /// Must not throw.
    std::function<void(vw_result_t result, const std::string& message)> registration;
    std::chrono::milliseconds detection_time{0};  ///< 0: as interval and timeout say, without them the default
};

/// For Application::subscribe_group: struct vw_group_options. What the functions are handed is valid during the call
/// only; they must not throw.
struct Group {
    std::function<void(const vw_group_message& message)> broadcast;
    std::function<void(const vw_group_notification& notification)> notification;
    std::function<void(const vw_group_refusal& refusal)> refused;
    std::function<void(std::uint64_t count)> dropped;
};

/// The end of a query: vw_group_status_fn. `members` is empty after an error and valid during the call only. Must not
/// throw.
using GroupStatus = std::function<void(vw_result_t result, const std::string& message,
                                       const std::vector<const vw_group_member*>& members)>;

/// A question about an action of the cloud: vw_action_fn. To be answered with Application::answer_action, in it or
/// later. `action` is valid during the call only. Must not throw.
using ActionQuestion = std::function<void(const vw_action& action)>;

/// A handle: vw_t. To be used by one thread at a time; callbacks come from dispatch() only.
class Application {
public:
    /// `socket_path` empty: vw_open's default. `connection` must not throw. Throws Error.
    explicit Application(const std::string& socket_path = {}, std::function<void(bool connected)> connection = {})
        : state_(std::make_unique<State>()) {
        state_->connection = std::move(connection);
        vw_options options = VW_OPTIONS_INIT;
        options.socket_path = socket_path.empty() ? nullptr : socket_path.c_str();
        options.connection = &Application::on_connection;
        options.context = state_.get();
        vw_t* opened = nullptr;
        const vw_result_t result = vw_open(&options, &opened);
        if (result != VW_OK) throw Error(result, vw_strerror(result));
        handle_.reset(opened);
    }

    /// Readable when dispatch() has something to do: vw_fd.
    int fd() const noexcept { return vw_fd(handle_.get()); }
    bool connected() const noexcept { return vw_is_connected(handle_.get()) != 0; }
    /// The C handle, for what this class does not wrap. Still owned by this object.
    vw_t* get() const noexcept { return handle_.get(); }

    /// Handles what is pending; `flags`: VW_DISPATCH_... Throws Error.
    void dispatch(unsigned flags = VW_DISPATCH_ALL) { check(vw_dispatch(handle_.get(), flags)); }

    /// vw_heartbeat_register. Throws Error.
    void register_heartbeat(Heartbeat heartbeat) {
        vw_heartbeat_options options = VW_HEARTBEAT_OPTIONS_INIT;
        options.name = heartbeat.name.c_str();
        options.interval_ms = to_milliseconds(heartbeat.interval);
        options.timeout_ms = to_milliseconds(heartbeat.timeout);
        options.detection_time_ms = to_milliseconds(heartbeat.detection_time);
        options.health = heartbeat.health ? &Application::on_health : nullptr;
        options.registration = &Application::on_registration;
        options.context = state_.get();
        check(vw_heartbeat_register(handle_.get(), &options));
        state_->heartbeat = std::move(heartbeat);
    }

    /// vw_heartbeat_report. Throws Error.
    void report(const Health& health) {
        check(vw_heartbeat_report(handle_.get(), health.healthy ? VW_HEALTHY : VW_UNHEALTHY, health.reason.c_str()));
    }

    /// vw_heartbeat_deregister. Throws Error.
    void deregister_heartbeat() { check(vw_heartbeat_deregister(handle_.get())); }

    /// vw_confirm. Throws Error.
    void confirm() { check(vw_confirm(handle_.get())); }
    bool confirmed() const noexcept { return vw_is_confirmed(handle_.get()) != 0; }

    /// vw_group_subscribe: asks for what `group` has functions for. Throws Error.
    void subscribe_group(Group group) {
        vw_group_options options = VW_GROUP_OPTIONS_INIT;
        if (group.broadcast) options.broadcast = &Application::on_broadcast;
        if (group.notification) options.notification = &Application::on_notification;
        if (group.refused) options.refused = &Application::on_refused;
        if (group.dropped) options.dropped = &Application::on_dropped;
        options.context = state_.get();
        check(vw_group_subscribe(handle_.get(), &options));
        state_->group = std::make_shared<Group>(std::move(group));
    }

    /// vw_group_unsubscribe. Throws Error.
    void unsubscribe_group() { check(vw_group_unsubscribe(handle_.get())); }

    /// vw_group_broadcast: up to VW_MAX_PAYLOAD bytes of any value. Returns the broadcast's number. Throws Error.
    std::uint32_t broadcast(const std::string& payload) {
        std::uint32_t id = 0;
        check(vw_group_broadcast(handle_.get(), payload.data(), payload.size(), &id));
        return id;
    }

    /// vw_group_query: `status` is called once, unless this object ends before. Throws Error.
    void query(GroupStatus status, std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) {
        auto& queries = state_->queries;
        const auto place = queries.insert(queries.end(), Query{state_.get(), {}, std::move(status)});
        place->self = place;
        const vw_result_t result =
            vw_group_query(handle_.get(), to_milliseconds(timeout), &Application::on_status, &*place);
        if (result != VW_OK) queries.erase(place);
        check(result);
    }

    /// vw_action_subscribe: `question` comes before actions of the cloud, and after them. A further call replaces it.
    /// Throws Error.
    void subscribe_actions(ActionQuestion question) {
        if (!question) return unsubscribe_actions();
        check(vw_action_subscribe(handle_.get(), &Application::on_action, state_.get()));
        state_->action = std::move(question);
    }

    /// Not to be asked any more. Throws Error.
    void unsubscribe_actions() { check(vw_action_subscribe(handle_.get(), nullptr, nullptr)); }

    /// vw_action_answer; `id`: of the action. Throws Error.
    void answer_action(std::uint32_t id, vw_answer_t answer = VW_ANSWER_READY, const std::string& reason = {}) {
        check(vw_action_answer(handle_.get(), id, answer, reason.c_str()));
    }

private:
    struct State;
    struct Query {
        State* state;
        std::list<Query>::iterator self;
        GroupStatus status;
    };
    /// Where callbacks find their functions: it stays in place when the object is moved.
    struct State {
        std::function<void(bool)> connection;
        Heartbeat heartbeat;
        std::shared_ptr<Group> group;
        ActionQuestion action;
        std::list<Query> queries;
    };
    struct Close {
        void operator()(vw_t* handle) const noexcept { vw_close(handle); }
    };

    static std::uint32_t to_milliseconds(std::chrono::milliseconds time) {
        // What does not fit is out of the library's range either way, and refused there.
        return time.count() < 0 || time.count() > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(time.count());
    }

    void check(vw_result_t result) const {
        if (result == VW_OK) return;
        const std::string message = vw_last_error(handle_.get());
        throw Error(result, message.empty() ? vw_strerror(result) : message);
    }

    static void on_connection(vw_t*, int connected, void* context) noexcept {
        const State& state = *static_cast<State*>(context);
        if (state.connection) state.connection(connected != 0);
    }

    static vw_health_t on_health(vw_t*, char* reason, std::size_t size, void* context) noexcept {
        Health health;
        try {
            // A copy: the function may take its own registration back.
            const auto ask = static_cast<State*>(context)->heartbeat.health;
            health = ask();
        } catch (const std::exception& problem) {
            health = Health::bad(problem.what());
        } catch (...) {
            health = Health::bad("the health function threw something");
        }
        reason[health.reason.copy(reason, size - 1)] = '\0';
        return health.healthy ? VW_HEALTHY : VW_UNHEALTHY;
    }

    static void on_registration(vw_t*, vw_result_t result, const char* message, void* context) noexcept {
        const auto tell = static_cast<State*>(context)->heartbeat.registration;
        if (tell) tell(result, message);
    }

    /// A copy: a function may subscribe again.
    static std::shared_ptr<Group> group_of(void* context) { return static_cast<State*>(context)->group; }

    static void on_broadcast(vw_t*, const vw_group_message* message, void* context) noexcept {
        group_of(context)->broadcast(*message);
    }
    static void on_notification(vw_t*, const vw_group_notification* notification, void* context) noexcept {
        group_of(context)->notification(*notification);
    }
    static void on_refused(vw_t*, const vw_group_refusal* refusal, void* context) noexcept {
        group_of(context)->refused(*refusal);
    }
    static void on_dropped(vw_t*, std::uint64_t count, void* context) noexcept { group_of(context)->dropped(count); }

    static void on_action(vw_t*, const vw_action* action, void* context) noexcept {
        // A copy: the function may subscribe again.
        const ActionQuestion ask = static_cast<State*>(context)->action;
        ask(*action);
    }

    static void on_status(vw_t*, vw_result_t result, const char* message, const vw_group_member* const* members,
                          std::size_t count, void* context) noexcept {
        Query& query = *static_cast<Query*>(context);
        const GroupStatus tell = std::move(query.status);
        query.state->queries.erase(query.self);
        tell(result, message, {members, members + count});
    }

    std::unique_ptr<State> state_;
    std::unique_ptr<vw_t, Close> handle_;  // after state_: closed before its callbacks lose their functions
};

}  // namespace vitalwire
