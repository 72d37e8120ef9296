// bench_rabbitmq PORT USER PASSWORD MESSAGES: what two members of a group pay who use RabbitMQ alone. One publishes 200
// bytes to a fanout exchange, the other consumes them. Prints the median and the 99th percentile of the nanoseconds
// from the call of one to the message at the other.
#include <amqp.h>
#include <amqp_tcp_socket.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr amqp_channel_t kChannel = 1;
constexpr int kFrameSize = 131'072;
constexpr const char* kExchange = "vitalwire.bench";

void require(bool well, const char* what) {
    if (well) return;
    std::cerr << "bench_rabbitmq: " << what << "\n";
    std::exit(1);
}

amqp_connection_state_t member(char** argv) {
    amqp_connection_state_t broker = amqp_new_connection();
    amqp_socket_t* socket = amqp_tcp_socket_new(broker);
    require(amqp_socket_open(socket, "127.0.0.1", std::atoi(argv[1])) == AMQP_STATUS_OK, "no broker");
    const auto reply = amqp_login(broker, "/", 1, kFrameSize, 0, AMQP_SASL_METHOD_PLAIN, argv[2], argv[3]);
    require(reply.reply_type == AMQP_RESPONSE_NORMAL, "not let in");
    amqp_channel_open(broker, kChannel);
    amqp_exchange_declare(broker, kChannel, amqp_cstring_bytes(kExchange), amqp_cstring_bytes("fanout"), 0, 0, 1, 0,
                          amqp_empty_table);
    require(amqp_get_rpc_reply(broker).reply_type == AMQP_RESPONSE_NORMAL, "no exchange");
    return broker;
}

void consume(amqp_connection_state_t broker) {
    const amqp_queue_declare_ok_t* queue =
        amqp_queue_declare(broker, kChannel, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table);
    require(queue != nullptr, "no queue");
    const amqp_bytes_t name = amqp_bytes_malloc_dup(queue->queue);
    amqp_queue_bind(broker, kChannel, name, amqp_cstring_bytes(kExchange), amqp_empty_bytes, amqp_empty_table);
    amqp_basic_consume(broker, kChannel, name, amqp_empty_bytes, 0, 1, 1, amqp_empty_table);
    require(amqp_get_rpc_reply(broker).reply_type == AMQP_RESPONSE_NORMAL, "nothing to consume");
    amqp_bytes_free(name);
}

}  // namespace

int main(int argc, char** argv) {
    require(argc == 5, "expected PORT USER PASSWORD MESSAGES");
    const auto sender = member(argv);
    const auto receiver = member(argv);
    consume(receiver);
    const std::string payload(200, 'x');
    std::vector<long> taken;
    for (int left = std::atoi(argv[4]); left > 0; --left) {
        const auto began = std::chrono::steady_clock::now();
        const amqp_bytes_t body{payload.size(), const_cast<char*>(payload.data())};
        amqp_basic_publish(sender, kChannel, amqp_cstring_bytes(kExchange), amqp_empty_bytes, 0, 0, nullptr, body);
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(receiver);
        require(amqp_consume_message(receiver, &envelope, nullptr, 0).reply_type == AMQP_RESPONSE_NORMAL, "no message");
        taken.push_back(static_cast<long>((std::chrono::steady_clock::now() - began).count()));
        amqp_destroy_envelope(&envelope);
    }
    std::sort(taken.begin(), taken.end());
    std::cout << taken[taken.size() / 2] << " " << taken[taken.size() * 99 / 100] << std::endl;
    for (const auto broker : {sender, receiver})
        amqp_destroy_connection(broker);
    return 0;
}
