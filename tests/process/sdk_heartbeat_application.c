// An application of the guest SDK's heartbeat interface as it is written for the SDK: it includes the SDK's headers by
// their names and knows nothing of Vitalwire.
//
//     sdk_heartbeat_application NAME FILE [INTERVAL_MS]
//
// It is healthy while FILE is not there; else FILE has the action that it wants, a space and the reason. It prints its
// callbacks, and ends in order at a SIGTERM.
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest_api_debug.h"
#include "guest_api_types.h"
#include "guest_heartbeat_api.h"

static volatile sig_atomic_t stay_on = 1;
static bool registered = false;
static bool registering = false;
static const char* health_file = NULL;
static unsigned interval_ms = 400;

static void stop(int number) {
    (void)number;
    stay_on = 0;
}

static void register_state(bool state) {
    registered = state;
    registering = false;
    printf("registered %d\n", state);
}

static GuestHeartbeatApiActionT parse_action(const char* name) {
    GuestHeartbeatApiActionT action = GUEST_HEARTBEAT_API_ACTION_LOG;
    while (action != GUEST_HEARTBEAT_API_ACTION_UNKNOWN && strcmp(guest_heartbeat_api_action_str(action), name) != 0)
        --action;
    return action;
}

static void health_check(bool* healthy, GuestHeartbeatApiActionT* corrective_action, char log_msg[]) {
    FILE* file = fopen(health_file, "r");
    if (file == NULL) return;
    char action[16] = "";
    *healthy = fscanf(file, "%15s %191[^\n]", action, log_msg) < 1;
    *corrective_action = parse_action(action);
    fclose(file);
}

static void action_notify(int invocation_id, GuestHeartbeatApiEventT event, GuestHeartbeatApiNotifyTypeT notify_type) {
    printf("notify %d %s %s\n", invocation_id, guest_heartbeat_api_event_str(event),
           guest_heartbeat_api_notify_str(notify_type));
    char why[] = "busy";
    const bool is_vote = notify_type == GUEST_HEARTBEAT_API_NOTIFY_TYPE_REVOCABLE;
    const GuestHeartbeatApiVoteResultT result =
        is_vote ? GUEST_HEARTBEAT_API_VOTE_RESULT_REJECT : GUEST_HEARTBEAT_API_VOTE_RESULT_COMPLETE;
    guest_heartbeat_api_send_action_response(invocation_id, event, notify_type, result, is_vote ? why : NULL);
}

static void register_it(const char* name) {
    GuestHeartbeatApiInitDataT data = {.heartbeat_interval_ms = interval_ms,
                                       .vote_secs = 8,
                                       .shutdown_notice_secs = 5,
                                       .suspend_notice_secs = 6,
                                       .resume_notice_secs = 7,
                                       .corrective_action = GUEST_HEARTBEAT_API_ACTION_REBOOT};
    snprintf(data.application_name, sizeof data.application_name, "%s", name);
    const GuestApiErrorT error = guest_heartbeat_api_register(&data);
    registering = error == GUEST_API_OKAY;
    if (!registering) printf("not registered: %s\n", guest_api_error_str(error));
}

int main(int argc, char* argv[]) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    char process[] = "Sample";
    GuestHeartbeatApiCallbacksT callbacks = {register_state, health_check, action_notify};
    if (argc < 3 || guest_api_debug_initialize(process) != GUEST_API_OKAY) return 1;
    if (guest_heartbeat_api_initialize(&callbacks) != GUEST_API_OKAY) return 2;
    health_file = argv[2];
    if (argc > 3) interval_ms = (unsigned)atoi(argv[3]);
    signal(SIGTERM, stop);
    DPRINTFI("Started.");
    while (stay_on) {
        if (!registered && !registering) register_it(argv[1]);
        struct pollfd ready = {.fd = guest_heartbeat_api_get_selobj(), .events = POLLIN};
        if (poll(&ready, 1, 100) > 0) guest_heartbeat_api_dispatch(ready.fd);
    }
    char why[] = "Exiting";
    const GuestApiErrorT error = guest_heartbeat_api_deregister(why);
    if (error != GUEST_API_OKAY) DPRINTFE("Not deregistered, %s.", guest_api_error_str(error));
    guest_heartbeat_api_finalize();
    return guest_api_debug_finalize() == GUEST_API_OKAY ? 0 : 3;
}
