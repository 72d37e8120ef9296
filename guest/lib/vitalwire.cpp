// The C functions of vitalwire.h: arguments and process checked, exceptions and cancellation kept inside, everything
// else is the handle's.
#include <poll.h>
#include <pthread.h>
#include <vitalwire/vitalwire.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "guest/lib/handle.hpp"

namespace {

constexpr std::size_t kMaxOptions =
    4096;  ///< no version's struct will be larger: a `size` that was never set is refused

/// Of 1.0.0, before detection_time_ms.
constexpr std::size_t kFirstHeartbeatOptions = offsetof(struct vw_heartbeat_options, detection_time_ms);

/// Copies a caller's options, whose `size` says which version of the header it was compiled with: fields it does not
/// know are zero; fields that this library does not know must be. `first`: the size in the first version.
template <class Options>
bool copy_options(const Options* from, Options& to, std::size_t first = sizeof(Options)) {
    std::size_t size = 0;
    std::memcpy(&size, from, sizeof size);
    if (size < first || size > kMaxOptions) return false;
    const auto* bytes = reinterpret_cast<const unsigned char*>(from);
    const std::size_t known = std::min(size, sizeof(Options));
    if (std::any_of(bytes + known, bytes + size, [](unsigned char byte) { return byte != 0; })) return false;
    std::memcpy(&to, from, known);
    return true;
}

/// A thread that is cancelled is cancelled between the library's calls, or in the wait of vw_dispatch(): never in the
/// midst of a change, nor in a callback.
class NotCancelled {
public:
    NotCancelled() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~NotCancelled() { ::pthread_setcancelstate(before_, nullptr); }
    NotCancelled(const NotCancelled&) = delete;
    NotCancelled& operator=(const NotCancelled&) = delete;

private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

/// Runs `call`; no exception passes the C interface. A forked child shares the parent's connection and must not touch
/// it.
template <class Call>
vw_result_t guarded(vw_t* handle, Call call) noexcept {
    if (handle == nullptr) return VW_ERR_INVALID;
    const NotCancelled here;
    try {
        if (!handle->is_usable())
            return handle->failed(VW_ERR_WRONG_PROCESS, "the handle was opened by the process that forked this one");
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
    const NotCancelled here;
    std::unique_ptr<vw> opened(new (std::nothrow) vw);
    if (!opened) return VW_ERR_NO_MEMORY;
    try {
        const vw_result_t result = opened->open(checked);
        if (result == VW_OK) *handle = opened.release();
        return result;
    } catch (const std::exception&) {
        return VW_ERR_NO_MEMORY;
    }
}

vw_result_t vw_close(vw_t* handle) {
    if (handle == nullptr) return VW_OK;
    const NotCancelled here;
    const vw_result_t result = guarded(handle, [](vw& vw) { return vw.close(); });
    if (result == VW_ERR_BUSY) return result;
    delete handle;
    return result == VW_ERR_WRONG_PROCESS ? VW_OK : result;
}

int vw_fd(const vw_t* handle) {
    return handle == nullptr || !handle->is_usable() ? -1 : handle->descriptor();
}

int vw_is_connected(const vw_t* handle) {
    return handle != nullptr && handle->is_usable() && handle->connected() ? 1 : 0;
}

vw_result_t vw_dispatch(vw_t* handle, unsigned flags) {
    const bool waits = (flags & VW_DISPATCH_WAIT) != 0 && flags <= (VW_DISPATCH_ONE | VW_DISPATCH_WAIT);
    if (waits && handle != nullptr && handle->may_wait()) {
        // Outside of everything that a cancelled thread could leave half done.
        pollfd ready{handle->descriptor(), POLLIN, 0};
        ::poll(&ready, 1, -1);
    }
    return guarded(handle, [&](vw& vw) { return vw.dispatch(flags); });
}

const char* vw_last_error(const vw_t* handle) {
    return handle == nullptr ? "" : handle->last_error();
}

vw_result_t vw_heartbeat_register(vw_t* handle, const struct vw_heartbeat_options* options) {
    return guarded(handle, [&](vw& vw) {
        struct vw_heartbeat_options checked = VW_HEARTBEAT_OPTIONS_INIT;
        if (options == nullptr || !copy_options(options, checked, kFirstHeartbeatOptions))
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

vw_result_t vw_confirm(vw_t* handle) {
    return guarded(handle, [](vw& vw) { return vw.confirm(); });
}

int vw_is_confirmed(const vw_t* handle) {
    return handle != nullptr && handle->is_usable() && handle->is_confirmed() ? 1 : 0;
}

vw_result_t vw_group_subscribe(vw_t* handle, const struct vw_group_options* options) {
    return guarded(handle, [&](vw& vw) {
        struct vw_group_options checked = VW_GROUP_OPTIONS_INIT;
        if (options == nullptr || !copy_options(options, checked))
            return vw.failed(VW_ERR_INVALID, "options: expected a struct that began as VW_GROUP_OPTIONS_INIT");
        return vw.subscribe(checked);
    });
}

vw_result_t vw_group_unsubscribe(vw_t* handle) {
    return guarded(handle, [](vw& vw) { return vw.subscribe(VW_GROUP_OPTIONS_INIT); });
}

vw_result_t vw_group_broadcast(vw_t* handle, const void* data, size_t size, uint32_t* id) {
    return guarded(handle, [&](vw& vw) { return vw.broadcast(data, size, id); });
}

vw_result_t vw_group_query(vw_t* handle, uint32_t timeout_ms, vw_group_status_fn status, void* context) {
    return guarded(handle, [&](vw& vw) { return vw.query(timeout_ms, status, context); });
}

vw_result_t vw_action_subscribe(vw_t* handle, vw_action_fn action, void* context) {
    return guarded(handle, [&](vw& vw) { return vw.want_actions(action, context); });
}

vw_result_t vw_action_answer(vw_t* handle, uint32_t id, vw_answer_t answer, const char* reason) {
    return guarded(handle, [&](vw& vw) { return vw.answer(id, answer, reason); });
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
        case VW_ERR_DISCONNECTED:
            return "not connected to the host";
        case VW_ERR_UNAVAILABLE:
            return "server groups cannot be reached now";
        case VW_ERR_NOT_IN_GROUP:
            return "this guest is in no server group";
        case VW_ERR_NOT_ENABLED:
            return "messaging is switched off for this guest";
        case VW_ERR_TOO_LARGE:
            return "payload too large";
        case VW_ERR_RATE_LIMITED:
            return "too many messages";
        case VW_ERR_QUEUE_FULL:
            return "too much is under way already";
        case VW_ERR_TIMEOUT:
            return "no answer in time";
        case VW_ERR_INCOMPLETE:
            return "a part of the answer was lost";
        case VW_ERR_WRONG_PROCESS:
            return "the handle belongs to another process";
    }
    return "unknown result";
}

const char* vw_version(void) {
    return VITALWIRE_VERSION;
}
