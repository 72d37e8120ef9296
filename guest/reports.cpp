#include "guest/reports.hpp"

#include <algorithm>
#include <utility>

#include "guest/reason.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;

namespace {

std::string report_source(const std::string& name) {
    return "report " + name;
}

/// Nobody could renew a report while vitalwired was not there.
constexpr base::Millis kRenewalAfterRestart{60'000};

tl::unexpected<base::Error> of_another_user(const std::string& name) {
    return fail(Errc::in_use, "the report called '" + name + "' belongs to another user");
}

}  // namespace

base::Result<void> Reports::set(uid_t uid, const app::Set& report) {
    const auto known = reports_.find(report.name);
    if (known != reports_.end() && uid != 0 && uid != known->second.uid) return of_another_user(report.name);
    const auto mine =
        std::count_if(reports_.begin(), reports_.end(), [&](const auto& each) { return each.second.uid == uid; });
    if (known == reports_.end() && uid != 0 && static_cast<std::size_t>(mine) >= max_per_user_) {
        return fail(Errc::too_many, "user " + std::to_string(uid) + " has " + std::to_string(max_per_user_) +
                                        " reports already, [applications] max_per_user");
    }
    Report next{uid, report.health, report.valid.value_or(base::Millis(0)), base::kNever};
    if (report.valid) next.until = clock_.now() + *report.valid;
    // Who used the name first keeps it, but cannot end what root reports as ill.
    if (known != reports_.end() && (uid != 0 || report.health.healthy)) next.uid = known->second.uid;
    board_.set(report_source(report.name), next.health.healthy, next.health.reason);
    reports_[report.name] = std::move(next);
    expire();
    return {};
}

base::Result<void> Reports::forget(uid_t uid, const std::string& name) {
    const auto known = reports_.find(name);
    if (known == reports_.end()) return fail(Errc::not_found, "nothing is called '" + name + "'");
    if (uid != 0 && uid != known->second.uid) return of_another_user(name);
    board_.remove(report_source(name));
    reports_.erase(known);
    expire();
    return {};
}

void Reports::expire() {
    const base::TimePoint now = clock_.now();
    base::TimePoint next = base::kNever;
    for (auto& [name, report] : reports_) {
        if (now < report.until) {
            next = std::min(next, report.until);
        } else {
            report.until = base::kNever;
            report.health = {false, "was not renewed within " + std::to_string(report.valid.count()) + " ms"};
            board_.set(report_source(name), false, report.health.reason);
        }
    }
    timer_.arm(next, [this] { expire(); });
}

void Reports::keep(std::vector<Kept>& out) const {
    // The time of this daemon is that of the next one but for the stalls that it has left out.
    const base::Duration stalls = base::Clock::now() - clock_.now();
    for (const auto& [name, report] : reports_) {
        Kept kept{"report", name, report.uid};
        kept.health = report.health;
        kept.time = report.valid;
        if (report.until != base::kNever) kept.until = report.until + stalls;
        out.push_back(std::move(kept));
    }
}

void Reports::restore(const Kept& kept) {
    Report report{kept.uid, kept.health, kept.time};
    if (kept.until != base::kNever)
        report.until = std::max(kept.until, clock_.now() + std::min(kept.time, kRenewalAfterRestart));
    board_.set(report_source(kept.name), report.health.healthy, report.health.reason);
    reports_[kept.name] = std::move(report);
    expire();
}

std::vector<app::Item> Reports::list() const {
    std::vector<app::Item> items;
    for (const auto& [name, report] : reports_) {
        items.push_back({"report",
                         name,
                         report.health.healthy ? "healthy" : "unhealthy",
                         tidy_reason(report.health.reason),
                         {},
                         report.uid});
    }
    return items;
}

}  // namespace vitalwire::guest
