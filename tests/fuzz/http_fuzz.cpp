// What a client asks: the query of a URL, an address to listen on or to connect to.
#include "fuzz.hpp"
#include "runtime/http/http_server.hpp"
#include "runtime/listen.hpp"

using namespace vitalwire;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::string name(input.text(input.byte() % 16));
    const std::string_view text = input.rest();

    runtime::HttpRequest request;
    request.query = text;
    FUZZ_REQUIRE(request.query_value(name).size() <= text.size());
    FUZZ_REQUIRE(request.query_value("state").size() <= text.size());

    if (const auto address = runtime::parse_host_port(text)) {
        FUZZ_REQUIRE(!address->host.empty());
        FUZZ_REQUIRE(!address->port.empty() && address->port.size() <= 5);
    }
    return 0;
}
