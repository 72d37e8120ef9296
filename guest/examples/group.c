/*
 * The smallest application of a server group: it tells its peers each line that it reads, and prints what they say and
 * how their state changes.
 *
 *     cc group.c $(pkg-config --cflags --libs vitalwire) -o group
 *     ./group          a line "?" asks for the state of the whole group
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vitalwire/vitalwire.h>

/* What peers send is hostile input: nothing of it reaches the terminal as it is. */
static void print_bytes(const char* data, size_t size) {
    size_t i;

    for (i = 0; i < size; i++)
        putchar(data[i] >= ' ' && data[i] <= '~' ? data[i] : '.');
    putchar('\n');
    fflush(stdout);
}

static void on_message(vw_t* vw, const struct vw_group_message* message, void* context) {
    (void)vw;
    (void)context;
    printf("%s says: ", message->source_instance);
    print_bytes(message->data, message->size);
}

static void on_notification(vw_t* vw, const struct vw_group_notification* told, void* context) {
    (void)vw;
    (void)context;
    printf("%s is now ", told->member->instance_id);
    print_bytes(told->member->state, strlen(told->member->state));
}

static void on_refused(vw_t* vw, const struct vw_group_refusal* refusal, void* context) {
    (void)vw;
    (void)context;
    printf("not sent: %s\n", refusal->message);
    fflush(stdout);
}

static void on_dropped(vw_t* vw, uint64_t count, void* context) {
    (void)vw;
    (void)context;
    printf("missed %llu\n", (unsigned long long)count);
    fflush(stdout);
}

static void on_status(vw_t* vw, vw_result_t result, const char* why, const struct vw_group_member* const* members,
                      size_t count, void* context) {
    size_t i;

    (void)vw;
    (void)context;
    if (result != VW_OK) printf("no status: %s\n", why);
    for (i = 0; i < count; i++) {
        printf("%s: ", members[i]->instance_id);
        print_bytes(members[i]->state, strlen(members[i]->state));
    }
    fflush(stdout);
}

/* One line of standard input; 0 at its end, or when it cannot be read. */
static int tell_peers(vw_t* vw) {
    char line[VW_MAX_PAYLOAD];
    ssize_t size = read(STDIN_FILENO, line, sizeof line);
    vw_result_t result;

    if (size < 0) return errno == EINTR || errno == EAGAIN;
    if (size == 0) return 0;
    if (line[size - 1] == '\n') size--;
    if (size == 1 && line[0] == '?')
        result = vw_group_query(vw, 0, on_status, NULL);
    else
        result = vw_group_broadcast(vw, line, (size_t)size, NULL);
    if (result != VW_OK) printf("not sent: %s\n", vw_last_error(vw));
    fflush(stdout);
    return 1;
}

int main(void) {
    struct vw_group_options group = VW_GROUP_OPTIONS_INIT;
    struct pollfd ready[2];
    vw_result_t result;
    vw_t* vw;

    result = vw_open(NULL, &vw);
    if (result != VW_OK) {
        fprintf(stderr, "group: %s\n", vw_strerror(result));
        return 1;
    }
    group.broadcast = on_message;
    group.notification = on_notification;
    group.refused = on_refused;
    group.dropped = on_dropped;
    result = vw_group_subscribe(vw, &group);

    ready[0].fd = vw_fd(vw);
    ready[1].fd = STDIN_FILENO;
    ready[0].events = ready[1].events = POLLIN;
    while (result == VW_OK) {
        if (poll(ready, 2, -1) < 0) {
            if (errno == EINTR) continue; /* a signal */
            perror("group: poll");
            break;
        }
        if (ready[0].revents != 0) result = vw_dispatch(vw, VW_DISPATCH_ALL);
        if (ready[1].revents != 0 && !tell_peers(vw)) break;
    }
    if (result != VW_OK) fprintf(stderr, "group: %s\n", vw_last_error(vw));
    vw_close(vw);
    return result == VW_OK ? 0 : 1;
}
