#pragma once

#include <cstddef>
#include <cstdint>

#include "base/log.hpp"

namespace vitalwire::runtime {

/// Room for lines that standard error does not take yet: some thousands in a host's daemon, a hundred in a guest's.
constexpr std::size_t kHostLogBuffer = std::size_t{1024} * 1024;
constexpr std::size_t kGuestLogBuffer = std::size_t{32} * 1024;

/// Sends base/log.hpp's lines to the journal when it is our standard error, with a field for each of theirs
/// (journal_entry.hpp); otherwise to standard error, with time and level. A thread writes them, so that no caller ever
/// waits for the reader of the log; what does not fit into `buffer` is dropped, the oldest first, and counted. At exit
/// what is left is written, for a second at most. Called once, before the first event is handled. Our own and not
/// spdlog's asynchronous logger, which cannot bound the wait at exit and is larger than the whole daemon in a guest.
void start_logging(log::Level level, std::size_t buffer);

/// Waits until everything logged so far is written, a second at most.
void flush_log();

/// Lines that were dropped because standard error did not take them.
std::uint64_t dropped_log_lines();

}  // namespace vitalwire::runtime
