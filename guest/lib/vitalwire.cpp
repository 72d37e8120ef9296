// The C functions of vitalwire.h: arguments checked, exceptions kept inside, everything else is Client's.
#include <vitalwire/vitalwire.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "guest/lib/client.hpp"
#include "guest/reason.hpp"

namespace app = vitalwire::guest::app;
using vitalwire::base::Errc;
using vitalwire::base::Error;
using vitalwire::base::Millis;
using vitalwire::base::Result;
using vitalwire::guest::Client;
using vitalwire::guest::tidy_reason;
using vitalwire::heartbeat::Health;

static_assert(VW_MAX_REASON == vitalwire::wire::kMaxReason);
static_assert(VW_MAX_NAME == app::kMaxName);
static_assert(Millis(VW_MIN_INTERVAL_MS) == app::kSmallestInterval);
static_assert(Millis(VW_MAX_INTERVAL_MS) == app::kLargestTime);
static_assert(Millis(VW_MIN_TIMEOUT_MS) == app::kSmallestTimeout);

namespace {

constexpr const char* kDefaultSocket = "/run/vitalwire/guest.sock";
constexpr std::size_t kMaxSocketPath = 107;

vw_result_t to_result(Errc code) {
    switch (code) {
        case Errc::in_use:
            return VW_ERR_NAME_IN_USE;
        case Errc::too_many:
            return VW_ERR_TOO_MANY;
        case Errc::io:
            return VW_ERR_SYSTEM;
        case Errc::config:
            return VW_ERR_INVALID;
        default:
            return VW_ERR_REFUSED;
    }
}

/// Copies a caller's options, whose `size` says which version of the header it was compiled with: fields it does not
/// know are zero; fields that this library does not know must be.
template <class Options>
bool copy_options(const Options* from, Options& to) {
    std::size_t size = 0;
    std::memcpy(&size, from, sizeof size);
    if (size < sizeof(Options)) return false;
    const auto* bytes = reinterpret_cast<const unsigned char*>(from);
    if (std::any_of(bytes + sizeof(Options), bytes + size, [](unsigned char byte) { return byte != 0; })) return false;
    std::memcpy(&to, from, sizeof(Options));
    return true;
}

}  // namespace

struct vw : private Client::Events {
public:
    vw_result_t open(const struct vw_options& options) {
        connection_ = options.connection;
        connection_context_ = options.context;
        const char* path = options.socket_path;
        if (path == nullptr) path = ::secure_getenv("VITALWIRE_SOCKET");
        if (path == nullptr) path = kDefaultSocket;
        if (*path == '\0' || std::strlen(path) > kMaxSocketPath) return VW_ERR_INVALID;
        auto client = Client::open(path, *this);
        if (!client) return to_result(client.error().code);
        client_ = std::move(*client);
        return VW_OK;
    }

    vw_result_t close() {
        if (dispatching_) return failed(VW_ERR_BUSY, "vw_close was called from a callback of the handle");
        client_->finish();
        return VW_OK;
    }

    int descriptor() const { return client_->descriptor(); }
    bool connected() const { return client_->connected(); }
    const char* last_error() const { return last_error_.c_str(); }

    vw_result_t dispatch(unsigned flags) {
        if ((flags & ~(VW_DISPATCH_ONE | VW_DISPATCH_WAIT)) != 0)
            return failed(VW_ERR_INVALID, "flags: expected VW_DISPATCH_ALL, VW_DISPATCH_ONE or VW_DISPATCH_WAIT");
        if (dispatching_) return failed(VW_ERR_BUSY, "vw_dispatch was called from a callback of the handle");
        const Dispatching dispatching(dispatching_);
        const auto done = client_->dispatch((flags & VW_DISPATCH_ONE) != 0, (flags & VW_DISPATCH_WAIT) != 0);
        return done ? VW_OK : failed(VW_ERR_SYSTEM, done.error().message);
    }

    vw_result_t register_heartbeat(const struct vw_heartbeat_options& options) {
        if (client_->has_registration()) return failed(VW_ERR_REGISTERED, "the handle has a registration already");
        if (options.name == nullptr || !vitalwire::base::is_plain_name(options.name, VW_MAX_NAME)) {
            return failed(VW_ERR_INVALID,
                          "name: expected 1 to " + std::to_string(VW_MAX_NAME) + " letters, digits, '.', '_' and '-'");
        }
        const std::uint32_t interval = options.interval_ms == 0 ? VW_DEFAULT_INTERVAL_MS : options.interval_ms;
        if (interval < VW_MIN_INTERVAL_MS || interval > VW_MAX_INTERVAL_MS)
            return failed(VW_ERR_INVALID, out_of_range("interval_ms", VW_MIN_INTERVAL_MS, VW_MAX_INTERVAL_MS));
        const std::uint32_t timeout = options.timeout_ms == 0 ? interval : options.timeout_ms;
        if (timeout < VW_MIN_TIMEOUT_MS || timeout > interval)
            return failed(VW_ERR_INVALID, out_of_range("timeout_ms", VW_MIN_TIMEOUT_MS, interval));
        health_ = options.health;
        registration_ = options.registration;
        heartbeat_context_ = options.context;
        client_->register_application({options.name, Millis(interval), Millis(timeout), {}});
        return VW_OK;
    }

    vw_result_t report(vw_health_t health, const char* reason) {
        if (!client_->has_registration()) return not_registered();
        client_->report({health == VW_HEALTHY, tidy_reason(reason == nullptr ? "" : reason)});
        return VW_OK;
    }

    vw_result_t deregister() {
        if (!client_->has_registration()) return not_registered();
        client_->deregister();
        return VW_OK;
    }

    vw_result_t failed(vw_result_t result, std::string why) noexcept {
        last_error_ = std::move(why);
        return result;
    }

private:
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

    static std::string out_of_range(const char* field, std::uint32_t min, std::uint32_t max) {
        return std::string(field) + ": expected " + std::to_string(min) + " to " + std::to_string(max) +
               " milliseconds";
    }

    vw_result_t not_registered() { return failed(VW_ERR_NOT_REGISTERED, "the handle has no registration"); }

    void connection_changed(bool connected) override {
        if (connection_ != nullptr) connection_(this, connected ? 1 : 0, connection_context_);
    }

    Health health(const Health& current) override {
        if (health_ == nullptr) return current;
        std::array<char, VW_MAX_REASON + 1> reason{};
        const vw_health_t answer = health_(this, reason.data(), reason.size(), heartbeat_context_);
        reason.back() = '\0';
        return {answer == VW_HEALTHY, tidy_reason(reason.data())};
    }

    void registration(const Result<void>& outcome) override {
        if (!outcome) failed(to_result(outcome.error().code), outcome.error().message);
        if (registration_ == nullptr) return;
        if (outcome) return registration_(this, VW_OK, "", heartbeat_context_);
        const std::string why = outcome.error().message;
        registration_(this, to_result(outcome.error().code), why.c_str(), heartbeat_context_);
    }

    std::unique_ptr<Client> client_;
    vw_connection_fn connection_ = nullptr;
    void* connection_context_ = nullptr;
    vw_health_fn health_ = nullptr;
    vw_registration_fn registration_ = nullptr;
    void* heartbeat_context_ = nullptr;
    bool dispatching_ = false;
    std::string last_error_;
};

namespace {

/// Runs `call`; no exception passes the C interface.
template <class Call>
vw_result_t guarded(vw_t* handle, Call call) noexcept {
    if (handle == nullptr) return VW_ERR_INVALID;
    try {
        return call(*handle);
    } catch (const std::bad_alloc&) {
        return handle->failed(VW_ERR_NO_MEMORY, {});
    } catch (const std::exception&) {
        return handle->failed(VW_ERR_INTERNAL, {});
    }
}

}  // namespace

vw_result_t vw_open(const struct vw_options* options, vw_t** handle) {
    if (handle == nullptr) return VW_ERR_INVALID;
    *handle = nullptr;
    struct vw_options checked = VW_OPTIONS_INIT;
    if (options != nullptr && !copy_options(options, checked)) return VW_ERR_INVALID;
    std::unique_ptr<vw> opened(new (std::nothrow) vw);
    if (!opened) return VW_ERR_NO_MEMORY;
    const vw_result_t result = guarded(opened.get(), [&](vw& vw) { return vw.open(checked); });
    if (result == VW_OK) *handle = opened.release();
    return result;
}

vw_result_t vw_close(vw_t* handle) {
    if (handle == nullptr) return VW_OK;
    const vw_result_t result = guarded(handle, [](vw& vw) { return vw.close(); });
    if (result != VW_ERR_BUSY) delete handle;
    return result;
}

int vw_fd(const vw_t* handle) {
    return handle == nullptr ? -1 : handle->descriptor();
}

int vw_is_connected(const vw_t* handle) {
    return handle != nullptr && handle->connected() ? 1 : 0;
}

vw_result_t vw_dispatch(vw_t* handle, unsigned flags) {
    return guarded(handle, [&](vw& vw) { return vw.dispatch(flags); });
}

const char* vw_last_error(const vw_t* handle) {
    return handle == nullptr ? "" : handle->last_error();
}

vw_result_t vw_heartbeat_register(vw_t* handle, const struct vw_heartbeat_options* options) {
    return guarded(handle, [&](vw& vw) {
        struct vw_heartbeat_options checked = VW_HEARTBEAT_OPTIONS_INIT;
        if (options == nullptr || !copy_options(options, checked))
            return vw.failed(VW_ERR_INVALID, "options: expected a struct that began as VW_HEARTBEAT_OPTIONS_INIT");
        return vw.register_heartbeat(checked);
    });
}

vw_result_t vw_heartbeat_report(vw_t* handle, vw_health_t health, const char* reason) {
    return guarded(handle, [&](vw& vw) { return vw.report(health, reason); });
}

vw_result_t vw_heartbeat_deregister(vw_t* handle) {
    return guarded(handle, [](vw& vw) { return vw.deregister(); });
}

const char* vw_strerror(vw_result_t result) {
    switch (result) {
        case VW_OK:
            return "success";
        case VW_ERR_INVALID:
            return "invalid argument";
        case VW_ERR_NO_MEMORY:
            return "not enough memory";
        case VW_ERR_SYSTEM:
            return "a system call failed";
        case VW_ERR_BUSY:
            return "not possible from within a callback";
        case VW_ERR_REGISTERED:
            return "already registered";
        case VW_ERR_NOT_REGISTERED:
            return "not registered";
        case VW_ERR_NAME_IN_USE:
            return "another application has that name";
        case VW_ERR_TOO_MANY:
            return "too many applications";
        case VW_ERR_REFUSED:
            return "vitalwired refused the request";
        case VW_ERR_INTERNAL:
            return "internal error of libvitalwire";
    }
    return "unknown result";
}

const char* vw_version(void) {
    return VITALWIRE_VERSION;
}
