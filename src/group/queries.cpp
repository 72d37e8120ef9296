#include "group/queries.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace vitalwire::group {

using base::Errc;
using base::fail;

void Queries::received(wire::StatusResponse response) {
    const auto query = open_.find(response.seq);
    if (query != open_.end()) query->second.states.push_back(std::move(response.state));
}

std::optional<Queries::Outcome> Queries::received(const wire::StatusDone& done) {
    const auto query = open_.find(done.seq);
    if (query == open_.end()) return std::nullopt;
    States states = std::move(query->second.states);
    open_.erase(query);
    if (states.size() == done.count) return Outcome{done.seq, std::move(states)};
    return Outcome{done.seq, fail(Errc::incomplete,
                                  std::to_string(states.size()) + " states came of " + std::to_string(done.count))};
}

std::optional<Queries::Outcome> Queries::received(const wire::Nack& nack) {
    if (!nack.seq || open_.erase(*nack.seq) == 0) return std::nullopt;
    return Outcome{*nack.seq, fail(nack.code, nack.message)};
}

std::vector<Queries::Outcome> Queries::expire(base::TimePoint now) {
    std::vector<Outcome> expired;
    for (auto query = open_.begin(); query != open_.end();) {
        if (query->second.deadline > now) {
            ++query;
            continue;
        }
        expired.push_back({query->first, fail(Errc::timeout, "the host has not answered in time")});
        query = open_.erase(query);
    }
    return expired;
}

std::vector<Queries::Outcome> Queries::fail_all(const base::Error& why) {
    std::vector<Outcome> failed;
    for (const auto& [seq, query] : std::exchange(open_, {}))
        failed.push_back({seq, tl::make_unexpected(why)});
    return failed;
}

base::TimePoint Queries::next_deadline() const {
    base::TimePoint next = base::kNever;
    for (const auto& [seq, query] : open_)
        next = std::min(next, query.deadline);
    return next;
}

}  // namespace vitalwire::group
