/* Results of the functions of guest_heartbeat_api.h and guest_api_debug.h. */
#ifndef VITALWIRE_SDK_GUEST_API_TYPES_H
#define VITALWIRE_SDK_GUEST_API_TYPES_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    GUEST_API_OKAY,
    GUEST_API_FAILED,
    GUEST_API_INTERRUPTED,
    GUEST_API_TRY_AGAIN, /**< the daemon is not there; the same call may succeed later */
} GuestApiErrorT;

/** A constant text for a log. Never NULL. */
const char* guest_api_error_str(GuestApiErrorT error);

#ifdef __cplusplus
}
#endif

#endif
