#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/clock.hpp"

namespace vitalwire::controller {

/// How an attempt to notify a receiver of one event ended.
struct Outcome {
    enum class Kind : std::uint8_t {
        confirmed,  ///< there is proof that the receiver has this one
        skipped,    ///< nothing was sent, and nothing will be: the receiver has no use for this one
        later,      ///< not now, on purpose: nothing is wrong, another attempt follows after `delay`
        retry,      ///< the receiver cannot be reached or cannot work now
        refused,    ///< the receiver works and does not take this one
    };
    Kind kind = Kind::confirmed;
    std::string why;       ///< for operators; empty when confirmed; holds no secret
    base::Millis delay{};  ///< of `retry` and `refused`: no attempt before it, as the receiver asked
    bool unsent = false;   ///< of `retry`: nobody was connected, so the receiver cannot have this one

    static Outcome confirmed() { return {}; }
    static Outcome skipped(std::string why) { return {Kind::skipped, std::move(why)}; }
    static Outcome later(std::string why, base::Millis delay) { return {Kind::later, std::move(why), delay}; }
    static Outcome retry(std::string why, base::Millis delay = {}) { return {Kind::retry, std::move(why), delay}; }
    static Outcome unreachable(std::string why) { return {Kind::retry, std::move(why), {}, true}; }
    static Outcome refused(std::string why, base::Millis delay = {}) { return {Kind::refused, std::move(why), delay}; }
};

}  // namespace vitalwire::controller
