#include "cli/answer.hpp"

#include <tuple>

#include "base/clock.hpp"
#include "base/text.hpp"
#include "cli/human.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::cli {

using nlohmann::json;
using wire::int_or;
using wire::text_or;

namespace {

/// True when this controller has nothing left to do about it.
bool is_done(std::string_view delivery) {
    return delivery == "suppressed" || delivery == "skipped" || delivery == "acknowledged_by_peer" ||
           delivery == "pending_at_peer";
}

}  // namespace

Tone tone_of_state(std::string_view state) {
    if (state == "registered") return Tone::good;
    if (state == "crashed" || state == "lost") return Tone::bad;
    return state == "unregistered" ? Tone::plain : Tone::warning;
}

Tone tone_of_heartbeat(std::string_view heartbeat) {
    if (heartbeat == "healthy") return Tone::good;
    if (heartbeat == "lost") return Tone::bad;
    return heartbeat == "unhealthy" ? Tone::warning : Tone::plain;
}

Tone tone_of_severity(std::string_view severity) {
    return severity == "critical" ? Tone::bad : Tone::warning;
}

std::vector<const json*> listed(const json& document, const char* key) {
    std::vector<const json*> out;
    const json* list = wire::find(document, key);
    if (list == nullptr || !list->is_array()) return out;
    for (const json& entry : *list)
        out.push_back(&entry);
    return out;
}

void sort_faults(std::vector<const json*>& faults) {
    std::stable_sort(faults.begin(), faults.end(), [](const json* a, const json* b) {
        const auto key = [](const json& fault) {
            return std::pair(text_or(fault, "state") == "cleared", rank(kSeverities, text_or(fault, "severity")));
        };
        // Times in this form sort as text.
        return std::pair(key(*a), opened_here(*b)) < std::pair(key(*b), opened_here(*a));
    });
}

std::string opened_here(const json& fault) {
    return text_or(fault, "received_at", text_or(fault, "opened_at"));
}

std::string updated_here(const json& fault) {
    return text_or(fault, "changed_at", text_or(fault, "updated_at"));
}

std::string cleared_here(const json& fault) {
    const std::string cleared = text_or(fault, "cleared_at");
    return cleared.empty() ? cleared : text_or(fault, "changed_at", cleared);
}

std::string by_its_host(const std::string& at, const std::string& here) {
    /// So far a report may be behind what it tells.
    constexpr std::chrono::seconds kSameTime{2};
    const base::WallTime theirs = base::from_iso8601(at);
    const base::WallTime ours = base::from_iso8601(here);
    if (theirs == base::WallTime{} || ours == base::WallTime{}) return {};
    if (std::chrono::abs(theirs - ours) <= kSameTime) return {};
    return human_time(theirs) + " by the clock of its host";
}

std::string number(const json& object, const char* key) {
    const std::int64_t value = int_or(object, key, 0);
    return value == 0 ? "" : std::to_string(value);
}

std::string name_of(const json& guest) {
    const std::string display_name = text_or(guest, "display_name");
    return display_name.empty() ? text_or(guest, "name", text_or(guest, "guest_name")) : display_name;
}

std::string safe(const json& object, const char* key) {
    return base::escape(text_or(object, key));
}

std::string join(std::initializer_list<std::string> parts, const char* separator) {
    std::string out;
    for (const std::string& part : parts) {
        if (part.empty()) continue;
        if (!out.empty()) out += separator;
        out += part;
    }
    return out;
}

std::string counts_of(const json& document, const char* key, std::span<const std::string_view> words) {
    const json* counts = wire::find(document, key);
    if (counts == nullptr) return {};
    std::string out;
    for (const std::string_view word : words) {
        const std::int64_t count = int_or(*counts, std::string(word).c_str(), 0);
        if (count != 0) out += (out.empty() ? "" : ", ") + std::to_string(count) + ' ' + std::string(word);
    }
    return out;
}

std::string subject_of(const json& fault) {
    const std::string guest = text_or(fault, "guest");
    const std::string host = text_or(fault, "host");
    if (guest.empty()) return "host " + host;
    const std::string name = name_of(fault);
    return "guest " + guest + (name.empty() || name == guest ? "" : " (" + name + ")") +
           (host.empty() ? "" : " on " + host);
}

std::string why(const json& fault) {
    return join({text_or(fault, "detail"), text_or(fault, "reason")}, ": ");
}

std::string delivery_of(const json& fault) {
    std::int64_t acknowledged = 0;
    std::string waiting;
    for (const json* delivery : listed(fault, "deliveries")) {
        const std::string state = text_or(*delivery, "state");
        if (state == "acknowledged" || state == "acknowledged_by_peer") ++acknowledged;
        if (state == "acknowledged" || is_done(state)) continue;
        const std::string error = text_or(*delivery, "last_error");
        const std::string what = error.empty() ? state : (state == "held" ? "held: " : "retries: ") + error;
        waiting = join({waiting, text_or(*delivery, "sink") + ' ' + what}, ", ");
    }
    // A standby knows of no hold of its own.
    const bool maintained = wire::find(fault, "maintenance") != nullptr;
    return join({maintained ? "kept back by maintenance" : "",
                 acknowledged == 0 ? "" : std::to_string(acknowledged) + " acknowledged", waiting},
                ", ");
}

}  // namespace vitalwire::cli
