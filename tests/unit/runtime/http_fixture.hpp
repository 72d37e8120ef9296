#pragma once

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <thread>

#include "runtime/http/http_server.hpp"

namespace vitalwire::runtime {

/// A server whose loop runs on a thread of its own, so that tests talk to it with plain blocking calls.
class RunningServer {
public:
    template <class Handler>
    explicit RunningServer(Handler handler, const std::string& address = "127.0.0.1:0")
        : server_(io_, std::move(handler)), listening_(server_.listen(address)), thread_([this] { io_.run(); }) {}
    ~RunningServer() {
        boost::asio::post(io_, [this] { server_.stop(); });
        thread_.join();
    }
    RunningServer(const RunningServer&) = delete;
    RunningServer& operator=(const RunningServer&) = delete;

    std::string url() const { return "http://" + server_.address(); }
    unsigned short port() const {
        return static_cast<unsigned short>(std::stoul(server_.address().substr(server_.address().rfind(':') + 1)));
    }
    std::uint64_t denied() {
        std::promise<std::uint64_t> denied;
        boost::asio::post(io_, [&] { denied.set_value(server_.denied()); });
        return denied.get_future().get();
    }
    const base::Result<void>& listening() const { return listening_; }

private:
    boost::asio::io_context io_{1};
    HttpServer server_;
    base::Result<void> listening_;
    std::thread thread_;
};

/// Sends `bytes` and returns all that comes back until the server closes.
inline std::string talk(unsigned short port, const std::string& bytes) {
    boost::asio::io_context io;
    boost::asio::ip::tcp::socket socket(io);
    socket.connect({boost::asio::ip::address_v4::loopback(), port});
    boost::system::error_code error;
    boost::asio::write(socket, boost::asio::buffer(bytes), error);
    socket.shutdown(boost::asio::ip::tcp::socket::shutdown_send, error);
    std::string answer;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), error);
    return answer;
}

}  // namespace vitalwire::runtime
