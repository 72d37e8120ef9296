#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace vitalwire::runtime {

/// A line of the log as the journal's native protocol has it (systemd.journal-fields(7)): MESSAGE is the line, PRIORITY
/// the digit of its prefix "<6>", and each `key=value` of it a field of its own, `guest=vm-1` as VITALWIRE_GUEST. What
/// the message catalogue explains has a MESSAGE_ID. `line`: without a line feed. Writes to `to` and returns how many
/// bytes; 0 when there is no room. Allocates nothing.
std::size_t journal_entry(std::string_view line, std::string_view identifier, std::span<char> to);

/// Of the fixed sentence that a line begins with; empty when the catalogue has none.
std::string_view message_id(std::string_view sentence);

}  // namespace vitalwire::runtime
