#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "model/fault.hpp"

namespace vitalwire::simulator {

/// What one seed was, or many together: plain numbers, so that a process can hand it to another one.
struct Result {
    std::uint64_t disturbances = 0;
    std::uint64_t events = 0;
    double guest_hours = 0;
    std::array<std::uint64_t, model::kFaultKinds> faults{};
    std::uint64_t delivered = 0;
    std::uint64_t broadcasts = 0;
    std::uint64_t broadcasts_received = 0;

    void add(const Result& other);
    std::string text() const;
};

}  // namespace vitalwire::simulator
