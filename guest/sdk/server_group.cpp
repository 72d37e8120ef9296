// libservergroup.so.2: the SDK's functions over libvitalwire.
#include <poll.h>
#include <vitalwire/sdk/server_group.h>
#include <vitalwire/vitalwire.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

namespace {

/// vitalwired is a service of the machine: an application that starts with it finds it within this time.
constexpr int kPatienceMs = 2000;

/// All of it, because the interface has no handle.
struct ServerGroup {
    vw_t* vw = nullptr;
    sg_broadcast_msg_handler_t on_broadcast = nullptr;
    sg_notification_msg_handler_t on_notification = nullptr;
    sg_status_msg_handler_t on_status = nullptr;
    std::uintptr_t request = 0;  ///< the last one; answers to earlier ones are dropped
    bool failed = false;         ///< during this process_sg_msg
    std::array<char, 400> error{};
};
ServerGroup the_group;

int fail(const std::string& why) {
    std::snprintf(the_group.error.data(), the_group.error.size(), "%s", why.c_str());
    the_group.failed = true;
    return -1;
}

int fail_call(vw_result_t result) {
    const char* why = vw_last_error(the_group.vw);
    return fail(*why != '\0' ? why : vw_strerror(result));
}

/// No exception passes the C interface.
template <class Call>
int guarded(Call call) noexcept {
    try {
        return call();
    } catch (const std::exception&) {
        std::snprintf(the_group.error.data(), the_group.error.size(), "not enough memory");
        return -1;
    }
}

std::string quoted(const char* text) {
    std::string out = "\"";
    for (; *text != '\0'; ++text) {
        std::array<char, 7> escaped{};
        const auto c = static_cast<unsigned char>(*text);
        if (c < 0x20 || c == '"' || c == '\\') {
            std::snprintf(escaped.data(), escaped.size(), "\\u%04x", c);
            out += escaped.data();
        } else {
            out += *text;
        }
    }
    return out + '"';
}

void hand_over(std::string text, void (*handler)(void*, unsigned short)) {
    if (handler == nullptr) return;
    if (text.size() > UINT16_MAX) {
        fail("an answer of " + std::to_string(text.size()) + " bytes is larger than the interface can hand over");
        return;
    }
    handler(text.data(), static_cast<unsigned short>(text.size()));
}

void broadcast(vw_t*, const vw_group_message* message, void*) {
    guarded([&] {
        std::string source = message->source_instance;
        std::string text(static_cast<const char*>(message->data), message->size);
        the_group.on_broadcast(source.data(), text.data(), static_cast<unsigned short>(text.size()));
        return 0;
    });
}

void notification(vw_t*, const vw_group_notification* told, void*) {
    guarded([&] {
        std::string text = std::string(R"({"payload":)") + told->member->json;
        text += R"(,"event_type":)" + quoted(told->event_type) + R"(,"priority":"INFO")";
        if (told->timestamp != nullptr) text += R"(,"timestamp":)" + quoted(told->timestamp);
        hand_over(text + '}', the_group.on_notification);
        return 0;
    });
}

void refused(vw_t*, const vw_group_refusal* refusal, void*) {
    guarded([&] { return fail(refusal->message); });
}

void status(vw_t*, vw_result_t result, const char* message, const vw_group_member* const* members, size_t count,
            void* request) {
    if (reinterpret_cast<std::uintptr_t>(request) != the_group.request) return;
    guarded([&] {
        if (result != VW_OK) return fail(message);
        std::string list = "[";
        for (size_t i = 0; i < count; ++i)
            list += (i > 0 ? "," : "") + std::string(members[i]->json);
        hand_over(list + ']', the_group.on_status);
        return 0;
    });
}

/// An SDK application sends right after init_sg: it knows of no connection that comes later.
void await_vitalwired() {
    for (int waited = 0; vw_is_connected(the_group.vw) == 0 && waited < kPatienceMs; waited += 100) {
        pollfd ready{vw_fd(the_group.vw), POLLIN, 0};
        ::poll(&ready, 1, 100);
        vw_dispatch(the_group.vw, VW_DISPATCH_ONE);
    }
}

}  // namespace

int init_sg(sg_broadcast_msg_handler_t broadcast_handler, sg_notification_msg_handler_t notification_handler,
            sg_status_msg_handler_t status_handler) {
    return guarded([&] {
        if (the_group.vw != nullptr) return fail("init_sg was called before");
        const vw_result_t opened = vw_open(nullptr, &the_group.vw);
        if (opened != VW_OK) return fail(vw_strerror(opened));
        the_group.on_broadcast = broadcast_handler;
        the_group.on_notification = notification_handler;
        the_group.on_status = status_handler;
        vw_group_options options = VW_GROUP_OPTIONS_INIT;
        options.broadcast = broadcast_handler == nullptr ? nullptr : broadcast;
        options.notification = notification_handler == nullptr ? nullptr : notification;
        options.refused = refused;
        const vw_result_t subscribed = vw_group_subscribe(the_group.vw, &options);
        if (subscribed != VW_OK) return fail_call(subscribed);
        await_vitalwired();
        return vw_fd(the_group.vw);
    });
}

int process_sg_msg(void) {
    if (the_group.vw == nullptr) return fail("init_sg was not called");
    the_group.failed = false;
    const vw_result_t result = vw_dispatch(the_group.vw, VW_DISPATCH_ALL);
    if (result != VW_OK) return fail_call(result);
    return the_group.failed ? -1 : 0;
}

int sg_msg_broadcast(void* msg, unsigned int) {
    if (the_group.vw == nullptr) return fail("init_sg was not called");
    if (msg == nullptr) return fail("the message is NULL");
    const char* text = static_cast<const char*>(msg);
    const vw_result_t result = vw_group_broadcast(the_group.vw, text, std::strlen(text), nullptr);
    return result == VW_OK ? 0 : fail_call(result);
}

int sg_request_status(void) {
    if (the_group.vw == nullptr) return fail("init_sg was not called");
    const std::uintptr_t request = the_group.request + 1;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a number, never followed
    const vw_result_t result = vw_group_query(the_group.vw, 0, status, reinterpret_cast<void*>(request));
    if (result != VW_OK) return fail_call(result);
    the_group.request = request;
    return 0;
}

char* sg_get_error(void) {
    return the_group.error.data();
}
