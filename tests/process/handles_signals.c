/* To be loaded before a program: it then handles SIGPROF, as one with a profiler does, and its waits are interrupted.
 */
#include <signal.h>
#include <string.h>

static void nothing(int number) {
    (void)number;
}

__attribute__((constructor)) static void handle(void) {
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = nothing;
    sigaction(SIGPROF, &action, NULL);
}
