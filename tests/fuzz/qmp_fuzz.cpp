// What QEMU's monitor says, line by line, with connections lost between.
#include "fuzz.hpp"
#include "host/sources/qmp/qmp_session.hpp"
#include "wire/line_framer.hpp"

using namespace vitalwire;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    host::QmpSession session;
    wire::LineFramer framer(1U << 16U);
    while (!input.empty()) {
        host::QmpSession::Result result;
        if (input.byte() % 8 == 0) session.vanished(result);
        session.connected("run");
        const std::size_t length = input.byte() * 8U;
        framer.feed(input.text(length), [&](std::string_view line) { session.line(line, result); });
        framer.reset();
        for (const std::string& command : result.commands)
            FUZZ_REQUIRE(!command.empty() && command.back() == '\n');
    }
    return 0;
}
