#include "cli/select.hpp"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "cli/answer.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::cli {

using nlohmann::json;
using wire::text_or;

const Kind kGuests = {"guest", "guests", "guest", {"display_name"}, {"name"}};
const Kind kFaults = {"fault", "faults", "id", {"guest", "display_name"}, {"guest_name"}};
const Kind kAgents = {"host", "agents", "host", {}};
const Kind kGroups = {"group", "groups", "id", {"name"}};
const Kind kMaintenance = {"maintenance", "maintenance", "id", {"name", "label"}};

namespace {

constexpr std::size_t kMaxCandidates = 5;

template <class Matches>
std::vector<const json*> entries(const json& document, const Kind& kind, Matches matches) {
    std::vector<const json*> out;
    const json* list = wire::find(document, kind.list);
    if (list == nullptr || !list->is_array()) return out;
    for (const json& entry : *list) {
        if (matches(entry)) out.push_back(&entry);
    }
    return out;
}

template <class Matches>
bool any_name(const json& entry, const std::vector<const char*>& names, Matches matches) {
    return std::any_of(names.begin(), names.end(), [&](const char* key) { return matches(text_or(entry, key)); });
}

std::string candidates(const std::vector<const json*>& found, const Kind& kind) {
    std::string out;
    for (std::size_t i = 0; i < std::min(found.size(), kMaxCandidates); ++i)
        out += (out.empty() ? "" : ", ") + base::escape(text_or(*found[i], kind.id));
    return found.size() > kMaxCandidates ? out + " ..." : out;
}

void keep(json& document, const char* key, const auto& wanted) {
    const auto list = document.find(key);
    if (list == document.end() || !list->is_array()) return;
    json kept = json::array();
    for (json& entry : *list) {
        if (wanted(entry)) kept.push_back(std::move(entry));
    }
    *list = std::move(kept);
}

/// It is what is wanted, or begins so when that ends in '*'. (Not any beginning: "compute-1" must not show what is on
/// compute-10.)
bool matches_text(const std::string& text, const std::string& wanted) {
    if (!wanted.ends_with('*')) return text == wanted;
    return text.starts_with(std::string_view(wanted).substr(0, wanted.size() - 1));
}

bool matches_one(std::initializer_list<std::string> texts, const std::string& wanted) {
    return wanted.empty() ||
           std::any_of(texts.begin(), texts.end(), [&](const std::string& text) { return matches_text(text, wanted); });
}

}  // namespace

base::Result<json> select(const json& document, const Kind& kind, const std::string& wanted) {
    const auto is = [&](const std::string& text) { return text == wanted; };
    const auto begins = [&](const std::string& text) { return text.starts_with(wanted); };
    const std::vector<std::function<bool(const json&)>> ways = {
        [&](const json& entry) { return is(text_or(entry, kind.id)); },
        [&](const json& entry) { return any_name(entry, kind.names, is); },
        [&](const json& entry) { return begins(text_or(entry, kind.id)) || any_name(entry, kind.names, begins); },
        [&](const json& entry) { return any_name(entry, kind.own, is); },
        [&](const json& entry) { return any_name(entry, kind.own, begins); }};
    std::vector<const json*> found;
    for (auto way = ways.begin(); found.empty() && way != ways.end(); ++way)
        found = entries(document, kind, *way);
    const std::string quoted = std::string(kind.noun) + " '" + base::escape(wanted) + "'";
    if (found.empty()) return base::fail(base::Errc::not_found, "no " + quoted);
    const auto is_first = [&](const json* entry) {
        return text_or(*entry, kind.id) == text_or(*found.front(), kind.id);
    };
    if (!std::all_of(found.begin(), found.end(), is_first))
        return base::fail(base::Errc::too_many, quoted + " is ambiguous: " + candidates(found, kind));
    return *found.front();
}

bool has_one(const json& document, const Kind& kind, const std::string& wanted) {
    const auto matches = [&](const std::string& text) { return !text.empty() && matches_text(text, wanted); };
    const json* list = wire::find(document, kind.list);
    return list != nullptr && list->is_array() && std::any_of(list->begin(), list->end(), [&](const json& entry) {
               return matches(text_or(entry, kind.id)) || any_name(entry, kind.names, matches) ||
                      any_name(entry, kind.own, matches);
           });
}

void apply_filters(json& document, const Options& options) {
    const auto is_state = [&](const json& guest) {
        return options.state.empty() || text_or(guest, "state") == options.state;
    };
    const auto is_host = [&](const json& entry) { return matches_one({text_or(entry, "host")}, options.host); };
    keep(document, "guests", [&](const json& guest) {
        return is_host(guest) && is_state(guest) && matches_one({text_or(guest, "group")}, options.group);
    });
    const auto is_named = [&](const json& fault) {
        return matches_one({text_or(fault, "guest"), text_or(fault, "display_name")}, options.guest);
    };
    const auto calls_itself = [&](const json& fault) {
        return matches_one({text_or(fault, "guest_name")}, options.guest);
    };
    const auto all = listed(document, "faults");
    const bool named = std::any_of(all.begin(), all.end(), [&](const json* fault) { return is_named(*fault); });
    const auto is_wanted = [&](const json& fault) {
        return is_host(fault) && (named ? is_named(fault) : calls_itself(fault));
    };
    keep(document, "faults", is_wanted);
    keep(document, "alarms", is_wanted);
}

}  // namespace vitalwire::cli
