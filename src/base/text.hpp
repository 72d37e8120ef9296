#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vitalwire::base {

/// True when `text` is well-formed UTF-8 (no surrogates, no overlong forms, nothing above U+10FFFF).
bool is_utf8(std::string_view text);

/// At most `max_bytes` of `text`, never ending inside a UTF-8 sequence.
std::string cut_utf8(std::string_view text, std::size_t max_bytes);

/// `text` as one printable line for a log: control characters, quotes, backslashes and bytes that are not
/// UTF-8 become \n, \", \xNN ...; what is longer than `max_bytes` is cut and ends in "...".
std::string escape(std::string_view text, std::size_t max_bytes = 512);

/// The start of a text from elsewhere, ending in "..." where it is cut. It is not escaped: that is done once, where it
/// is shown.
std::string excerpt(std::string_view text, std::size_t max_bytes);

/// True when `text` has 1 to `max` characters, all of [A-Za-z0-9._-]: what may become a file name, an address or a
/// metric label.
bool is_plain_name(std::string_view text, std::size_t max);

/// True for a uuid as OpenStack and libvirt write it: 8-4-4-4-12 hexadecimal digits in lower case.
bool is_uuid(std::string_view text);

}  // namespace vitalwire::base
