#pragma once

#include <cstdint>
#include <string>

#include "host/core/id_generator.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

/// An agent's ids and challenges, from the seed.
class DrawnIds final : public host::IdGenerator {
public:
    explicit DrawnIds(World& world) : world_(world) {}

    std::int64_t challenge() override { return static_cast<std::int64_t>(world_.below(1U << 31U)); }
    base::SessionId session_id() override { return base::SessionId("s" + number()); }
    base::FaultId fault_id() override { return base::FaultId("f" + number()); }
    std::string number() { return std::to_string(world_.below(std::size_t{1} << 62U)); }

private:
    World& world_;
};

}  // namespace vitalwire::simulator
