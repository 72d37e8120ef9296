#pragma once

namespace vitalwire::guest {

/// True when an application or a service may take this new descriptor: the last ones are left to checks, the channel
/// and the state file, or many applications would make a healthy machine ill.
bool is_spare(int descriptor);
inline constexpr const char* kTooFewDescriptors = "vitalwired may open too few files, LimitNOFILE= of its service";

}  // namespace vitalwire::guest
