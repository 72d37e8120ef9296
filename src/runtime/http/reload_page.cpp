#include "runtime/http/reload_page.hpp"

#include <nlohmann/json.hpp>
#include <utility>

namespace vitalwire::runtime {

namespace {

std::string line_of(const nlohmann::json& body) {
    return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

HttpResponse reload_reply(const ReloadReport& report) {
    if (report.mistakes.empty())
        return {200, "application/json",
                line_of({{"applied", report.applied}, {"needs_restart", report.needs_restart}})};
    const std::size_t more = report.mistakes.size() - 1;
    std::string why = "the configuration has mistakes, nothing was changed: " + report.mistakes.front();
    if (more > 0) why += " (and " + std::to_string(more) + " more)";
    return {409, "application/json", line_of({{"error", why}, {"mistakes", report.mistakes}})};
}

}  // namespace

void add_reload_page(Router& router, std::function<ReloadReport()> reload) {
    router.add("POST", "/v1/reload", Router::Right::operators,
               [reload = std::move(reload)](const HttpRequest&, const auto&) { return reload_reply(reload()); });
}

}  // namespace vitalwire::runtime
