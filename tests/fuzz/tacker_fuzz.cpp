// What Tacker registers, what other controllers pass on of it, and the addresses that may.
#include <nlohmann/json.hpp>
#include <string>

#include "controller/sinks/tacker/networks.hpp"
#include "controller/sinks/tacker/registration_json.hpp"
#include "fuzz.hpp"
#include "wire/json_reader.hpp"

using namespace vitalwire;
using namespace vitalwire::controller;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view body(reinterpret_cast<const char*>(data), size);
    if (const auto asked = tacker::read_request(body); !asked) FUZZ_REQUIRE(!asked.error().message.empty());

    if (const auto object = wire::parse_object(body)) {
        if (const auto registration = tacker::registration_from(*object)) {
            const auto said = tacker::to_json(*registration);
            const auto again = tacker::registration_from(said);
            FUZZ_REQUIRE(again.has_value());
            FUZZ_REQUIRE(tacker::to_json(*again) == said);
        }
    }

    tacker::Networks networks;
    const std::string text(body.substr(0, 64));
    const bool added = networks.add(text);
    if (added && text.find('/') == std::string::npos) FUZZ_REQUIRE(networks.contains(text));
    static_cast<void>(networks.contains(text));
    return 0;
}
