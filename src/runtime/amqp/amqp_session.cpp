#include "runtime/amqp/amqp_session.hpp"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <string_view>
#include <utility>
#include <vector>

#include "base/text.hpp"

namespace vitalwire::runtime {

using base::Errc;
using base::fail;
using base::Millis;
using base::Result;

namespace {

constexpr amqp_channel_t kChannel = 1;
constexpr std::size_t kShownWords = 200;
constexpr std::uint8_t kPersistent = 2;

timeval to_timeval(Millis time) {
    timeval out{};
    out.tv_sec = time.count() / 1000;
    out.tv_usec = (time.count() % 1000) * 1000;
    return out;
}

amqp_bytes_t bytes(const std::string& text) {
    return {text.size(), const_cast<char*>(text.data())};
}

std::string_view view(const amqp_bytes_t& text) {
    return {static_cast<const char*>(text.bytes), text.len};
}

/// What a broker said when it closed a channel or a connection.
std::string closing_words(const amqp_method_t& method) {
    if (method.id == AMQP_CHANNEL_CLOSE_METHOD)
        return base::escape(view(static_cast<const amqp_channel_close_t*>(method.decoded)->reply_text), kShownWords);
    if (method.id == AMQP_CONNECTION_CLOSE_METHOD)
        return base::escape(view(static_cast<const amqp_connection_close_t*>(method.decoded)->reply_text), kShownWords);
    return "the broker closed the connection";
}

/// Empty when the call went well.
std::string problem_of(const amqp_rpc_reply_t& reply) {
    const auto& [type, method, error] = reply;
    if (type == AMQP_RESPONSE_NORMAL) return {};
    if (type == AMQP_RESPONSE_LIBRARY_EXCEPTION) return amqp_error_string2(error);
    return type == AMQP_RESPONSE_SERVER_EXCEPTION ? closing_words(method) : "the broker closed the connection";
}

void take_property(const amqp_basic_properties_t& properties, amqp_flags_t flag, const amqp_bytes_t& value,
                   std::string& into) {
    if ((properties._flags & flag) != 0) into = view(value);
}

AmqpMessage to_message(const amqp_message_t& message, std::size_t max_body) {
    const amqp_basic_properties_t& properties = message.properties;
    AmqpMessage out;
    take_property(properties, AMQP_BASIC_TYPE_FLAG, properties.type, out.type);
    take_property(properties, AMQP_BASIC_USER_ID_FLAG, properties.user_id, out.user_id);
    take_property(properties, AMQP_BASIC_REPLY_TO_FLAG, properties.reply_to, out.reply_to);
    take_property(properties, AMQP_BASIC_CORRELATION_ID_FLAG, properties.correlation_id, out.correlation_id);
    take_property(properties, AMQP_BASIC_MESSAGE_ID_FLAG, properties.message_id, out.message_id);
    out.body = view(message.body).substr(0, max_body);
    return out;
}

amqp_basic_properties_t properties_of(const AmqpMessage& message) {
    amqp_basic_properties_t out{};
    const auto set = [&](amqp_flags_t flag, amqp_bytes_t& into, const std::string& value) {
        if (value.empty()) return;
        into = bytes(value);
        out._flags |= flag;
    };
    set(AMQP_BASIC_TYPE_FLAG, out.type, message.type);
    set(AMQP_BASIC_USER_ID_FLAG, out.user_id, message.user_id);
    set(AMQP_BASIC_REPLY_TO_FLAG, out.reply_to, message.reply_to);
    set(AMQP_BASIC_CORRELATION_ID_FLAG, out.correlation_id, message.correlation_id);
    set(AMQP_BASIC_MESSAGE_ID_FLAG, out.message_id, message.message_id);
    if (message.persistent) {
        out.delivery_mode = kPersistent;
        out._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
    }
    return out;
}

/// They point into `arguments`.
std::vector<amqp_table_entry_t> entries_of(const AmqpSession::Arguments& arguments) {
    std::vector<amqp_table_entry_t> entries;
    for (const auto& [name, value] : arguments) {
        amqp_table_entry_t entry{};
        entry.key = bytes(name);
        if (const auto* number = std::get_if<std::int64_t>(&value)) {
            entry.value.kind = AMQP_FIELD_KIND_I64;
            entry.value.value.i64 = *number;
        } else if (const auto* flag = std::get_if<bool>(&value)) {
            entry.value.kind = AMQP_FIELD_KIND_BOOLEAN;
            entry.value.value.boolean = *flag ? 1 : 0;
        } else {
            entry.value.kind = AMQP_FIELD_KIND_UTF8;
            entry.value.value.bytes = bytes(std::get<std::string>(value));
        }
        entries.push_back(entry);
    }
    return entries;
}

/// The part between "//" and '@'; nothing where there is none.
std::optional<std::string_view> login_of(std::string_view url) {
    const std::size_t begin = url.find("//");
    if (begin == std::string_view::npos) return std::nullopt;
    const std::string_view rest = url.substr(begin + 2);
    const std::size_t at = rest.find('@');
    if (at == std::string_view::npos) return std::nullopt;
    return rest.substr(0, at);
}

}  // namespace

Result<AmqpBroker> AmqpBroker::parse(const std::string& url) {
    const auto login = login_of(url);
    if (login && login->find(':') != std::string_view::npos)
        return fail(Errc::config, "holds a password: use the key password_file");
    amqp_connection_info info{};
    std::string writable = url;
    if (amqp_parse_url(writable.data(), &info) != AMQP_STATUS_OK || std::string_view(info.host).empty() ||
        info.port < 1 || info.port > 65535) {
        return fail(Errc::config,
                    "expected amqp://USER@HOST:PORT/VHOST or amqps://..., found '" + base::escape(url, 128) + "'");
    }
    AmqpBroker broker;
    broker.host = info.host;
    broker.port = info.port;
    if (login) broker.user = info.user;
    broker.tls = info.ssl != 0;
    if (info.vhost != nullptr && *info.vhost != '\0') broker.vhost = info.vhost;
    return broker;
}

AmqpSession::AmqpSession(AmqpAccess access) : access_(std::move(access)), state_(amqp_new_connection()) {}

AmqpSession::~AmqpSession() {
    amqp_destroy_connection(state_);
}

Result<void> AmqpSession::open(const AmqpBroker& broker) {
    const timeval timeout = to_timeval(access_.timeout);
    amqp_set_handshake_timeout(state_, &timeout);
    amqp_set_rpc_timeout(state_, &timeout);
    if (auto connected = connect(broker); !connected) return connected;
    return log_in(broker);
}

Result<void> AmqpSession::connect(const AmqpBroker& broker) {
    amqp_socket_t* socket = broker.tls ? amqp_ssl_socket_new(state_) : amqp_tcp_socket_new(state_);
    if (socket == nullptr) return fail(Errc::io, "no socket");
    if (broker.tls) {
        if (auto equipped = equip(socket); !equipped) return equipped;
    }
    const timeval timeout = to_timeval(access_.timeout);
    const int status = amqp_socket_open_noblock(socket, broker.host.c_str(), broker.port, &timeout);
    if (status != AMQP_STATUS_OK) return fail(Errc::unavailable, amqp_error_string2(status));
    // A broker that does not read any more must not block a call without end.
    const unsigned patience = static_cast<unsigned>(access_.heartbeat_seconds) * 2000U;
    ::setsockopt(amqp_get_sockfd(state_), IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    return {};
}

Result<void> AmqpSession::equip(amqp_socket_t_* socket) const {
    amqp_ssl_socket_set_verify_peer(socket, access_.insecure ? 0 : 1);
    amqp_ssl_socket_set_verify_hostname(socket, access_.insecure ? 0 : 1);
    amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
    const std::string ca = access_.ca_file.empty() ? "/etc/ssl/certs/ca-certificates.crt" : access_.ca_file;
    if (!access_.insecure && amqp_ssl_socket_set_cacert(socket, ca.c_str()) != AMQP_STATUS_OK)
        return fail(Errc::config, ca + ": no usable certificates");
    if (!access_.certificate.empty() &&
        amqp_ssl_socket_set_key(socket, access_.certificate.c_str(), access_.key.c_str()) != AMQP_STATUS_OK)
        return fail(Errc::config, access_.certificate + ", " + access_.key + ": no usable certificate and key");
    return {};
}

Result<void> AmqpSession::log_in(const AmqpBroker& broker) {
    constexpr int kChannels = 1;
    // Without these the broker does not say that our queue is gone, or that it reads nothing more from us.
    const Arguments capability_names = {{"consumer_cancel_notify", true}, {"connection.blocked", true}};
    std::vector<amqp_table_entry_t> capabilities = entries_of(capability_names);
    amqp_table_entry_t known{};
    known.key = amqp_cstring_bytes("capabilities");
    known.value.kind = AMQP_FIELD_KIND_TABLE;
    known.value.value.table = {static_cast<int>(capabilities.size()), capabilities.data()};
    const amqp_table_t properties{1, &known};
    const auto reply =
        access_.password.empty()
            ? amqp_login_with_properties(state_, broker.vhost.c_str(), kChannels, AMQP_DEFAULT_FRAME_SIZE,
                                         access_.heartbeat_seconds, &properties, AMQP_SASL_METHOD_EXTERNAL,
                                         broker.user.c_str())
            : amqp_login_with_properties(state_, broker.vhost.c_str(), kChannels, AMQP_DEFAULT_FRAME_SIZE,
                                         access_.heartbeat_seconds, &properties, AMQP_SASL_METHOD_PLAIN,
                                         broker.user.c_str(), access_.password.c_str());
    const std::string problem = problem_of(reply);
    if (!problem.empty()) return fail(Errc::permission, "not let in: " + problem);
    amqp_channel_open(state_, kChannel);
    return checked("no channel");
}

Result<void> AmqpSession::declare_exchange(const std::string& name, const std::string& type) {
    amqp_exchange_declare(state_, kChannel, bytes(name), bytes(type), 0, 1, 0, 0, amqp_empty_table);
    return checked("exchange '" + name + "'");
}

Result<void> AmqpSession::expect_exchange(const std::string& name) {
    amqp_exchange_declare(state_, kChannel, bytes(name), amqp_cstring_bytes("topic"), 1, 0, 0, 0, amqp_empty_table);
    return checked("exchange '" + name + "'");
}

Result<void> AmqpSession::declare_queue(const std::string& name, const Queue& queue) {
    std::vector<amqp_table_entry_t> entries = entries_of(queue.arguments);
    amqp_table_t table;
    table.num_entries = static_cast<int>(entries.size());
    table.entries = entries.data();
    const auto declare = [&] {
        amqp_queue_declare(state_, kChannel, bytes(name), 0, queue.durable ? 1 : 0, queue.exclusive ? 1 : 0, 0, table);
    };
    declare();
    if (queue.replace && closed_for_other_arguments()) {
        if (auto deleted = delete_queue(name); !deleted) return deleted;
        declare();
    }
    return checked("queue '" + name + "'");
}

Result<std::size_t> AmqpSession::consumers(const std::string& queue) {
    const amqp_queue_declare_ok_t* found =
        amqp_queue_declare(state_, kChannel, bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    if (found == nullptr) return tl::make_unexpected(checked("queue '" + queue + "'").error());
    return std::size_t{found->consumer_count};
}

bool AmqpSession::closed_for_other_arguments() const {
    const amqp_rpc_reply_t reply = amqp_get_rpc_reply(state_);
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD) return false;
    return static_cast<const amqp_channel_close_t*>(reply.reply.decoded)->reply_code == AMQP_PRECONDITION_FAILED;
}

/// After the broker has closed the channel.
Result<void> AmqpSession::delete_queue(const std::string& name) {
    amqp_channel_close_ok_t understood{};
    amqp_send_method(state_, kChannel, AMQP_CHANNEL_CLOSE_OK_METHOD, &understood);
    amqp_channel_open(state_, kChannel);
    if (auto opened = checked("no channel"); !opened) return opened;
    amqp_queue_delete(state_, kChannel, bytes(name), 0, 0);
    return checked("queue '" + name + "' with other arguments cannot be replaced");
}

Result<void> AmqpSession::bind(const std::string& queue, const std::string& exchange, const std::string& key) {
    amqp_queue_bind(state_, kChannel, bytes(queue), bytes(exchange), bytes(key), amqp_empty_table);
    return checked("binding to " + key);
}

Result<void> AmqpSession::prefetch(std::uint16_t messages) {
    amqp_basic_qos(state_, kChannel, 0, messages, 0);
    return checked("prefetch");
}

Result<void> AmqpSession::consume(const std::string& queue, const std::string& consumer, bool acknowledged) {
    amqp_basic_consume(state_, kChannel, bytes(queue), bytes(consumer), 0, acknowledged ? 0 : 1, 0, amqp_empty_table);
    return checked("subscription to '" + queue + "'");
}

Result<void> AmqpSession::publish(const AmqpMessage& message) {
    const amqp_basic_properties_t properties = properties_of(message);
    const int status = amqp_basic_publish(state_, kChannel, bytes(message.exchange), bytes(message.key),
                                          message.mandatory ? 1 : 0, 0, &properties, bytes(message.body));
    if (status != AMQP_STATUS_OK) return fail(Errc::unavailable, amqp_error_string2(status));
    return {};
}

Result<void> AmqpSession::acknowledge(std::uint64_t tag, bool all_before) {
    const int status = amqp_basic_ack(state_, kChannel, tag, all_before ? 1 : 0);
    if (status != AMQP_STATUS_OK) return fail(Errc::unavailable, amqp_error_string2(status));
    return {};
}

Result<std::optional<AmqpEvent>> AmqpSession::next(Millis wait, std::size_t max_body) {
    const timeval patience = to_timeval(wait);
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(state_);
    const amqp_rpc_reply_t reply = amqp_consume_message(state_, &envelope, &patience, 0);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        AmqpEvent event;
        event.message = to_message(envelope.message, max_body);
        event.message.key = view(envelope.routing_key);
        event.consumer = view(envelope.consumer_tag);
        event.tag = envelope.delivery_tag;
        amqp_destroy_envelope(&envelope);
        return event;
    }
    const auto& [type, method, error] = reply;
    const bool ours = type == AMQP_RESPONSE_LIBRARY_EXCEPTION;
    if (ours && error == AMQP_STATUS_TIMEOUT) return std::nullopt;
    if (ours && error == AMQP_STATUS_UNEXPECTED_STATE) return other_than_a_message();
    return fail(Errc::unavailable, problem_of(reply));
}

/// A message of ours that nobody takes, or the broker's words at the end.
Result<std::optional<AmqpEvent>> AmqpSession::other_than_a_message() {
    const timeval patience = to_timeval(access_.timeout);
    amqp_frame_t frame;
    const int status = amqp_simple_wait_frame_noblock(state_, &frame, &patience);
    if (status != AMQP_STATUS_OK) return fail(Errc::unavailable, amqp_error_string2(status));
    if (frame.frame_type != AMQP_FRAME_METHOD) return std::nullopt;
    const amqp_method_t& method = frame.payload.method;
    if (method.id == AMQP_BASIC_CANCEL_METHOD)
        return fail(Errc::unavailable, "the broker ended the subscription: the queue is gone");
    if (method.id == AMQP_CONNECTION_BLOCKED_METHOD) {
        const auto* words = static_cast<const amqp_connection_blocked_t*>(method.decoded);
        blocked_ = base::escape(view(words->reason), kShownWords);
        if (blocked_.empty()) blocked_ = "no reason given";
        return std::nullopt;
    }
    if (method.id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        blocked_.clear();
        return std::nullopt;
    }
    if (method.id != AMQP_BASIC_RETURN_METHOD) return fail(Errc::unavailable, closing_words(method));

    AmqpEvent event;
    event.returned = true;
    const std::string key(view(static_cast<const amqp_basic_return_t*>(method.decoded)->routing_key));
    amqp_message_t message;
    const amqp_rpc_reply_t reply = amqp_read_message(state_, kChannel, &message, 0);
    if (const std::string problem = problem_of(reply); !problem.empty()) return fail(Errc::unavailable, problem);
    event.message = to_message(message, 0);
    event.message.key = key;
    amqp_destroy_message(&message);
    return event;
}

/// How the last call went.
Result<void> AmqpSession::checked(const std::string& what) {
    const std::string problem = problem_of(amqp_get_rpc_reply(state_));
    if (problem.empty()) return {};
    return fail(Errc::unavailable, what + ": " + problem);
}

int AmqpSession::socket() const {
    return amqp_get_sockfd(state_);
}

void AmqpSession::close() {
    amqp_connection_close(state_, AMQP_REPLY_SUCCESS);
}

}  // namespace vitalwire::runtime
