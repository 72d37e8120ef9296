#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vitalwire::simulator {

/// Which release a program is of, as the other end of a connection sees it: the one before lacks the newest fields and
/// messages, one after has more of both, and `other_version` speaks another version of the protocol.
enum class Release : std::uint8_t { before, present, after, other_version };
std::string_view to_string(Release release);

/// The line, which the present release has written, as one of `writer` would have and one of `reader` reads it. Empty:
/// there is no such message between the two.
std::string as_sent(const std::string& line, Release writer, Release reader);

/// A message of a type that only a release after this one knows.
inline constexpr std::string_view kOfLaterRelease = R"({"type":"of_a_later_release","items":[1]})";

}  // namespace vitalwire::simulator
