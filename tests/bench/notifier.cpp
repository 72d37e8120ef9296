// bench_notifier PORT USER PASSWORD EXCHANGE RATE: publishes each line of its input as Nova does its notifications, at
// most RATE a second. Prints the seconds it took.
#include <amqp.h>
#include <amqp_tcp_socket.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr amqp_channel_t kChannel = 1;
constexpr int kFrameSize = 131'072;

amqp_bytes_t bytes(const std::string& text) {
    return {text.size(), const_cast<char*>(text.data())};
}

void require(bool well, const char* what) {
    if (well) return;
    std::cerr << "bench_notifier: " << what << "\n";
    std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
    require(argc == 6, "expected PORT USER PASSWORD EXCHANGE RATE");
    const std::string exchange = argv[4];
    const std::chrono::nanoseconds pace(1'000'000'000LL / std::atoi(argv[5]));
    std::vector<std::string> bodies;
    for (std::string line; std::getline(std::cin, line);)
        bodies.push_back(line);

    amqp_connection_state_t broker = amqp_new_connection();
    amqp_socket_t* socket = amqp_tcp_socket_new(broker);
    require(amqp_socket_open(socket, "127.0.0.1", std::atoi(argv[1])) == AMQP_STATUS_OK, "no broker");
    const auto reply = amqp_login(broker, "/", 1, kFrameSize, 0, AMQP_SASL_METHOD_PLAIN, argv[2], argv[3]);
    require(reply.reply_type == AMQP_RESPONSE_NORMAL, "not let in");
    amqp_channel_open(broker, kChannel);
    amqp_exchange_declare(broker, kChannel, bytes(exchange), amqp_cstring_bytes("topic"), 0, 0, 0, 0, amqp_empty_table);
    require(amqp_get_rpc_reply(broker).reply_type == AMQP_RESPONSE_NORMAL, "no exchange");

    const auto began = std::chrono::steady_clock::now();
    auto next = began;
    for (const std::string& body : bodies) {
        std::this_thread::sleep_until(next);
        next += pace;
        const int status =
            amqp_basic_publish(broker, kChannel, bytes(exchange), amqp_cstring_bytes("versioned_notifications.info"), 0,
                               0, nullptr, bytes(body));
        require(status == AMQP_STATUS_OK, "not published");
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::cout << took.count() << std::endl;
    amqp_connection_close(broker, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(broker);
    return 0;
}
