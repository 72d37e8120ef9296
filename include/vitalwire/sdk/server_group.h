/*
 * The server-group functions of the Titanium/StarlingX guest SDK, over libvitalwire: an application written for them is
 * built with this header and libservergroup.so.2 of Vitalwire, or runs again with that library alone, without a change
 * of its source. Names, types and behaviour are the SDK's; new applications use <vitalwire/vitalwire.h>.
 *
 * One server group for each process; functions are not to be called from several threads at once. With this library any
 * number of applications in one guest use the group at the same time. See vitalwire-sdk(7).
 */
#ifndef VITALWIRE_SDK_SERVER_GROUP_H
#define VITALWIRE_SDK_SERVER_GROUP_H

#ifdef __cplusplus
extern "C" {
#endif

/** Largest message of a broadcast in bytes, without its terminating zero. */
#define MAX_MSG_DATA_LEN 3050

/**
 * A message of another guest: `msglen` bytes at `msg`, followed by a zero; `source_instance`: who sent it. Both are
 * valid during the call only.
 */
typedef void (*sg_broadcast_msg_handler_t)(char* source_instance, void* msg, unsigned short msglen);

/** The state of another guest changed: a JSON object of `msglen` bytes, with the state in "payload". */
typedef void (*sg_notification_msg_handler_t)(void* msg, unsigned short msglen);

/**
 * The answer to sg_request_status(): a JSON list of `msglen` bytes, with one object for each guest of the group. A list
 * of more than 65535 bytes is not handed over: process_sg_msg() fails.
 */
typedef void (*sg_status_msg_handler_t)(void* msg, unsigned short msglen);

/**
 * To be called once, before all others. A handler that is NULL is not called.
 *
 * @return a descriptor to be polled for reading, valid until the process ends; negative: sg_get_error() says why
 */
int init_sg(sg_broadcast_msg_handler_t broadcast_handler, sg_notification_msg_handler_t notification_handler,
            sg_status_msg_handler_t status_handler);

/**
 * To be called when the descriptor is readable; calls the handlers.
 *
 * @return 0; negative when something was refused, or a request for the status failed: sg_get_error() says why. The
 *         group can be used further in either case.
 */
int process_sg_msg(void);

/**
 * Sends a text to all other guests of the group.
 *
 * @param msg ends with a zero; MAX_MSG_DATA_LEN bytes at most before it
 * @param len not looked at, as in the SDK
 * @return 0; negative: not sent, sg_get_error() says why
 */
int sg_msg_broadcast(void* msg, unsigned int len);

/**
 * Asks for the state of all guests of the group; a request that is under way is given up for the new one.
 *
 * @return 0; negative: not asked, sg_get_error() says why
 */
int sg_request_status(void);

/** What was wrong with the last call that failed; valid until the next one. Never NULL. */
char* sg_get_error(void);

#ifdef __cplusplus
}
#endif

#endif
