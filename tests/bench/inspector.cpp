// bench_inspector: where the controller sends faults, as Doctor events. Prints where it listens, and for each event:
// told INSTANCE STATUS NANOSECONDS KIND; of an alarm of a host HOST instead of INSTANCE
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "runtime/http/http_server.hpp"

namespace {

using namespace vitalwire;
using nlohmann::json;

std::string text(const json& object, const char* key) {
    const auto at = object.find(key);
    return at != object.end() && at->is_string() ? at->get<std::string>() : "?";
}

runtime::HttpResponse answer(const runtime::HttpRequest& request) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    for (const json& event : json::parse(request.body, nullptr, false)) {
        const json details = event.value("details", json::object());
        const char* who = details.contains("instance_id") ? "instance_id" : "hostname";
        std::cout << "told " << text(details, who) << " " << text(details, "status") << " " << now << " "
                  << text(details, "kind") << std::endl;
    }
    return {};
}

}  // namespace

int main() {
    boost::asio::io_context io;
    runtime::HttpServer server(io, answer);
    if (const auto listening = server.listen("127.0.0.1:0"); !listening) {
        std::cerr << listening.error().message << "\n";
        return 1;
    }
    std::cout << "listening " << server.address() << std::endl;
    io.run();
}
