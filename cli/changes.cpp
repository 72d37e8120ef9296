#include "cli/changes.hpp"

#include <utility>

#include "base/text.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::cli {

using nlohmann::json;
using wire::text_or;

namespace {

std::map<std::string, json> by_id(const json& document, const char* list, const char* id) {
    std::map<std::string, json> out;
    const json* entries = wire::find(document, list);
    if (entries == nullptr || !entries->is_array()) return out;
    for (const json& entry : *entries)
        out[text_or(entry, id)] = entry;
    return out;
}

/// "web on compute-1", of an entry that has a host and may have a name.
std::string described(const std::string& id, const std::string& name, const std::string& host) {
    std::string out = base::escape(id);
    if (!name.empty() && name != id) out += " (" + base::escape(name) + ")";
    if (!host.empty()) out += " on " + base::escape(host);
    return out;
}

std::string describe_guest(const json& guest) {
    const std::string name = text_or(guest, "display_name", text_or(guest, "name"));
    return "guest " + described(text_or(guest, "guest"), name, text_or(guest, "host"));
}

std::string describe_fault(const json& fault) {
    return base::escape(text_or(fault, "severity")) + ' ' + base::escape(text_or(fault, "kind")) + " of guest " +
           described(text_or(fault, "guest"), text_or(fault, "guest_name"), text_or(fault, "host"));
}

std::string state_of(const json& guest) {
    const std::string hold = text_or(guest, "hold");
    return text_or(guest, "state") + (hold.empty() ? "" : " (" + hold + ")");
}

Change guest_change(const json& guest, const std::string& from, const std::string& to) {
    const std::string way = from.empty() ? base::escape(to) : base::escape(from) + " -> " + base::escape(to);
    return {describe_guest(guest) + ": " + way, {{"change", "guest"}, {"guest", guest}, {"from", from}, {"to", to}}};
}

Change fault_change(const char* what, const json& fault) {
    std::string why = text_or(fault, "detail");
    if (const std::string reason = text_or(fault, "reason"); !reason.empty()) why += (why.empty() ? "" : ": ") + reason;
    return {std::string("fault ") + what + ": " + describe_fault(fault) + (why.empty() ? "" : ", " + base::escape(why)),
            {{"change", std::string("fault_") + what}, {"fault", fault}}};
}

void add_guest_changes(std::vector<Change>& out, const Snapshot& before, const Snapshot& now) {
    for (const auto& [id, guest] : now.guests) {
        const auto earlier = before.guests.find(id);
        const std::string from = earlier == before.guests.end() ? "" : state_of(earlier->second);
        if (const std::string to = state_of(guest); to != from) out.push_back(guest_change(guest, from, to));
    }
    for (const auto& [id, guest] : before.guests) {
        if (!now.guests.contains(id)) out.push_back(guest_change(guest, state_of(guest), "gone"));
    }
}

void add_fault_changes(std::vector<Change>& out, const Snapshot& before, const Snapshot& now) {
    for (const auto& [id, fault] : now.faults) {
        const auto earlier = before.faults.find(id);
        if (earlier == before.faults.end()) {
            out.push_back(fault_change("opened", fault));
        } else if (wire::int_or(fault, "revision", 0) != wire::int_or(earlier->second, "revision", 0)) {
            out.push_back(fault_change("updated", fault));
        }
    }
    for (const auto& [id, fault] : before.faults) {
        if (!now.faults.contains(id)) out.push_back(fault_change("cleared", fault));
    }
}

}  // namespace

Snapshot Snapshot::of(const json& guests, const json& faults) {
    Snapshot out{by_id(guests, "guests", "guest"), by_id(faults, "faults", "id")};
    std::erase_if(out.faults, [](const auto& fault) { return text_or(fault.second, "state") == "cleared"; });
    return out;
}

std::vector<Change> changes(const Snapshot& before, const Snapshot& now) {
    std::vector<Change> out;
    add_guest_changes(out, before, now);
    add_fault_changes(out, before, now);
    return out;
}

}  // namespace vitalwire::cli
