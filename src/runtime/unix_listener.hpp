#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.hpp"

namespace vitalwire::runtime {

/// A non-blocking descriptor that listens on a UNIX socket of `type` (SOCK_STREAM, SOCK_SEQPACKET), or receives on one
/// (SOCK_DGRAM, which has no backlog); the file has `mode` from its first moment. A socket that nobody listens on any
/// more is replaced; one that answers, or a file that is no socket, is an error.
base::Result<int> open_unix_listener(const std::string& path, int type, mode_t mode, int backlog);

}  // namespace vitalwire::runtime
