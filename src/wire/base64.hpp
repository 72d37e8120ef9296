#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vitalwire::wire {

// RFC 4648 section 4, with padding and without line breaks. Own code because the guest's library may link nothing that
// has it.
std::string encode_base64(std::string_view bytes);
/// Absent when `text` is not exactly what encode_base64 writes for some bytes.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace vitalwire::wire
