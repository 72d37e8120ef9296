// Datagrams between an application in the guest and vitalwired.
#include "fuzz.hpp"
#include "guest/app_protocol.hpp"

namespace {

using namespace vitalwire::guest;

template <class Decode>
void check(std::string_view datagram, Decode decode) {
    const auto message = decode(datagram);
    if (!message) return FUZZ_REQUIRE(!message.error().message.empty());
    const std::string said = app::encode(*message);
    FUZZ_REQUIRE(said.size() <= app::kMaxDatagram);
    const auto again = decode(std::string_view(said));
    FUZZ_REQUIRE(again.has_value());
    FUZZ_REQUIRE(again->index() == message->index());
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view datagram(reinterpret_cast<const char*>(data), size);
    check(datagram, app::decode_request);
    check(datagram, app::decode_event);
    return 0;
}
