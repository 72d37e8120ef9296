// What the operator's command makes of an answer: nothing of it controls the terminal.
#include <nlohmann/json.hpp>
#include <string>

#include "cli/changes.hpp"
#include "cli/views.hpp"
#include "fuzz.hpp"
#include "wire/json_reader.hpp"

using namespace vitalwire;

namespace {

void require_harmless(const std::string& line) {
    for (const char character : line)
        FUZZ_REQUIRE(static_cast<unsigned char>(character) >= 0x20 && character != 0x7f);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto answer = wire::parse_object(std::string_view(reinterpret_cast<const char*>(data), size));
    if (!answer) return 0;
    const cli::Style style{false, 100};
    for (const auto view : {cli::status_view, cli::guests_view, cli::faults_view, cli::agents_view, cli::groups_view,
                            cli::group_view, cli::sent_view}) {
        for (const std::string& line : view(*answer, base::WallTime{}, style))
            require_harmless(line);
    }
    const cli::Snapshot now = cli::Snapshot::of(*answer, *answer);
    for (const cli::Change& change : cli::changes({}, now))
        require_harmless(change.text);
    FUZZ_REQUIRE(cli::changes(now, now).empty());

    cli::Options options;
    options.host = options.state = options.guest = "x";
    cli::apply_filters(*answer, options);
    for (const char character : cli::json_text(*answer))
        FUZZ_REQUIRE(character == '\n' || (character >= 0x20 && character < 0x7f));
    return 0;
}
