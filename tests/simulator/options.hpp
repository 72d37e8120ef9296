#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "simulation.hpp"

namespace vitalwire::simulator {

struct Options {
    std::uint64_t first_seed = 1;
    std::uint64_t last_seed = 1;
    bool verbose = false;
    std::size_t processes = 1;  ///< that play at once
    Size size;

    /// The command line that plays this seed again.
    std::string replay(const std::string& program, std::uint64_t seed) const;
};

}  // namespace vitalwire::simulator
