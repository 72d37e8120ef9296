// A domain's live XML as libvirt hands it out.
#include "fuzz.hpp"
#include "host/sources/libvirt/domain_xml.hpp"

using namespace vitalwire;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto ports = host::ports_of({reinterpret_cast<const char*>(data), size});
    if (!ports) {
        FUZZ_REQUIRE(!ports.error().message.empty());
        return 0;
    }
    for (const host::DomainChannel& channel : ports->channels) {
        FUZZ_REQUIRE(!channel.path.empty());
        FUZZ_REQUIRE(ports->taken.contains(channel.kind));
    }
    return 0;
}
