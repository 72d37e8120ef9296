#pragma once

#include <cstddef>
#include <functional>
#include <unordered_map>

#include "base/ids.hpp"

namespace vitalwire::host {

/// Not noexcept, so that the standard library keeps every hash beside its guest instead of computing it anew, from a
/// string that is in no cache, for whoever shares the bucket.
struct KeptHash {
    std::size_t operator()(const base::GuestId& id) const { return std::hash<base::GuestId>{}(id); }
};

/// What is looked up for every beat of every guest.
template <class T>
using GuestMap = std::unordered_map<base::GuestId, T, KeptHash>;

}  // namespace vitalwire::host
