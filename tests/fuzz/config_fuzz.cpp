// An operator's file: every mistake is reported with its line, nothing is taken for what it is not.
#include "fuzz.hpp"
#include "runtime/config.hpp"

using namespace vitalwire;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    runtime::ConfigErrors errors;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const runtime::ConfigFile file = runtime::ConfigFile::parse(text, "fuzz.conf", errors);
    file.check_sections({"heartbeat", "bus", "sink *"}, errors);
    for (const runtime::ConfigSection& section : file.sections) {
        runtime::ConfigReader reader(file, section, errors);
        const std::int64_t misses = reader.integer("misses", 1, 1, 10);
        FUZZ_REQUIRE(misses >= 1 && misses <= 10);
        const base::Millis interval =
            reader.duration("interval", base::Millis(1000), base::Millis(100), base::Millis(60'000));
        FUZZ_REQUIRE(interval >= base::Millis(100) && interval <= base::Millis(60'000));
        FUZZ_REQUIRE(reader.size("queue", 4096, 1024, 1U << 20U) >= 1024);
        const std::string type = reader.choice("type", "log", {"log", "doctor", "webhook"});
        FUZZ_REQUIRE(type == "log" || type == "doctor" || type == "webhook");
        static_cast<void>(reader.boolean("enabled", true));
        static_cast<void>(reader.list("controller"));
        static_cast<void>(reader.text("url", ""));
        reader.finish();
    }
    for (const runtime::ConfigError& error : errors) {
        FUZZ_REQUIRE(error.line >= 0);
        FUZZ_REQUIRE(!runtime::to_string(error).empty());
    }
    return 0;
}
