#include "runtime/logging.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/log.hpp"
#include "base/text.hpp"

namespace vitalwire::runtime {

namespace {

struct LevelName {
    std::string_view name;
    log::Level level;
};
constexpr std::array<LevelName, 4> kLevels = {{{"debug", log::Level::debug},
                                               {"info", log::Level::info},
                                               {"warning", log::Level::warning},
                                               {"error", log::Level::error}}};

/// Set once before the first line is written, never destroyed: lines may still come from threads at exit.
spdlog::logger* g_logger = nullptr;

spdlog::level::level_enum spdlog_level(log::Level level) {
    switch (level) {
        case log::Level::debug:
            return spdlog::level::debug;
        case log::Level::info:
            return spdlog::level::info;
        case log::Level::warning:
            return spdlog::level::warn;
        case log::Level::error:
            return spdlog::level::err;
    }
    return spdlog::level::err;
}

void write_with_time(log::Level level, std::string_view line) {
    g_logger->log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

/// The journal adds the time itself and reads the priority from a prefix (sd-daemon(3)).
void write_to_journal(log::Level level, std::string_view line) {
    static constexpr std::array<std::string_view, 4> kPrefixes = {"<7>", "<6>", "<4>", "<3>"};
    std::string prefixed(kPrefixes.at(static_cast<std::size_t>(level)));
    prefixed += line;
    g_logger->log(spdlog_level(level), prefixed);
}

/// $JOURNAL_STREAM names the device and inode of the journal's end (systemd.exec(5)); it is inherited, so it counts
/// only when it is our standard error.
bool stderr_is_the_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");  // NOLINT(concurrency-mt-unsafe): before any thread
    struct stat status {};
    if (stream == nullptr || fstat(STDERR_FILENO, &status) != 0) return false;
    return stream == std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino);
}

spdlog::logger* make_logger() {
    auto logger =
        std::make_unique<spdlog::logger>("vitalwire", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    logger->set_level(spdlog::level::trace);               // base/log.hpp has filtered already
    logger->set_error_handler([](const std::string&) {});  // where should it go, if not here
    return logger.release();
}

}  // namespace

base::Result<void> start_logging(const std::string& level) {
    for (const LevelName& known : kLevels) {
        if (known.name != level) continue;
        if (g_logger == nullptr) g_logger = make_logger();
        const bool journal = stderr_is_the_journal();
        g_logger->set_pattern(journal ? "%v" : "%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
        log::set_backend(journal ? write_to_journal : write_with_time);
        log::set_level(known.level);
        return {};
    }
    return base::fail(base::Errc::config,
                      "log level: expected debug, info, warning or error, found '" + base::escape(level, 32) + "'");
}

}  // namespace vitalwire::runtime
