#pragma once

#include <sys/types.h>

#include <cstdint>

namespace vitalwire::guest {

/// The process in which it was made. A child that was forked is another one, also where it has the same number: the
/// first process of a container that forks into a PID namespace of its own.
class OwnProcess {
public:
    OwnProcess();
    bool is_current() const;

private:
    pid_t pid_;
    std::uint32_t forks_;
};

}  // namespace vitalwire::guest
