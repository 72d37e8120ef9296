// libguest_common_api.so.3: what applications of the guest SDK use beside the heartbeat.
#include <stdarg.h>
#include <syslog.h>
#include <vitalwire/sdk/guest_api_debug.h>
#include <vitalwire/sdk/guest_api_types.h>

static GuestApiDebugLogLevelT log_level = GUEST_API_DEBUG_LOG_LEVEL_INFO;

const char* guest_api_error_str(GuestApiErrorT error) {
    switch (error) {
        case GUEST_API_OKAY:
            return "OKAY";
        case GUEST_API_FAILED:
            return "FAILED";
        case GUEST_API_INTERRUPTED:
            return "INTERRUPTED";
        case GUEST_API_TRY_AGAIN:
            return "TRY_AGAIN";
    }
    return "???";
}

const char* guest_api_debug_log_level_str(GuestApiDebugLogLevelT level) {
    switch (level) {
        case GUEST_API_DEBUG_LOG_LEVEL_ERROR:
            return "error";
        case GUEST_API_DEBUG_LOG_LEVEL_INFO:
            return "info";
        case GUEST_API_DEBUG_LOG_LEVEL_DEBUG:
            return "debug";
        case GUEST_API_DEBUG_LOG_LEVEL_VERBOSE:
            return "verbose";
    }
    return "???";
}

void guest_api_debug_set_log_level(GuestApiDebugLogLevelT level) {
    log_level = level;
}

bool guest_api_debug_want_log(GuestApiDebugLogLevelT level) {
    return level <= log_level;
}

__attribute__((format(printf, 1, 2))) void guest_api_debug_log(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsyslog(LOG_INFO, format, arguments);
    va_end(arguments);
}

GuestApiErrorT guest_api_debug_initialize(char process_name[]) {
    (void)process_name;
    log_level = GUEST_API_DEBUG_LOG_LEVEL_INFO;
    return GUEST_API_OKAY;
}

GuestApiErrorT guest_api_debug_finalize(void) {
    log_level = GUEST_API_DEBUG_LOG_LEVEL_INFO;
    return GUEST_API_OKAY;
}
