// Lines between agents and controllers, and the rows of both on disk.
#include <nlohmann/json.hpp>

#include "bus/json.hpp"
#include "bus/messages.hpp"
#include "fuzz.hpp"
#include "wire/json_reader.hpp"

namespace {

using namespace vitalwire;

/// What was understood can be said again, and then it stays as it is.
template <class Decode>
void check(std::string_view line, Decode decode) {
    const auto message = decode(line);
    if (!message) return FUZZ_REQUIRE(!message.error().message.empty());
    const std::string said = bus::encode(*message);
    FUZZ_REQUIRE(said.find('\n') == std::string::npos);
    const auto again = decode(std::string_view(said));
    FUZZ_REQUIRE(again.has_value());
    FUZZ_REQUIRE(bus::encode(*again) == said);
}

template <class FromJson>
void check_row(const nlohmann::json& object, FromJson from_json) {
    const auto value = from_json(object);
    if (!value) return;
    const nlohmann::json said = bus::to_json(*value);
    const auto again = from_json(said);
    FUZZ_REQUIRE(again.has_value());
    FUZZ_REQUIRE(bus::to_json(*again) == said);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view line(reinterpret_cast<const char*>(data), size);
    check(line, bus::decode_to_controller);
    check(line, bus::decode_to_agent);
    if (const auto object = wire::parse_object(line)) {
        check_row(*object, bus::fault_from_json);
        check_row(*object, bus::guest_report_from_json);
        check_row(*object, bus::guest_policy_from_json);
    }
    return 0;
}
