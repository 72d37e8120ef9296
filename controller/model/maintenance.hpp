#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

namespace vitalwire::controller {

/// What a maintenance window covers.
enum class MaintenanceScope : std::uint8_t { guest, host, group, all };
std::string_view to_string(MaintenanceScope scope);
std::optional<MaintenanceScope> parse_maintenance_scope(std::string_view name);

/// A time in which an operator works on guests or hosts: their faults are recorded, and sinks are notified of those
/// that are still open at its end. The same at all controllers; of two with one id the higher revision is newer.
struct Maintenance {
    std::string id;
    MaintenanceScope scope = MaintenanceScope::all;
    std::string name;  ///< id of the guest or group, or canonical name of the host; empty for all
    base::WallTime since{};
    base::WallTime until{};
    std::string reason;
    std::string by;     ///< the operator, as the command line names it
    std::string label;  ///< what the operator called it, where `name` is an id
    std::uint64_t revision = 1;
    /// Of a group: its guests, sorted, as the inventory had them last. They are covered while that cannot be read.
    std::vector<base::GuestId> members{};
    bool notify = false;  ///< its guests are notified of its begin and end
    bool force = false;   ///< its guests' votes keep nothing from being carried out

    /// It begins when it is made: the clock of a controller may be behind, or set back.
    bool active(base::WallTime now) const { return now < until; }

    friend bool operator==(const Maintenance&, const Maintenance&) = default;
};

inline constexpr std::size_t kMaxMaintenanceText = 1024;
inline constexpr std::chrono::hours kLongestMaintenance{24 * 30};

nlohmann::json to_json(const Maintenance& window);
base::Result<Maintenance> maintenance_from_json(const nlohmann::json& object);

}  // namespace vitalwire::controller
