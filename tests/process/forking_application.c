/* An application that has forked a child which lives on, as servers do that fork their workers: counts its dispatches,
 * and ends its helper by exit(), which runs destructors and handlers. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vitalwire/vitalwire.h>

static vw_t* handle;
static int registrations;

static void on_registration(vw_t* vw, vw_result_t result, const char* message, void* context) {
    (void)vw;
    (void)message;
    (void)context;
    if (result == VW_OK) ++registrations;
}

static void close_at_exit(void) {
    vw_close(handle);
}

static void fork_children(void) {
    if (fork() == 0) {
        for (;;)
            pause();
    }
    const pid_t helper = fork();
    if (helper == 0) exit(0);
    waitpid(helper, NULL, 0);
}

int main(void) {
    if (vw_open(NULL, &handle) != VW_OK) return 1;
    atexit(close_at_exit);
    struct vw_heartbeat_options options = VW_HEARTBEAT_OPTIONS_INIT;
    options.name = "server";
    options.interval_ms = 200;
    options.registration = on_registration;
    if (vw_heartbeat_register(handle, &options) != VW_OK) return 1;
    int has_forked = 0, dispatches = 0, known = 0;
    time_t second = time(NULL);
    for (;;) {
        struct pollfd ready = {vw_fd(handle), POLLIN, 0};
        poll(&ready, 1, 1000);
        vw_dispatch(handle, VW_DISPATCH_ALL);
        ++dispatches;
        if (registrations != known) printf("registered %d\n", known = registrations);
        if (registrations > 0 && !has_forked) {
            has_forked = 1;
            fork_children();
        }
        if (time(NULL) != second) printf("%d dispatches in a second\n", dispatches);
        if (time(NULL) != second) dispatches = 0;
        second = time(NULL);
        fflush(stdout);
    }
}
