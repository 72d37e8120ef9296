#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "wire/group_pdu.hpp"

namespace vitalwire::group {

/// The status queries that an application has under way: rows P-01 to P-08 of the guest's state table
/// (proto-spec/server-group.md, section 6). Each ends in exactly one outcome, at the latest at its deadline.
class Queries {
public:
    using States = std::vector<wire::MemberState>;
    struct Outcome {
        std::int64_t seq = 0;
        base::Result<States> states;
    };

    void start(std::int64_t seq, base::TimePoint deadline) { open_[seq] = {deadline, {}}; }
    bool is_open(std::int64_t seq) const { return open_.count(seq) > 0; }
    std::size_t size() const { return open_.size(); }

    void received(wire::StatusResponse response);
    std::optional<Outcome> received(const wire::StatusDone& done);
    /// Only a nack with the `seq` of a query is about one.
    std::optional<Outcome> received(const wire::Nack& nack);
    std::vector<Outcome> expire(base::TimePoint now);
    /// The connection that the answers would come through is gone.
    std::vector<Outcome> fail_all(const base::Error& why);
    /// The next one to expire; kNever when none is open.
    base::TimePoint next_deadline() const;
    void clear() { open_.clear(); }

private:
    struct Open {
        base::TimePoint deadline;
        States states;
    };

    std::map<std::int64_t, Open> open_;
};

}  // namespace vitalwire::group
