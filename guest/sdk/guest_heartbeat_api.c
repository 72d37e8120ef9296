// libguest_heartbeat_api.so.3: the SDK's functions, over the records of guest/sdk_record.hpp.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vitalwire/sdk/guest_heartbeat_api.h>

enum { kMagicSize = 8, kVersion = 2, kRevision = 1 };

enum RecordType { kInit, kInitAck, kFinal, kChallenge, kChallengeResponse, kActionNotify, kActionResponse };

struct Header {
    char magic[kMagicSize];
    uint8_t version;
    uint8_t revision;
    uint16_t type;
    uint32_t sequence;
    uint32_t size;
};

struct Record {
    struct Header header;
    union {
        struct {
            char name[GUEST_HEARTBEAT_API_APPLICATION_NAME_MAX];
            uint32_t interval_ms;
            uint32_t vote_secs;
            uint32_t shutdown_notice_secs;
            uint32_t suspend_notice_secs;
            uint32_t resume_notice_secs;
            uint32_t corrective_action;
        } init;
        struct {
            uint32_t accepted;
        } init_ack;
        struct {
            char log_msg[GUEST_HEARTBEAT_API_LOG_MAX];
        } final;
        struct {
            uint32_t value;
        } challenge;
        struct {
            uint32_t challenge;
            uint32_t healthy;
            uint32_t corrective_action;
            char log_msg[GUEST_HEARTBEAT_API_LOG_MAX];
        } challenge_response;
        struct {
            uint32_t invocation_id;
            uint32_t event;
            uint32_t notify_type;
        } action_notify;
        struct {
            uint32_t invocation_id;
            uint32_t event;
            uint32_t notify_type;
            uint32_t vote_result;
            char log_msg[GUEST_HEARTBEAT_API_LOG_MAX];
        } action_response;
    } body;
};
_Static_assert(sizeof(struct Header) == 20, "the layout is the SDK's");
_Static_assert(sizeof(struct Record) == 228, "the layout is the SDK's");

static const char kMagic[kMagicSize] = {'F', 'D', 'F', 'D', 'A', '5', 'A', '5'};

// All of it, because the interface has no handle.
static struct {
    GuestHeartbeatApiCallbacksT callbacks;
    int socket;
    uint32_t sequence;
    char received[8 * sizeof(struct Record)];
    size_t size;  // of what was received and is in no record yet
} api = {.socket = -1};

#define NAME_OF(names, value, unknown) \
    ((size_t)(value) < sizeof(names) / sizeof((names)[0]) && (names)[value] != NULL ? (names)[value] : (unknown))

const char* guest_heartbeat_api_action_str(GuestHeartbeatApiActionT action) {
    static const char* const names[] = {NULL, "none", "reboot", "stop", "log"};
    return NAME_OF(names, action, "action-???");
}

const char* guest_heartbeat_api_event_str(GuestHeartbeatApiEventT event) {
    static const char* const names[] = {NULL,
                                        "stop",
                                        "reboot",
                                        "suspend",
                                        "pause",
                                        "unpause",
                                        "resume",
                                        "resize-begin",
                                        "resize-end",
                                        "live-migrate-begin",
                                        "live-migrate-end",
                                        "cold-migrate-begin",
                                        "cold-migrate-end"};
    return NAME_OF(names, event, "event-???");
}

const char* guest_heartbeat_api_notify_str(GuestHeartbeatApiNotifyTypeT notify) {
    static const char* const names[] = {NULL, "revocable", "irrevocable"};
    return NAME_OF(names, notify, "notify-???");
}

const char* guest_heartbeat_api_vote_result_str(GuestHeartbeatApiVoteResultT vote_result) {
    static const char* const names[] = {NULL, "accept", "reject", "complete"};
    return NAME_OF(names, vote_result, "vote-???");
}

static void disconnect(void) {
    if (api.socket >= 0) close(api.socket);
    api.socket = -1;
    api.size = 0;
}

static GuestApiErrorT connect_to_daemon(void) {
    const char* path = secure_getenv("VITALWIRE_SDK_HEARTBEAT_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path != NULL ? path : "/var/run/.guest_heartbeat_api");
    api.socket = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (api.socket < 0) return GUEST_API_FAILED;
    if (connect(api.socket, (const struct sockaddr*)&address, sizeof address) == 0) return GUEST_API_OKAY;
    const int error = errno;
    disconnect();
    return error == ENOENT || error == ECONNREFUSED || error == EAGAIN ? GUEST_API_TRY_AGAIN : GUEST_API_FAILED;
}

static GuestApiErrorT send_record(struct Record* record, enum RecordType type) {
    memcpy(record->header.magic, kMagic, sizeof kMagic);
    record->header.version = kVersion;
    record->header.revision = kRevision;
    record->header.type = (uint16_t)type;
    record->header.sequence = ++api.sequence;
    record->header.size = sizeof *record;
    const ssize_t sent = send(api.socket, record, sizeof *record, MSG_NOSIGNAL);
    if (sent == (ssize_t)sizeof *record) return GUEST_API_OKAY;
    return sent < 0 && (errno == EPIPE || errno == ECONNRESET) ? GUEST_API_TRY_AGAIN : GUEST_API_FAILED;
}

static void put_text(char* field, size_t size, const char* text) {
    snprintf(field, size, "%s", text != NULL ? text : "");
}

GuestApiErrorT guest_heartbeat_api_initialize(GuestHeartbeatApiCallbacksT* callbacks) {
    if (callbacks == NULL || callbacks->register_state == NULL || callbacks->health_check == NULL ||
        callbacks->action_notify == NULL)
        return GUEST_API_FAILED;
    api.callbacks = *callbacks;
    return GUEST_API_OKAY;
}

GuestApiErrorT guest_heartbeat_api_register(GuestHeartbeatApiInitDataT* init_data) {
    if (init_data == NULL) return GUEST_API_FAILED;
    if (api.socket < 0) {
        const GuestApiErrorT error = connect_to_daemon();
        if (error != GUEST_API_OKAY) return error;
    }
    struct Record record = {0};
    put_text(record.body.init.name, sizeof record.body.init.name, init_data->application_name);
    record.body.init.interval_ms = (uint32_t)init_data->heartbeat_interval_ms;
    record.body.init.vote_secs = (uint32_t)init_data->vote_secs;
    record.body.init.shutdown_notice_secs = (uint32_t)init_data->shutdown_notice_secs;
    record.body.init.suspend_notice_secs = (uint32_t)init_data->suspend_notice_secs;
    record.body.init.resume_notice_secs = (uint32_t)init_data->resume_notice_secs;
    record.body.init.corrective_action = init_data->corrective_action;
    const GuestApiErrorT error = send_record(&record, kInit);
    // An application that is not registered may not poll the descriptor: the next call connects again.
    if (error == GUEST_API_TRY_AGAIN) disconnect();
    return error;
}

GuestApiErrorT guest_heartbeat_api_deregister(char log_msg[]) {
    if (api.socket < 0) return GUEST_API_OKAY;
    struct Record record = {0};
    put_text(record.body.final.log_msg, sizeof record.body.final.log_msg, log_msg);
    return send_record(&record, kFinal);
}

GuestApiErrorT guest_heartbeat_api_send_action_response(int invocation_id, GuestHeartbeatApiEventT event,
                                                        GuestHeartbeatApiNotifyTypeT notify_type,
                                                        GuestHeartbeatApiVoteResultT vote_result, char log_msg[]) {
    if (api.socket < 0) return GUEST_API_OKAY;
    struct Record record = {0};
    record.body.action_response.invocation_id = (uint32_t)invocation_id;
    record.body.action_response.event = event;
    record.body.action_response.notify_type = notify_type;
    record.body.action_response.vote_result = vote_result;
    put_text(record.body.action_response.log_msg, sizeof record.body.action_response.log_msg, log_msg);
    return send_record(&record, kActionResponse);
}

static void answer(uint32_t challenge) {
    bool healthy = true;
    GuestHeartbeatApiActionT action = GUEST_HEARTBEAT_API_ACTION_NONE;
    char log_msg[GUEST_HEARTBEAT_API_LOG_MAX] = "";
    api.callbacks.health_check(&healthy, &action, log_msg);
    if (api.socket < 0) return;
    log_msg[sizeof log_msg - 1] = '\0';
    struct Record record = {0};
    record.body.challenge_response.challenge = challenge;
    record.body.challenge_response.healthy = healthy;
    record.body.challenge_response.corrective_action = action;
    put_text(record.body.challenge_response.log_msg, sizeof record.body.challenge_response.log_msg, log_msg);
    // A connection that has ended is seen when it is read.
    send_record(&record, kChallengeResponse);
}

// What a daemon of a later version may send, and this library has no name for, is unknown.
static uint32_t known(uint32_t value, uint32_t count) {
    return value < count ? value : 0;
}

static void notify(const struct Record* record) {
    const uint32_t event = known(record->body.action_notify.event, GUEST_HEARTBEAT_API_EVENT_MAX);
    const uint32_t type = known(record->body.action_notify.notify_type, GUEST_HEARTBEAT_API_NOTIFY_TYPE_MAX);
    api.callbacks.action_notify((int)record->body.action_notify.invocation_id, (GuestHeartbeatApiEventT)event,
                                (GuestHeartbeatApiNotifyTypeT)type);
}

static void handle(const struct Record* record) {
    if (record->header.type == kInitAck) api.callbacks.register_state(record->body.init_ack.accepted != 0);
    if (record->header.type == kChallenge) answer(record->body.challenge.value);
    if (record->header.type == kActionNotify) notify(record);
}

static void drop(size_t count) {
    api.size -= count;
    memmove(api.received, api.received + count, api.size);
}

// Takes the next record out of what was received; false when it is not there yet.
static bool next_record(struct Record* record) {
    for (;;) {
        const char* magic = memmem(api.received, api.size, kMagic, sizeof kMagic);
        if (magic == NULL) {
            // The last bytes may be the beginning of one.
            if (api.size >= kMagicSize) drop(api.size - (kMagicSize - 1));
            return false;
        }
        drop((size_t)(magic - api.received));
        if (api.size < sizeof record->header) return false;
        memcpy(&record->header, api.received, sizeof record->header);
        if (record->header.version != kVersion || record->header.size != sizeof *record) {
            drop(kMagicSize);
            continue;
        }
        if (api.size < sizeof *record) return false;
        memcpy(record, api.received, sizeof *record);
        drop(sizeof *record);
        return true;
    }
}

void guest_heartbeat_api_dispatch(int selobj) {
    if (selobj < 0 || selobj != api.socket || api.callbacks.register_state == NULL) return;
    const ssize_t size = recv(api.socket, api.received + api.size, sizeof api.received - api.size, 0);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (size <= 0) {
        disconnect();
        api.callbacks.register_state(false);
        return;
    }
    api.size += (size_t)size;
    struct Record record;
    // A callback may have closed the connection, which leaves nothing to read, or ended the use of this library.
    while (api.callbacks.register_state != NULL && next_record(&record))
        handle(&record);
}

int guest_heartbeat_api_get_selobj(void) {
    return api.socket;
}

GuestApiErrorT guest_heartbeat_api_finalize(void) {
    disconnect();
    api.callbacks = (GuestHeartbeatApiCallbacksT){0};
    return GUEST_API_OKAY;
}
