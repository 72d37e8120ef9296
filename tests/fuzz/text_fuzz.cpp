// Strings from outside on their way to a log, a message, a name.
#include "base/text.hpp"
#include "fuzz.hpp"
#include "wire/base64.hpp"

using namespace vitalwire;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::size_t limit = input.byte();
    const std::string_view text = input.rest();

    const std::string escaped = base::escape(text, limit);
    FUZZ_REQUIRE(escaped.find('\n') == std::string::npos && escaped.find('\0') == std::string::npos);
    FUZZ_REQUIRE(base::is_utf8(escaped));

    const std::string cut = base::cut_utf8(text, limit);
    FUZZ_REQUIRE(cut.size() <= limit && text.starts_with(cut));
    if (base::is_utf8(text)) FUZZ_REQUIRE(base::is_utf8(cut));

    const std::string base64 = wire::encode_base64(text);
    FUZZ_REQUIRE(wire::decode_base64(base64) == text);
    if (const auto bytes = wire::decode_base64(text)) FUZZ_REQUIRE(wire::encode_base64(*bytes) == text);

    if (base::is_plain_name(text, 64)) FUZZ_REQUIRE(!text.empty() && text.size() <= 64 && escaped.size() <= limit + 3);
    return 0;
}
