/* The log functions of the Titanium/StarlingX guest SDK: lines go to syslog(3). libguest_common_api.so.3 has them. */
#ifndef VITALWIRE_SDK_GUEST_API_DEBUG_H
#define VITALWIRE_SDK_GUEST_API_DEBUG_H

#include <stdbool.h>
#include <vitalwire/sdk/guest_api_types.h>

#ifdef __GNUC__
/* The SDK's macros drop a comma before arguments that are not there, which no standard has. */
#pragma GCC system_header
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    GUEST_API_DEBUG_LOG_LEVEL_ERROR,
    GUEST_API_DEBUG_LOG_LEVEL_INFO,
    GUEST_API_DEBUG_LOG_LEVEL_DEBUG,
    GUEST_API_DEBUG_LOG_LEVEL_VERBOSE,
} GuestApiDebugLogLevelT;

#define DPRINTF(level, format, ...)                                                                              \
    do {                                                                                                         \
        if (guest_api_debug_want_log(level))                                                                     \
            guest_api_debug_log("%s: %s(%i): " format, guest_api_debug_log_level_str(level), __FILE__, __LINE__, \
                                ##__VA_ARGS__);                                                                  \
    } while (0)
#define DPRINTFE(format, ...) DPRINTF(GUEST_API_DEBUG_LOG_LEVEL_ERROR, format, ##__VA_ARGS__)
#define DPRINTFI(format, ...) DPRINTF(GUEST_API_DEBUG_LOG_LEVEL_INFO, format, ##__VA_ARGS__)
#define DPRINTFD(format, ...) DPRINTF(GUEST_API_DEBUG_LOG_LEVEL_DEBUG, format, ##__VA_ARGS__)
#define DPRINTFV(format, ...) DPRINTF(GUEST_API_DEBUG_LOG_LEVEL_VERBOSE, format, ##__VA_ARGS__)

const char* guest_api_debug_log_level_str(GuestApiDebugLogLevelT level);

/** The least important level that is logged; GUEST_API_DEBUG_LOG_LEVEL_INFO at first. */
void guest_api_debug_set_log_level(GuestApiDebugLogLevelT level);

bool guest_api_debug_want_log(GuestApiDebugLogLevelT level);

/** Logs one line, whatever the level is. */
void guest_api_debug_log(const char* format, ...);

/** Sets the level back. `process_name` is not looked at: syslog(3) names the program. */
GuestApiErrorT guest_api_debug_initialize(char process_name[]);

GuestApiErrorT guest_api_debug_finalize(void);

#ifdef __cplusplus
}
#endif

#endif
