#pragma once

#include <map>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/token_bucket.hpp"
#include "controller/alarms/fault_table.hpp"
#include "controller/delivery/journal.hpp"

namespace vitalwire::controller {

/// A line in the log for what a journal has of a fault's begin, its end and its way to receivers, so that the log alone
/// tells a night. Of one host so many: the journals have the rest. No clock.
class FaultLog {
public:
    void write(const TrackedFault& tracked, const JournalEntry& entry, base::TimePoint now);

private:
    std::map<base::HostId, base::TokenBucket> hosts_;
};

}  // namespace vitalwire::controller
