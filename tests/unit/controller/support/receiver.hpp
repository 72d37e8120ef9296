#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/http/http_server.hpp"

namespace vitalwire::controller {

/// A fault receiver: a real HTTP server that keeps what it is sent and answers as the test has it.
class Receiver {
public:
    explicit Receiver(boost::asio::io_context& io, const std::string& address = "127.0.0.1:0")
        : server_(io, [this](const runtime::HttpRequest& request) { return take(request); }) {
        const auto listening = server_.listen(address);
        if (!listening) throw std::runtime_error(listening.error().message);
    }

    std::string url(const std::string& path) const { return "http://" + server_.address() + path; }
    const std::string& address() const { return server_.address(); }
    void stop() { server_.stop(); }

    int status = 200;  ///< of the next answers
    std::vector<runtime::HttpRequest> requests;
    std::vector<nlohmann::json> confirmed;  ///< bodies answered with a 2xx status

private:
    runtime::HttpResponse take(const runtime::HttpRequest& request) {
        requests.push_back(request);
        const bool good = status >= 200 && status < 300;
        if (good) confirmed.push_back(nlohmann::json::parse(request.body, nullptr, false));
        if (status == 204) return {status, "application/json", ""};
        return {status, "application/json", good ? "{}" : R"({"error":"not now"})"};
    }

    runtime::HttpServer server_;
};

/// A receiver that does what no HTTP server does: hangs, closes, or lets the test see the bytes.
class RawReceiver {
public:
    enum class Manner { hang, close, answer };

    RawReceiver(boost::asio::io_context& io, Manner manner)
        : acceptor_(io, {boost::asio::ip::address_v4::loopback(), 0}), manner_(manner) {
        accept();
    }

    std::string url() const { return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) + "/"; }
    std::size_t connections() const { return connections_.size(); }
    const std::string& head() const { return head_; }  ///< of the last request

private:
    using Socket = boost::asio::ip::tcp::socket;

    void accept() {
        acceptor_.async_accept([this](const boost::system::error_code& error, Socket socket) {
            if (error) return;
            connections_.push_back(std::make_shared<Socket>(std::move(socket)));
            serve(connections_.back());
            accept();
        });
    }

    void serve(const std::shared_ptr<Socket>& socket) {
        auto buffer = std::make_shared<std::string>();
        boost::asio::async_read_until(
            *socket, boost::asio::dynamic_buffer(*buffer), "\r\n\r\n",
            [this, socket, buffer](const boost::system::error_code& error, std::size_t size) {
                if (error) return;
                head_ = buffer->substr(0, size);
                if (manner_ == Manner::hang) return;
                if (manner_ == Manner::answer) {
                    boost::system::error_code ignored;
                    boost::asio::write(
                        *socket,
                        boost::asio::buffer(std::string("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")),
                        ignored);
                }
                socket->close();
            });
    }

    boost::asio::ip::tcp::acceptor acceptor_;
    Manner manner_;
    std::vector<std::shared_ptr<Socket>> connections_;
    std::string head_;
};

}  // namespace vitalwire::controller
