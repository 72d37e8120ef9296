/*
 * libvitalwire: an application in a virtual machine tells vitalwired whether it is well, and exchanges messages with
 * the other guests of its server group.
 *
 * Open a handle and call vw_dispatch() whenever vw_fd() is readable.
 *
 * Heartbeat: register. vitalwired asks every registered application each interval; an application that says it is
 * unhealthy, does not answer in time, or ends without deregistering makes the whole guest unhealthy towards its host,
 * and is named in the reason (proto-spec/heartbeat.md, section 1, challenge_response).
 *
 * Server group: subscribe, broadcast, query the status. Which guests form the group, the cloud knows
 * (proto-spec/server-group.md). Any number of applications in one guest do so at once, each for itself.
 *
 * Threads: a handle is used by one thread at a time; different handles are independent. A thread that is cancelled
 * (pthread_cancel) is cancelled in the wait of vw_dispatch(), never within a change or a callback. No function blocks,
 * except vw_dispatch() with VW_DISPATCH_WAIT and vw_close() for at most half a second. Texts are UTF-8.
 *
 * Processes: the process that opened a handle speaks for it. In a child that it forks every function returns
 * VW_ERR_WRONG_PROCESS (vw_fd() -1, vw_is_connected() 0), except vw_close(), which frees the child's copy and nothing
 * else: neither the child's work nor its end changes anything for the parent. A child that wants to be watched opens a
 * handle of its own, with a name of its own.
 *
 * Manual pages: vitalwire(3), vw_open(3), vw_dispatch(3), vw_heartbeat_register(3), vw_group_subscribe(3),
 * vw_group_broadcast(3), vw_group_query(3), vw_strerror(3).
 */
#ifndef VITALWIRE_VITALWIRE_H
#define VITALWIRE_VITALWIRE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VW_API __attribute__((visibility("default")))
#else
#define VW_API
#endif

/** A connection to vitalwired. */
typedef struct vw vw_t;

/** What a function came to. Later versions may add values: treat an unknown one as an error. */
typedef enum vw_result {
    VW_OK = 0,
    VW_ERR_INVALID = 1,        /**< an argument is missing or out of its range */
    VW_ERR_NO_MEMORY = 2,      /**< not enough memory; nothing was changed */
    VW_ERR_SYSTEM = 3,         /**< a system call failed; vw_last_error() says which and why */
    VW_ERR_BUSY = 4,           /**< not from within a callback of the same handle */
    VW_ERR_REGISTERED = 5,     /**< the handle has a registration already */
    VW_ERR_NOT_REGISTERED = 6, /**< the handle has no registration */
    VW_ERR_NAME_IN_USE = 7,    /**< another application has that name */
    VW_ERR_TOO_MANY = 8,       /**< vitalwired serves as many applications as it may, or as this user may have */
    VW_ERR_REFUSED = 9,        /**< vitalwired does not accept the request: another version, say */
    VW_ERR_INTERNAL = 10,      /**< a mistake of the library: please report it */
    VW_ERR_DISCONNECTED = 11,  /**< no connection to vitalwired, or from there to the host */
    VW_ERR_UNAVAILABLE = 12,   /**< the host cannot reach what knows the server groups; the service resumes by itself */
    VW_ERR_NOT_IN_GROUP = 13,  /**< this guest is in no server group */
    VW_ERR_NOT_ENABLED = 14,   /**< messaging is switched off for this guest */
    VW_ERR_TOO_LARGE = 15,     /**< more than VW_MAX_PAYLOAD bytes */
    VW_ERR_RATE_LIMITED = 16,  /**< more than this guest may send, or than the host reads; slow down */
    VW_ERR_QUEUE_FULL = 17,    /**< vitalwired does not read, or too many queries are under way; nothing was sent */
    VW_ERR_TIMEOUT = 18,       /**< no answer in time */
    VW_ERR_INCOMPLETE = 19,    /**< a part of the answer was lost */
    VW_ERR_WRONG_PROCESS = 20  /**< the handle was opened by the process that forked this one */
} vw_result_t;

/** How an application is. */
typedef enum vw_health { VW_HEALTHY = 0, VW_UNHEALTHY = 1 } vw_health_t;

/** Largest reason in bytes, without its terminating zero; longer ones are cut (challenge_response, `reason`). */
#define VW_MAX_REASON 224
/** Longest name of an application in bytes, without its terminating zero. */
#define VW_MAX_NAME 32
/** Range and default of `detection_time_ms`, in milliseconds. */
#define VW_MIN_DETECTION_TIME_MS 200
#define VW_MAX_DETECTION_TIME_MS 7200000
#define VW_DEFAULT_DETECTION_TIME_MS 900
/** Range and default of `interval_ms`, in milliseconds. */
#define VW_MIN_INTERVAL_MS 100
#define VW_MAX_INTERVAL_MS 3600000
#define VW_DEFAULT_INTERVAL_MS 450
/** Smallest `timeout_ms`, in milliseconds; the largest is the interval, which is also the default. */
#define VW_MIN_TIMEOUT_MS 50

/**
 * The connection to vitalwired came (`connected` 1) or went (0). The library reconnects and registers again by
 * itself; this is for an application that wants to know. Called from vw_dispatch(). `context`: of vw_options.
 */
typedef void (*vw_connection_fn)(vw_t* vw, int connected, void* context);

/** For vw_open(). Set up with VW_OPTIONS_INIT, so that fields of later versions are zero. */
struct vw_options {
    size_t size;                 /**< sizeof(struct vw_options) */
    const char* socket_path;     /**< vitalwired's socket, at most 107 bytes; NULL: $VITALWIRE_SOCKET, else
                                      /run/vitalwire/guest.sock. Copied. */
    vw_connection_fn connection; /**< NULL: nobody wants to know */
    void* context;               /**< handed to `connection` */
};
#define VW_OPTIONS_INIT \
    { sizeof(struct vw_options), NULL, NULL, NULL }

/**
 * Opens a handle. vitalwired need not run: the library connects as soon as it does, if vw_dispatch() is called.
 *
 * @param options NULL: the defaults. Not kept.
 * @param vw      receives the handle, to be given to vw_close(); NULL after an error
 * @return VW_OK, VW_ERR_INVALID, VW_ERR_NO_MEMORY, VW_ERR_SYSTEM
 */
VW_API vw_result_t vw_open(const struct vw_options* options, vw_t** vw);

/**
 * Deregisters, and frees the handle; its descriptor is closed. Waits up to half a second for a vitalwired that does not
 * read: it would otherwise call the application dead.
 *
 * @param vw NULL: nothing is done
 * @return VW_OK; VW_ERR_BUSY from within a callback of the handle, which then stays open
 */
VW_API vw_result_t vw_close(vw_t* vw);

/**
 * A descriptor that is readable (poll, select, epoll) when vw_dispatch() has something to do. It is the same for the
 * whole life of the handle, whatever becomes of the connection. Only to be waited for: not to be read, written or
 * closed.
 *
 * @return the descriptor; -1 when `vw` is NULL
 */
VW_API int vw_fd(const vw_t* vw);

/** 1 while vitalwired is connected, else 0. */
VW_API int vw_is_connected(const vw_t* vw);

/** For vw_dispatch(), or-ed. */
#define VW_DISPATCH_ALL 0u  /**< handle everything that is pending; do not wait */
#define VW_DISPATCH_ONE 1u  /**< handle at most one message from vitalwired */
#define VW_DISPATCH_WAIT 2u /**< first wait until there is something to handle, or a signal comes */

/**
 * Handles what is pending and calls the callbacks, in this thread. An application that does not come here is taken for
 * hung: that is what its registration is for.
 *
 * @return VW_OK, also when vitalwired is not there; VW_ERR_INVALID; VW_ERR_BUSY from within a callback of the handle;
 *         VW_ERR_SYSTEM
 */
VW_API vw_result_t vw_dispatch(vw_t* vw, unsigned flags);

/** `result` in English, without a full stop; valid until the program ends. Never NULL. */
VW_API const char* vw_strerror(vw_result_t result);

/**
 * One sentence on the handle's last failure, with what was wrong and what was expected; empty when there was none. Also
 * why vitalwired cannot be connected to, as long as vw_is_connected() is 0.
 * Valid until the next call with the handle. Never NULL.
 */
VW_API const char* vw_last_error(const vw_t* vw);

/** The library's version, "MAJOR.MINOR.PATCH"; valid until the program ends. */
VW_API const char* vw_version(void);

/* ---- Heartbeat ------------------------------------------------------------------------------------------------- */

/**
 * vitalwired asks how the application is. To be answered at once: what takes longer is to be found out beside, and the
 * answer kept ready. Called from vw_dispatch(), every interval, and before the application is registered: the
 * registration carries the answer.
 *
 * @param reason receives why it is unhealthy, for a person, terminated by a zero; empty when called
 * @param size   of `reason` in bytes: VW_MAX_REASON + 1
 * @return VW_HEALTHY or VW_UNHEALTHY; every other value counts as VW_UNHEALTHY
 */
typedef vw_health_t (*vw_health_fn)(vw_t* vw, char* reason, size_t size, void* context);

/**
 * vitalwired registered the application (`result` VW_OK; again after each reconnect), or refused to
 * (VW_ERR_NAME_IN_USE, VW_ERR_TOO_MANY, VW_ERR_REFUSED): the application is not watched now. The library asks again by
 * itself, at first after 0.1 s, later every 5 s, until it is accepted or vw_heartbeat_deregister() is called; while it
 * asks, vitalwired warns the operator. VW_ERR_SYSTEM: the socket cannot be used, because it is not for this user, say,
 * or no descriptor is left, and vitalwired knows of nothing; the library goes on trying. A vitalwired that is not there
 * yet is waited for without a call. Called from vw_dispatch(), for a refusal once until the reason changes.
 *
 * @param message a sentence on why; valid during the call only
 */
typedef void (*vw_registration_fn)(vw_t* vw, vw_result_t result, const char* message, void* context);

/**
 * For vw_heartbeat_register(). Set up with VW_HEARTBEAT_OPTIONS_INIT.
 *
 * Times: an application that hangs is found after the interval and the timeout at the latest. `detection_time_ms` is
 * that sum; the interval and the timeout are each half of it, or given one of them, the other is the rest.
 */
struct vw_heartbeat_options {
    size_t size;          /**< sizeof(struct vw_heartbeat_options) */
    const char* name;     /**< 1 to VW_MAX_NAME of letters, digits, '.', '_', '-'; unique in the guest. Copied. */
    uint32_t interval_ms; /**< how often to be asked: VW_MIN_INTERVAL_MS to VW_MAX_INTERVAL_MS; 0: by the detection
                               time, without one the default or the timeout, whichever is longer */
    uint32_t timeout_ms;  /**< in which to answer: VW_MIN_TIMEOUT_MS to the interval; 0: by the detection time, without
                               one the interval */
    vw_health_fn health;  /**< NULL: the answer is what vw_heartbeat_report() told last, at first VW_HEALTHY */
    vw_registration_fn registration; /**< NULL: nobody wants to know */
    void* context;                   /**< handed to both */
    uint32_t detection_time_ms; /**< in which a hang is found: VW_MIN_DETECTION_TIME_MS to VW_MAX_DETECTION_TIME_MS; 0:
                                     as the two times above say, without them VW_DEFAULT_DETECTION_TIME_MS.
                                     Since 1.2.0; a program compiled with an earlier header has it 0. */
};
#define VW_HEARTBEAT_OPTIONS_INIT \
    { sizeof(struct vw_heartbeat_options), NULL, 0, 0, NULL, NULL, NULL, 0 }

/**
 * Registers the application, now (with a `health` callback at the next vw_dispatch(), which calls it first) or as soon
 * as vitalwired is there, and again whenever vitalwired was restarted. One registration a handle. Whether vitalwired
 * accepts it is told by the `registration` callback.
 *
 * @param options not kept
 * @return VW_OK, VW_ERR_INVALID, VW_ERR_REGISTERED (also while a refused one is repeated), VW_ERR_NO_MEMORY
 */
VW_API vw_result_t vw_heartbeat_register(vw_t* vw, const struct vw_heartbeat_options* options);

/**
 * Tells a change of health at once, without waiting to be asked. With a `health` callback the next question, or
 * registration, replaces what was told. While vitalwired is away the last report is kept and told when it is back.
 *
 * @param health every value but VW_HEALTHY counts as VW_UNHEALTHY
 * @param reason for a person; NULL or empty: none. Cut to VW_MAX_REASON bytes; only the first line counts.
 * @return VW_OK, VW_ERR_INVALID, VW_ERR_NOT_REGISTERED, VW_ERR_NO_MEMORY
 */
VW_API vw_result_t vw_heartbeat_report(vw_t* vw, vw_health_t health, const char* reason);

/**
 * Takes the registration back: the application counts no longer. vw_close() does it too; ending without either is
 * reported as a fault.
 *
 * @return VW_OK, VW_ERR_INVALID, VW_ERR_NOT_REGISTERED
 */
VW_API vw_result_t vw_heartbeat_deregister(vw_t* vw);

/* ---- Server group ---------------------------------------------------------------------------------------------- */

/** Largest payload of a broadcast in bytes; exact (server-group.md, section 2). */
#define VW_MAX_PAYLOAD 3050
/** Range and default of a query's `timeout_ms`, in milliseconds. */
#define VW_MIN_QUERY_TIMEOUT_MS 1
#define VW_MAX_QUERY_TIMEOUT_MS 3600000
#define VW_DEFAULT_QUERY_TIMEOUT_MS 5000
/** Queries of one handle that may be under way at once. */
#define VW_MAX_QUERIES 64

/*
 * What callbacks are handed. All of it is valid during the call only. Later versions add fields at the end: take a
 * pointer, never a copy of the whole struct. Texts are UTF-8, terminated by a zero, and come from outside this guest:
 * escape them before they are shown.
 */

/** A message of another guest of the group. */
struct vw_group_message {
    const char* source_instance; /**< the sender's instance id, stamped by the host: cannot be forged */
    const void* data;            /**< `size` bytes of any value; hostile input, like everything from a peer */
    size_t size;                 /**< 0 to VW_MAX_PAYLOAD */
    int from_operator;           /**< 1: a test message of the cloud's operator; `source_instance` is "operator" */
};

struct vw_group_metadata {
    const char* key;
    const char* value;
};

/** What the cloud knows of one member of the group (server-group.md, section 3, "State of a member"). */
struct vw_group_member {
    const char* instance_id;
    const char* display_name;
    const char* state;             /**< Nova's: "active", "stopped", "paused", "error", ...; unknown values happen */
    const char* state_description; /**< the task under way: "rebooting", ...; empty when none */
    const char* heartbeat;         /**< "unmonitored", "healthy", "unhealthy", "lost", ...; NULL: not told */
    const char* hostname;          /**< this and the following: NULL when not told */
    const char* host;
    const char* node;
    const char* tenant_id;
    const char* launched_at;
    const struct vw_group_metadata* metadata; /**< NULL when not told */
    size_t metadata_count;
    const char* const* reduced; /**< names of fields left out because the message would have been too long */
    size_t reduced_count;
    const char* json; /**< the whole object as received, with what this struct does not name */
};

/** The state of another member changed. */
struct vw_group_notification {
    const char* event_type; /**< e.g. "compute.instance.update"; do not depend on it: what counts is `member` */
    const char* timestamp;  /**< RFC 3339, UTC; NULL when not told */
    const struct vw_group_member* member; /**< as it is now */
};

/** Broadcasts that did not leave, or what happened to the way out. */
struct vw_group_refusal {
    vw_result_t result;  /**< why: VW_ERR_DISCONNECTED to VW_ERR_RATE_LIMITED, or VW_ERR_REFUSED */
    const char* message; /**< a sentence on it */
    uint32_t id;         /**< of the broadcast, as vw_group_broadcast() gave it; 0: not of a single one */
    uint32_t refused;    /**< broadcasts this stands for: with VW_ERR_RATE_LIMITED the host tells once a second */
};

/** Called from vw_dispatch(). `context`: of vw_group_options. */
typedef void (*vw_group_broadcast_fn)(vw_t* vw, const struct vw_group_message* message, void* context);
typedef void (*vw_group_notification_fn)(vw_t* vw, const struct vw_group_notification* notification, void* context);
typedef void (*vw_group_refused_fn)(vw_t* vw, const struct vw_group_refusal* refusal, void* context);
/**
 * `count` messages for this application were lost before the next one, because this guest or this application did not
 * read (server-group.md, section 4). An application that needs what they contained asks again: vw_group_query() for
 * states.
 */
typedef void (*vw_group_dropped_fn)(vw_t* vw, uint64_t count, void* context);

/** For vw_group_subscribe(). Set up with VW_GROUP_OPTIONS_INIT. A callback that is NULL asks for nothing. */
struct vw_group_options {
    size_t size; /**< sizeof(struct vw_group_options) */
    vw_group_broadcast_fn broadcast;
    vw_group_notification_fn notification;
    vw_group_refused_fn refused;
    vw_group_dropped_fn dropped;
    void* context; /**< handed to all of them */
};
#define VW_GROUP_OPTIONS_INIT \
    { sizeof(struct vw_group_options), NULL, NULL, NULL, NULL, NULL }

/**
 * Asks for broadcasts and notifications, from now on and after each reconnect. A further call replaces the callbacks.
 * Messages that are sent while vitalwired, the host or this application is away do not reach it.
 *
 * @param options not kept
 * @return VW_OK, VW_ERR_INVALID, VW_ERR_NO_MEMORY
 */
VW_API vw_result_t vw_group_subscribe(vw_t* vw, const struct vw_group_options* options);

/**
 * No callback of the subscription is called any more. Queries under way go on.
 *
 * @return VW_OK, VW_ERR_INVALID
 */
VW_API vw_result_t vw_group_unsubscribe(vw_t* vw);

/**
 * Sends a message to all other guests of the group: best effort, at most once, in order of this guest's sending. Never
 * repeated by the library. VW_OK means that vitalwired has it; a refusal further on comes to the `refused` callback of
 * the subscription, a loss is not told.
 *
 * @param data `size` bytes of any value, zeros included; NULL only with size 0. Not kept.
 * @param size 0 to VW_MAX_PAYLOAD
 * @param id   receives a number, 1 to 65535, by which a refusal names this broadcast; NULL: nobody wants to know
 * @return VW_OK; VW_ERR_INVALID; VW_ERR_TOO_LARGE; VW_ERR_DISCONNECTED while there is no vitalwired;
 *         VW_ERR_QUEUE_FULL; VW_ERR_NO_MEMORY
 */
VW_API vw_result_t vw_group_broadcast(vw_t* vw, const void* data, size_t size, uint32_t* id);

/**
 * The end of a query, exactly one. Called from vw_dispatch().
 *
 * @param result  VW_OK; VW_ERR_TIMEOUT; VW_ERR_INCOMPLETE: ask again; VW_ERR_DISCONNECTED: vitalwired or the host went
 *                away in that time; VW_ERR_UNAVAILABLE, VW_ERR_NOT_IN_GROUP, VW_ERR_NOT_ENABLED, VW_ERR_RATE_LIMITED,
 *                VW_ERR_REFUSED
 * @param message a sentence on an error, else empty; valid during the call only
 * @param members `count` pointers, this guest's own state included, in no particular order; NULL after an error. Valid
 *                during the call only.
 */
typedef void (*vw_group_status_fn)(vw_t* vw, vw_result_t result, const char* message,
                                   const struct vw_group_member* const* members, size_t count, void* context);

/**
 * Asks for the state of the whole group, as the cloud knows it now. It ends after `timeout_ms` at the latest, if
 * vw_dispatch() is called; after VW_OK `status` is called once, unless the handle is closed before.
 *
 * @param timeout_ms VW_MIN_QUERY_TIMEOUT_MS to VW_MAX_QUERY_TIMEOUT_MS; 0: VW_DEFAULT_QUERY_TIMEOUT_MS
 * @param context    handed to `status`
 * @return VW_OK, VW_ERR_INVALID, VW_ERR_DISCONNECTED, VW_ERR_QUEUE_FULL, VW_ERR_NO_MEMORY
 */
VW_API vw_result_t vw_group_query(vw_t* vw, uint32_t timeout_ms, vw_group_status_fn status, void* context);

/* What was said last has arrived. Since 1.4.0. */

/**
 * Asks vitalwired to confirm what was registered, reported and deregistered so far: for the last words of a program,
 * which are lost where vitalwired hangs or is started again before it has read them.
 *
 * @return VW_OK, VW_ERR_INVALID, VW_ERR_NO_MEMORY
 */
VW_API vw_result_t vw_confirm(vw_t* vw);

/**
 * 1 as soon as vitalwired has carried out what was said before the last vw_confirm() and, while there is a
 * registration, has accepted it; call vw_dispatch() until then. A connection that ends before delays it. A
 * deregistration that was not confirmed is lost with its connection: register and deregister again.
 */
VW_API int vw_is_confirmed(const vw_t* vw);

/* Asked before actions of the cloud. Since 1.3.0. */

/** What the cloud is about to do with this machine, or has done. Later versions may add members at the end. */
struct vw_action {
    uint32_t id;         /**< for vw_action_answer() */
    const char* event;   /**< "stop", "reboot", "pause", "suspend", "resize_begin", "live_migrate_begin" or
                              "cold_migrate_begin" before; "unpause", "resume", "resize_end", "live_migrate_end" or
                              "cold_migrate_end" after it; "maintenance_begin" and "maintenance_end" of an operator's
                              work; others may be added. Valid during the call only */
    int may_reject;      /**< 1: a vote. 0: a notice; the action begins when all who got it have answered */
    uint32_t timeout_ms; /**< for the answer, after which silence is consent; 0: nobody waits for one */
};

/**
 * Called from vw_dispatch(), first with the vote and then with the notice of an action. The answer may be given in it
 * or later; heartbeats go on in between, so keep calling vw_dispatch().
 */
typedef void (*vw_action_fn)(vw_t* vw, const struct vw_action* action, void* context);

/** VW_ANSWER_READY: nothing against it, or ready for it. VW_ANSWER_REJECT counts in a vote. */
typedef enum vw_answer { VW_ANSWER_READY = 0, VW_ANSWER_REJECT = 1 } vw_answer_t;

/**
 * Asks to be asked, from now on and after each reconnect. Of all applications in the machine the worst answer is the
 * machine's.
 *
 * @param action  NULL: no longer
 * @param context handed to `action`
 * @return VW_OK, VW_ERR_INVALID, VW_ERR_NO_MEMORY
 */
VW_API vw_result_t vw_action_subscribe(vw_t* vw, vw_action_fn action, void* context);

/**
 * Answers one; of several answers the first counts.
 *
 * @param id     of the action
 * @param reason why it is rejected, for the operator, at most VW_MAX_REASON bytes of it; NULL: none
 * @return VW_OK; VW_ERR_INVALID; VW_ERR_DISCONNECTED while there is no vitalwired; VW_ERR_QUEUE_FULL; VW_ERR_NO_MEMORY
 */
VW_API vw_result_t vw_action_answer(vw_t* vw, uint32_t id, vw_answer_t answer, const char* reason);

#ifdef __cplusplus
}
#endif

#endif
