#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "options.hpp"
#include "result.hpp"

namespace vitalwire::simulator {

/// Many seeds, played by several processes at once.
struct Sweep {
    struct Violated {
        std::string what;
        bool ended_by_signal = false;
    };

    std::uint64_t seeds = 0;
    double seconds = 0;  ///< of real time
    Result result;       ///< of those that hold
    std::map<std::uint64_t, Violated> violations;

    std::string text() const;
};

/// Prints how far it is on standard error, and each violation when it is found.
Sweep play_all(const Options& options);

}  // namespace vitalwire::simulator
