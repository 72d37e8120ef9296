// What the operator's command makes of an answer: nothing of it controls the terminal.
#include <nlohmann/json.hpp>
#include <string>

#include "cli/events.hpp"
#include "cli/format.hpp"
#include "cli/select.hpp"
#include "cli/views.hpp"
#include "fuzz.hpp"
#include "wire/json_reader.hpp"

using namespace vitalwire;

namespace {

void require_harmless(const cli::Lines& lines) {
    for (const std::string& line : lines) {
        for (const char character : line)
            FUZZ_REQUIRE(static_cast<unsigned char>(character) >= 0x20 && character != 0x7f);
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto answer = wire::parse_object(std::string_view(reinterpret_cast<const char*>(data), size));
    if (!answer) return 0;
    cli::Style style;
    style.width = 100;
    for (const auto view :
         {cli::status_view, cli::guest_view, cli::fault_view, cli::host_view, cli::group_view, cli::sent_view})
        require_harmless(view(*answer, base::WallTime{}, style));
    for (const auto table : {cli::guests_table, cli::faults_table, cli::agents_table, cli::groups_table,
                             cli::coverage_table, cli::events_table})
        require_harmless(table(*answer, base::WallTime{}, style).lines(style));
    const cli::Lines top = cli::top_view(*answer, base::WallTime{}, style, 20);
    FUZZ_REQUIRE(top.size() <= 20);
    require_harmless(top);

    const cli::OpenFaults open = cli::open_faults(*answer);
    const cli::Changes changes = cli::changes({}, open, "2026-11-22T06:05:08.000000Z");
    for (const nlohmann::json& event : changes.events)
        require_harmless({cli::event_line(event)});
    const cli::Changes none = cli::changes(open, open, "");
    FUZZ_REQUIRE(none.events.empty() && none.gone.empty());

    cli::Options options;
    options.host = options.state = options.guest = "x";
    cli::apply_filters(*answer, options);
    static_cast<void>(cli::select(*answer, cli::kGuests, "g"));
    require_harmless(cli::yaml_lines(*answer));
    for (const char character : cli::json_text(*answer))
        FUZZ_REQUIRE(character == '\n' || (character >= 0x20 && character < 0x7f));
    return 0;
}
