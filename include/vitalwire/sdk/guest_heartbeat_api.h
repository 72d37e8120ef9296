/*
 * The heartbeat functions of the Titanium/StarlingX guest SDK: an application written for them is built with this
 * header and libguest_heartbeat_api.so.3 and libguest_common_api.so.3 of Vitalwire, or runs again with those libraries
 * alone. Names, types and behaviour are the SDK's; new applications use <vitalwire/vitalwire.h>.
 *
 * vitalwired has to serve the SDK's socket: [sdk] heartbeat_socket of vitalwired.conf(5). One application for each
 * process; functions are not to be called from several threads at once. See vitalwire-sdk(7).
 */
#ifndef VITALWIRE_SDK_GUEST_HEARTBEAT_API_H
#define VITALWIRE_SDK_GUEST_HEARTBEAT_API_H

#include <stdbool.h>
#include <vitalwire/sdk/guest_api_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Sizes in bytes, with the terminating zero. */
#define GUEST_HEARTBEAT_API_APPLICATION_NAME_MAX 40
#define GUEST_HEARTBEAT_API_LOG_MAX 192

/** What is wanted when the application is unhealthy or does not answer. */
typedef enum {
    GUEST_HEARTBEAT_API_ACTION_UNKNOWN,
    GUEST_HEARTBEAT_API_ACTION_NONE,
    GUEST_HEARTBEAT_API_ACTION_REBOOT,
    GUEST_HEARTBEAT_API_ACTION_STOP,
    GUEST_HEARTBEAT_API_ACTION_LOG,
    GUEST_HEARTBEAT_API_ACTION_MAX,
} GuestHeartbeatApiActionT;

/** What happens to the virtual machine. */
typedef enum {
    GUEST_HEARTBEAT_API_EVENT_UNKNOWN,
    GUEST_HEARTBEAT_API_EVENT_STOP,
    GUEST_HEARTBEAT_API_EVENT_REBOOT,
    GUEST_HEARTBEAT_API_EVENT_SUSPEND,
    GUEST_HEARTBEAT_API_EVENT_PAUSE,
    GUEST_HEARTBEAT_API_EVENT_UNPAUSE,
    GUEST_HEARTBEAT_API_EVENT_RESUME,
    GUEST_HEARTBEAT_API_EVENT_RESIZE_BEGIN,
    GUEST_HEARTBEAT_API_EVENT_RESIZE_END,
    GUEST_HEARTBEAT_API_EVENT_LIVE_MIGRATE_BEGIN,
    GUEST_HEARTBEAT_API_EVENT_LIVE_MIGRATE_END,
    GUEST_HEARTBEAT_API_EVENT_COLD_MIGRATE_BEGIN,
    GUEST_HEARTBEAT_API_EVENT_COLD_MIGRATE_END,
    GUEST_HEARTBEAT_API_EVENT_MAX,
} GuestHeartbeatApiEventT;

typedef enum {
    GUEST_HEARTBEAT_API_NOTIFY_TYPE_UNKNOWN,
    GUEST_HEARTBEAT_API_NOTIFY_TYPE_REVOCABLE,   /**< a vote: it may be rejected */
    GUEST_HEARTBEAT_API_NOTIFY_TYPE_IRREVOCABLE, /**< a notice: it happens */
    GUEST_HEARTBEAT_API_NOTIFY_TYPE_MAX,
} GuestHeartbeatApiNotifyTypeT;

typedef enum {
    GUEST_HEARTBEAT_API_VOTE_RESULT_UNKNOWN,
    GUEST_HEARTBEAT_API_VOTE_RESULT_ACCEPT,
    GUEST_HEARTBEAT_API_VOTE_RESULT_REJECT,
    GUEST_HEARTBEAT_API_VOTE_RESULT_COMPLETE, /**< the answer to a notice: ready for it */
    GUEST_HEARTBEAT_API_VOTE_RESULT_MAX,
} GuestHeartbeatApiVoteResultT;

typedef struct {
    char application_name[GUEST_HEARTBEAT_API_APPLICATION_NAME_MAX]; /**< what the operator reads */
    int heartbeat_interval_ms;                                       /**< 400 to 3600000 */
    int vote_secs;
    int shutdown_notice_secs;
    int suspend_notice_secs;
    int resume_notice_secs;
    GuestHeartbeatApiActionT corrective_action; /**< wanted when the application does not answer */
} GuestHeartbeatApiInitDataT;

/**
 * The application is registered (true); or it was refused, or the connection ended, and it has to register again
 * (false).
 */
typedef void (*GuestHeartbeatApiRegisterStateCallbackT)(bool state);

/**
 * How the application is. `log_msg` has room for GUEST_HEARTBEAT_API_LOG_MAX bytes: why it is unhealthy. What is not
 * set stays: healthy, GUEST_HEARTBEAT_API_ACTION_NONE, "".
 */
typedef void (*GuestHeartbeatApiHealthCheckCallbackT)(bool* health, GuestHeartbeatApiActionT* corrective_action,
                                                      char log_msg[]);

/**
 * Something is about to happen to the virtual machine, or has happened. Answered by
 * guest_heartbeat_api_send_action_response(), in the call or later. vitalwired of this version sends none.
 */
typedef void (*GuestHeartbeatApiActionNotifyCallbackT)(int invocation_id, GuestHeartbeatApiEventT event,
                                                       GuestHeartbeatApiNotifyTypeT notify_type);

/** None may be NULL. They are called by guest_heartbeat_api_dispatch(), and may call any function. */
typedef struct {
    GuestHeartbeatApiRegisterStateCallbackT register_state;
    GuestHeartbeatApiHealthCheckCallbackT health_check;
    GuestHeartbeatApiActionNotifyCallbackT action_notify;
} GuestHeartbeatApiCallbacksT;

/** Constant texts for a log. Never NULL. */
const char* guest_heartbeat_api_action_str(GuestHeartbeatApiActionT action);
const char* guest_heartbeat_api_event_str(GuestHeartbeatApiEventT event);
const char* guest_heartbeat_api_notify_str(GuestHeartbeatApiNotifyTypeT notify);
const char* guest_heartbeat_api_vote_result_str(GuestHeartbeatApiVoteResultT vote_result);

/** To be called once, before all others. */
GuestApiErrorT guest_heartbeat_api_initialize(GuestHeartbeatApiCallbacksT* callbacks);

/**
 * Connects where there is no connection, and asks to be watched. Whether it is tells `register_state`.
 *
 * @return GUEST_API_TRY_AGAIN: vitalwired is not there now, call it again after a while
 */
GuestApiErrorT guest_heartbeat_api_register(GuestHeartbeatApiInitDataT* init_data);

/** Ends the watch; the connection stays. Without a connection it does nothing. */
GuestApiErrorT guest_heartbeat_api_deregister(char log_msg[]);

/** The answer to `action_notify`, with its numbers. Without a connection it does nothing. */
GuestApiErrorT guest_heartbeat_api_send_action_response(int invocation_id, GuestHeartbeatApiEventT event,
                                                        GuestHeartbeatApiNotifyTypeT notify_type,
                                                        GuestHeartbeatApiVoteResultT vote_result, char log_msg[]);

/** A descriptor to be polled for reading; -1 without a connection. It may be another one after each registration. */
int guest_heartbeat_api_get_selobj(void);

/** To be called when the descriptor is readable; calls the callbacks. */
void guest_heartbeat_api_dispatch(int selobj);

/** Closes the connection, which deregisters. */
GuestApiErrorT guest_heartbeat_api_finalize(void);

#ifdef __cplusplus
}
#endif

#endif
