#include "runtime/problems.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace vitalwire::runtime {

void Problems::raise(const std::string& what, const std::string& detail) {
    const auto [at, is_new] = problems_.try_emplace(what, Problem{what, detail, now_()});
    if (is_new || at->second.detail != detail) ++version_;
    if (is_new) {
        log::warning("problem", {{"what", what}, {"detail", detail}});
        return;
    }
    at->second.detail = detail;
}

void Problems::clear(const std::string& what) {
    if (problems_.erase(what) == 0) return;
    ++version_;
    log::info("problem is over", {{"what", what}});
}

void Problems::set(const std::string& what, const std::string& detail) {
    detail.empty() ? clear(what) : raise(what, detail);
}

std::vector<Problems::Problem> Problems::list() const {
    std::vector<Problem> list;
    for (const auto& [what, problem] : problems_)
        list.push_back(problem);
    std::stable_sort(list.begin(), list.end(), [](const Problem& a, const Problem& b) { return a.since < b.since; });
    return list;
}

}  // namespace vitalwire::runtime
