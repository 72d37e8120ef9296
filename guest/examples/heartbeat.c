/*
 * The smallest application with a heartbeat: it counts as healthy while the file named on its command line exists.
 *
 *     cc heartbeat.c $(pkg-config --cflags --libs vitalwire) -o heartbeat
 *     touch /tmp/well; ./heartbeat sample /tmp/well
 *
 * Remove the file, and the host reports this guest as unhealthy: "application sample: /tmp/well is missing".
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vitalwire/vitalwire.h>

static volatile sig_atomic_t stop;

static void on_signal(int number) {
    (void)number;
    stop = 1;
}

static vw_health_t health(vw_t* vw, char* reason, size_t size, void* context) {
    const char* file = context;

    (void)vw;
    if (access(file, F_OK) == 0) return VW_HEALTHY;
    snprintf(reason, size, "%s is missing", file);
    return VW_UNHEALTHY;
}

static void registration(vw_t* vw, vw_result_t result, const char* message, void* context) {
    (void)vw;
    (void)context;
    if (result == VW_OK)
        printf("registered\n");
    else
        printf("refused: %s\n", message);
    fflush(stdout);
}

int main(int argc, char* argv[]) {
    struct vw_heartbeat_options heartbeat = VW_HEARTBEAT_OPTIONS_INIT;
    struct sigaction action;
    vw_result_t result;
    vw_t* vw;

    if (argc != 3) {
        fprintf(stderr, "usage: heartbeat NAME FILE\n");
        return 2;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    result = vw_open(NULL, &vw);
    if (result != VW_OK) {
        fprintf(stderr, "heartbeat: %s\n", vw_strerror(result));
        return 1;
    }
    heartbeat.name = argv[1];
    heartbeat.detection_time_ms = 900;
    heartbeat.health = health;
    heartbeat.registration = registration;
    heartbeat.context = argv[2];
    result = vw_heartbeat_register(vw, &heartbeat);

    /* An application with a loop of its own polls vw_fd() beside its other descriptors instead. */
    while (result == VW_OK && !stop)
        result = vw_dispatch(vw, VW_DISPATCH_WAIT);

    if (result != VW_OK) fprintf(stderr, "heartbeat: %s\n", vw_last_error(vw));
    vw_close(vw); /* deregisters: ending without it would be reported as a fault */
    return result == VW_OK ? 0 : 1;
}
