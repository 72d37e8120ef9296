#include "guest/descriptors.hpp"

#include <sys/resource.h>

#include <algorithm>

namespace vitalwire::guest {

namespace {

constexpr rlim_t kReserve = 128;
/// At least this part of them is for applications, where there are few.
constexpr rlim_t kReservePart = 4;

}  // namespace

bool is_spare(int descriptor) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
    // The kernel gives the lowest number that is free.
    return static_cast<rlim_t>(descriptor) < limit.rlim_cur - std::min(kReserve, limit.rlim_cur / kReservePart);
}

}  // namespace vitalwire::guest
