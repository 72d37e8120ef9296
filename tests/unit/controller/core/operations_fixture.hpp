#pragma once

#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {

/// What operators do, here and at another controller, whose journal tells of it.
class OperationsTest : public CoreTest {
protected:
    base::Result<Maintenance> begin(MaintenanceScope scope, const std::string& name, const std::string& id = "m1") {
        Maintenance window{id, scope, name, moment.wall, moment.wall + std::chrono::hours(2), "new disks", "eva"};
        return core->begin_maintenance(window, moment);
    }
    void clear_f1(std::uint64_t revision = 2) {
        model::Fault over = f1;
        over.revision = revision;
        over.cleared_at = moment.wall;
        report("compute-1", over);
    }
    Journal::Part closed(const std::string& reason) const { return {{{moment.wall, kClosedEntry, "", reason}}, 0}; }
    Journal::Part host_removed() const { return {{{moment.wall, kHostRemovedEntry, "", "compute-1"}}, 0}; }
    std::vector<std::string> journal(const std::string& fault) const {
        std::vector<std::string> entries;
        for (const JournalEntry& entry : core->alarms().journal().find(base::FaultId(fault))->entries)
            entries.push_back(entry.what + (entry.detail.empty() ? "" : ": " + entry.detail));
        return entries;
    }
};

}  // namespace vitalwire::controller
