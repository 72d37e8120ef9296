#pragma once

#include <sys/types.h>

#include <string>

namespace vitalwire::guest {

/// So far a process is looked for among those that it came from.
inline constexpr int kMostGenerations = 8;

// What /proc has of a process. Only what every user may read: this daemon has no rights to look into the processes of
// others.

/// The name of a process's program, as far as it is a plain name.
std::string program_of(pid_t pid);
/// What a process runs in, when it is a service of the service manager; else empty.
std::string unit_of(pid_t pid);
/// What stays the same when a service is started again, and is no other's: several may run the same program. Empty when
/// it is not known, as for a process that has ended.
std::string identity_of(pid_t pid, uid_t uid);
bool belongs_to(pid_t pid, uid_t uid);
/// 0 when it is not known.
pid_t parent_of(pid_t pid);
/// The process that `sender` means by `number`: in a container it has numbers of its own, and means itself, one that it
/// came from, or a child. 0 when none of these is it.
pid_t meant_by(pid_t sender, pid_t number);

}  // namespace vitalwire::guest
