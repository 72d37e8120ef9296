#include "guest/lib/handle.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "guest/lib/group_view.hpp"
#include "guest/reason.hpp"

namespace app = vitalwire::guest::app;
namespace wire = vitalwire::wire;
using vitalwire::base::Errc;
using vitalwire::base::Error;
using vitalwire::base::Millis;
using vitalwire::base::Result;
using vitalwire::guest::Client;
using vitalwire::guest::MemberView;
using vitalwire::guest::tidy_reason;
using vitalwire::heartbeat::Health;

static_assert(VW_MAX_REASON == wire::kMaxReason);
static_assert(VW_MAX_NAME == app::kMaxName);
static_assert(Millis(VW_MIN_INTERVAL_MS) == app::kSmallestInterval);
static_assert(Millis(VW_MAX_INTERVAL_MS) == app::kLargestTime);
static_assert(Millis(VW_MIN_TIMEOUT_MS) == app::kSmallestTimeout);
static_assert(VW_MAX_DETECTION_TIME_MS == 2 * VW_MAX_INTERVAL_MS);
static_assert(2 * VW_DEFAULT_INTERVAL_MS == VW_DEFAULT_DETECTION_TIME_MS);
static_assert(VW_MAX_PAYLOAD == wire::kMaxPayload);

namespace {

constexpr const char* kDefaultSocket = "/run/vitalwire/guest.sock";
constexpr std::size_t kMaxSocketPath = 107;

struct Times {
    std::uint32_t interval;
    std::uint32_t timeout;
};

/// What is not given follows from the detection time: a hang just after an answer waits a whole interval for the next
/// question, and then the timeout.
Times times_of(const struct vw_heartbeat_options& options) {
    const std::uint32_t whole = options.detection_time_ms;
    const auto rest = [whole](std::uint32_t given) { return whole > given ? whole - given : 0; };
    std::uint32_t interval = options.interval_ms;
    std::uint32_t timeout = options.timeout_ms;
    if (whole == 0) {
        if (interval == 0) interval = std::max<std::uint32_t>(VW_DEFAULT_INTERVAL_MS, timeout);
        return {interval, timeout == 0 ? interval : timeout};
    }
    if (interval == 0) interval = timeout == 0 ? whole - whole / 2 : rest(timeout);
    return {interval, timeout == 0 ? rest(interval) : timeout};
}

/// The refusals of a registration.
vw_result_t registration_result(Errc code) {
    switch (code) {
        case Errc::in_use:
            return VW_ERR_NAME_IN_USE;
        case Errc::too_many:
            return VW_ERR_TOO_MANY;
        default:
            return VW_ERR_REFUSED;
    }
}

vw_result_t group_result(Errc code) {
    switch (code) {
        case Errc::disconnected:
            return VW_ERR_DISCONNECTED;
        case Errc::unavailable:
            return VW_ERR_UNAVAILABLE;
        case Errc::not_in_group:
            return VW_ERR_NOT_IN_GROUP;
        case Errc::not_enabled:
            return VW_ERR_NOT_ENABLED;
        case Errc::too_large:
            return VW_ERR_TOO_LARGE;
        case Errc::rate_limited:
            return VW_ERR_RATE_LIMITED;
        case Errc::too_many:
            return VW_ERR_QUEUE_FULL;
        case Errc::timeout:
            return VW_ERR_TIMEOUT;
        case Errc::incomplete:
            return VW_ERR_INCOMPLETE;
        default:
            return VW_ERR_REFUSED;
    }
}

std::string out_of_range(const char* field, std::uint32_t min, std::uint32_t max) {
    return std::string(field) + ": expected " + std::to_string(min) + " to " + std::to_string(max) + " milliseconds";
}

/// True while callbacks may run, also when one of them throws.
class Dispatching {
public:
    explicit Dispatching(bool& flag) : flag_(flag) { flag_ = true; }
    ~Dispatching() { flag_ = false; }
    Dispatching(const Dispatching&) = delete;
    Dispatching& operator=(const Dispatching&) = delete;

private:
    bool& flag_;
};

}  // namespace

vw_result_t vw::open(const struct vw_options& options) {
    connection_ = options.connection;
    connection_context_ = options.context;
    const char* path = options.socket_path;
    if (path == nullptr) path = ::secure_getenv("VITALWIRE_SOCKET");
    if (path == nullptr) path = kDefaultSocket;
    if (*path == '\0' || std::strlen(path) > kMaxSocketPath) return VW_ERR_INVALID;
    auto client = Client::open(path, *this);
    if (!client) return VW_ERR_SYSTEM;
    client_ = std::move(*client);
    return VW_OK;
}

vw_result_t vw::close() {
    if (dispatching_) return failed(VW_ERR_BUSY, "vw_close was called from a callback of the handle");
    client_->finish();
    return VW_OK;
}

vw_result_t vw::dispatch(unsigned flags) {
    if ((flags & ~(VW_DISPATCH_ONE | VW_DISPATCH_WAIT)) != 0)
        return failed(VW_ERR_INVALID, "flags: expected VW_DISPATCH_ALL, VW_DISPATCH_ONE or VW_DISPATCH_WAIT");
    if (dispatching_) return failed(VW_ERR_BUSY, "vw_dispatch was called from a callback of the handle");
    const Dispatching dispatching(dispatching_);
    const auto done = client_->dispatch((flags & VW_DISPATCH_ONE) != 0);
    return done ? VW_OK : failed(VW_ERR_SYSTEM, done.error().message);
}

vw_result_t vw::register_heartbeat(const struct vw_heartbeat_options& options) {
    if (client_->has_registration()) return failed(VW_ERR_REGISTERED, "the handle has a registration already");
    if (options.name == nullptr || !vitalwire::base::is_plain_name(options.name, VW_MAX_NAME)) {
        return failed(VW_ERR_INVALID,
                      "name: expected 1 to " + std::to_string(VW_MAX_NAME) + " letters, digits, '.', '_' and '-'");
    }
    const std::uint32_t detection_time = options.detection_time_ms;
    if (detection_time != 0 && (detection_time < VW_MIN_DETECTION_TIME_MS || detection_time > VW_MAX_DETECTION_TIME_MS))
        return failed(VW_ERR_INVALID,
                      out_of_range("detection_time_ms", VW_MIN_DETECTION_TIME_MS, VW_MAX_DETECTION_TIME_MS));
    const auto [interval, timeout] = times_of(options);
    if (interval < VW_MIN_INTERVAL_MS || interval > VW_MAX_INTERVAL_MS)
        return failed(VW_ERR_INVALID, out_of_range("interval_ms", VW_MIN_INTERVAL_MS, VW_MAX_INTERVAL_MS));
    if (timeout < VW_MIN_TIMEOUT_MS || timeout > interval)
        return failed(VW_ERR_INVALID, out_of_range("timeout_ms", VW_MIN_TIMEOUT_MS, interval));
    if (detection_time != 0 && interval + timeout != detection_time)
        return failed(VW_ERR_INVALID, "detection_time_ms: expected the sum of interval_ms and timeout_ms");
    health_ = options.health;
    registration_ = options.registration;
    heartbeat_context_ = options.context;
    client_->register_application({options.name, Millis(interval), Millis(timeout), {}}, health_ != nullptr);
    return VW_OK;
}

vw_result_t vw::report(vw_health_t health, const char* reason) {
    if (!client_->has_registration()) return not_registered();
    client_->report({health == VW_HEALTHY, tidy_reason(reason == nullptr ? "" : reason)});
    return VW_OK;
}

vw_result_t vw::deregister() {
    if (!client_->has_registration()) return not_registered();
    client_->deregister();
    return VW_OK;
}

vw_result_t vw::confirm() {
    client_->confirm();
    return VW_OK;
}

vw_result_t vw::subscribe(const struct vw_group_options& options) {
    group_ = options;
    client_->subscribe({group_.broadcast != nullptr, group_.notification != nullptr});
    return VW_OK;
}

vw_result_t vw::broadcast(const void* data, std::size_t size, std::uint32_t* id) {
    if (data == nullptr && size > 0) return failed(VW_ERR_INVALID, "data: is NULL, expected bytes");
    if (size > VW_MAX_PAYLOAD) {
        return failed(VW_ERR_TOO_LARGE, "size: payload of " + std::to_string(size) + " bytes, at most " +
                                            std::to_string(VW_MAX_PAYLOAD) + " are accepted");
    }
    const auto sent = client_->broadcast(size == 0 ? std::string() : std::string(static_cast<const char*>(data), size));
    if (!sent) return failed(sent.error());
    if (id != nullptr) *id = static_cast<std::uint32_t>(*sent);
    return VW_OK;
}

vw_result_t vw::query(std::uint32_t timeout_ms, vw_group_status_fn tell, void* context) {
    if (tell == nullptr) return failed(VW_ERR_INVALID, "status: expected a callback");
    const std::uint32_t timeout = timeout_ms == 0 ? VW_DEFAULT_QUERY_TIMEOUT_MS : timeout_ms;
    if (timeout > VW_MAX_QUERY_TIMEOUT_MS)
        return failed(VW_ERR_INVALID, out_of_range("timeout_ms", VW_MIN_QUERY_TIMEOUT_MS, VW_MAX_QUERY_TIMEOUT_MS));
    if (queries_.size() >= VW_MAX_QUERIES) {
        return failed(VW_ERR_QUEUE_FULL, std::to_string(VW_MAX_QUERIES) + " queries are under way already");
    }
    const auto sent = client_->query(Millis(timeout));
    if (!sent) return failed(sent.error());
    queries_[*sent] = {tell, context};
    return VW_OK;
}

vw_result_t vw::want_actions(vw_action_fn tell, void* context) {
    action_ = tell;
    action_context_ = context;
    client_->want_actions(tell != nullptr);
    return VW_OK;
}

vw_result_t vw::answer(std::uint32_t id, vw_answer_t given, const char* reason) {
    if (id > INT32_MAX) return failed(VW_ERR_INVALID, "id: expected that of an action");
    if (given != VW_ANSWER_READY && given != VW_ANSWER_REJECT)
        return failed(VW_ERR_INVALID, "answer: expected VW_ANSWER_READY or VW_ANSWER_REJECT");
    const auto result =
        given == VW_ANSWER_READY ? vitalwire::model::VoteResult::complete : vitalwire::model::VoteResult::reject;
    const auto sent = client_->vote({id, result, tidy_reason(reason == nullptr ? "" : reason)});
    return sent ? VW_OK : failed(sent.error());
}

vw_result_t vw::failed(vw_result_t result, std::string why) noexcept {
    last_error_ = std::move(why);
    return result;
}

vw_result_t vw::failed(const Error& error) {
    return failed(group_result(error.code), error.message);
}

vw_result_t vw::not_registered() {
    return failed(VW_ERR_NOT_REGISTERED, "the handle has no registration");
}

void vw::connection_changed(bool connected) {
    if (connection_ != nullptr) connection_(this, connected ? 1 : 0, connection_context_);
}

Health vw::health(const Health& current) {
    if (health_ == nullptr) return current;
    std::array<char, VW_MAX_REASON + 1> reason{};
    const vw_health_t answer = health_(this, reason.data(), reason.size(), heartbeat_context_);
    reason.back() = '\0';
    return {answer == VW_HEALTHY, tidy_reason(reason.data())};
}

void vw::cannot_connect(const std::string& why, bool is_refusal) {
    failed(VW_ERR_SYSTEM, why);
    if (is_refusal && registration_ != nullptr) registration_(this, VW_ERR_SYSTEM, why.c_str(), heartbeat_context_);
}

void vw::registration(const Result<void>& outcome) {
    if (!outcome) failed(registration_result(outcome.error().code), outcome.error().message);
    if (registration_ == nullptr) return;
    if (outcome) return registration_(this, VW_OK, "", heartbeat_context_);
    const std::string why = outcome.error().message;
    registration_(this, registration_result(outcome.error().code), why.c_str(), heartbeat_context_);
}

void vw::broadcast(const wire::Delivery& message) {
    if (group_.broadcast == nullptr) return;
    const vw_group_message view{message.source.c_str(), message.payload.data(), message.payload.size(),
                                message.from_operator ? 1 : 0};
    group_.broadcast(this, &view, group_.context);
}

void vw::notification(const wire::Notification& message) {
    if (group_.notification == nullptr) return;
    const MemberView member(message.state);
    const vw_group_notification view{message.event_type.c_str(),
                                     message.timestamp.empty() ? nullptr : message.timestamp.c_str(), member.get()};
    group_.notification(this, &view, group_.context);
}

void vw::refused(const wire::Nack& nack) {
    const vw_result_t result = nack.unknown_code.empty() ? group_result(nack.code) : VW_ERR_REFUSED;
    failed(result, nack.message);
    if (group_.refused == nullptr) return;
    const auto id = static_cast<std::uint32_t>(nack.seq.value_or(0));
    const auto count = static_cast<std::uint32_t>(nack.refused.value_or(id == 0 ? 0 : 1));
    const vw_group_refusal view{result, nack.message.c_str(), id, count};
    group_.refused(this, &view, group_.context);
}

void vw::dropped(std::uint64_t count) {
    if (group_.dropped != nullptr) group_.dropped(this, count, group_.context);
}

void vw::status(const vitalwire::group::Queries::Outcome& outcome) {
    const auto query = queries_.extract(outcome.seq);
    if (query.empty()) return;
    const auto [tell, context] = query.mapped();
    if (!outcome.states) {
        const std::string why = outcome.states.error().message;
        return tell(this, failed(outcome.states.error()), why.c_str(), nullptr, 0, context);
    }
    std::deque<MemberView> views;
    std::vector<const vw_group_member*> members;
    for (const wire::MemberState& state : *outcome.states)
        members.push_back(views.emplace_back(state).get());
    tell(this, VW_OK, "", members.data(), members.size(), context);
}

void vw::action(const vitalwire::guest::app::Action& question) {
    if (action_ == nullptr) return;
    const struct vw_action view {
        static_cast<std::uint32_t>(question.id), question.event.c_str(), question.revocable ? 1 : 0,
            static_cast<std::uint32_t>(question.timeout.count())
    };
    action_(this, &view, action_context_);
}
