#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace vitalwire::controller {

struct CloudRequest {
    std::string method;
    std::string target;  ///< path and query
    std::string token;
    std::string microversion;
    std::string body;
};

struct CloudAnswer {
    int status = 200;
    std::string body = "{}";
    std::map<std::string, std::string> headers;
};

/// An HTTP server that closes the connection after each answer, as some clouds do.
class CloudServer {
public:
    using Handler = std::function<CloudAnswer(const CloudRequest&)>;

    CloudServer(boost::asio::io_context& io, Handler handler)
        : acceptor_(io, {boost::asio::ip::address_v4::loopback(), 0}), handler_(std::move(handler)) {
        accept();
    }

    std::string url(const std::string& path) const {
        return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) + path;
    }

private:
    using Socket = boost::asio::ip::tcp::socket;
    struct Session {
        explicit Session(Socket connected) : socket(std::move(connected)) {}
        Socket socket;
        boost::beast::flat_buffer buffer;
        boost::beast::http::request<boost::beast::http::string_body> request;
        boost::beast::http::response<boost::beast::http::string_body> response;
    };

    void accept() {
        acceptor_.async_accept([this](const boost::system::error_code& error, Socket socket) {
            if (error) return;
            serve(std::make_shared<Session>(std::move(socket)));
            accept();
        });
    }

    void serve(const std::shared_ptr<Session>& session) {
        boost::beast::http::async_read(session->socket, session->buffer, session->request,
                                       [this, session](const boost::system::error_code& error, std::size_t) {
                                           if (error) return;
                                           answer(*session);
                                           boost::beast::http::async_write(
                                               session->socket, session->response,
                                               [session](const boost::system::error_code&, std::size_t) {});
                                       });
    }

    void answer(Session& session) {
        const auto header = [&](const char* name) { return std::string(session.request[name]); };
        const CloudAnswer answer =
            handler_({std::string(session.request.method_string()), std::string(session.request.target()),
                      header("X-Auth-Token"), header("OpenStack-API-Version"), session.request.body()});
        session.response.result(static_cast<unsigned>(answer.status));
        session.response.set("Connection", "close");
        for (const auto& [name, value] : answer.headers)
            session.response.set(name, value);
        session.response.body() = answer.body;
        session.response.prepare_payload();
        session.response.keep_alive(false);
    }

    boost::asio::ip::tcp::acceptor acceptor_;
    Handler handler_;
};

}  // namespace vitalwire::controller
