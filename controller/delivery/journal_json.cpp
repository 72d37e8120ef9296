#include "controller/delivery/journal_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;

json to_json(const Journal::Record& record) {
    json entries = json::array();
    for (const JournalEntry& entry : record.entries) {
        json row = {{"at", base::to_iso8601(entry.at)}, {"what", entry.what}};
        if (!entry.sink.empty()) row["sink"] = entry.sink;
        if (!entry.detail.empty()) row["detail"] = entry.detail;
        if (entry.times > 1) {
            row["times"] = entry.times;
            row["first_at"] = base::to_iso8601(entry.first_at);
        }
        entries.push_back(std::move(row));
    }
    return {{"entries", std::move(entries)}, {"dropped", record.dropped}};
}

std::optional<Journal::Record> journal_from_json(const json& row) {
    const json* entries = wire::find(row, "entries");
    if (entries == nullptr || !entries->is_array() || entries->size() > Journal::kMaxEntries) return std::nullopt;
    Journal::Record record;
    record.dropped = static_cast<std::uint64_t>(std::max<std::int64_t>(wire::int_or(row, "dropped", 0), 0));
    for (const json& entry : *entries) {
        JournalEntry read;
        read.at = base::from_iso8601(wire::text_or(entry, "at"));
        read.what = wire::text_or(entry, "what");
        read.sink = wire::text_or(entry, "sink");
        read.detail = wire::text_or(entry, "detail");
        read.times = static_cast<std::uint64_t>(std::max<std::int64_t>(wire::int_or(entry, "times", 1), 1));
        const std::string first = wire::text_or(entry, "first_at");
        read.first_at = first.empty() ? read.at : base::from_iso8601(first);
        if (read.what.empty()) return std::nullopt;
        record.entries.push_back(std::move(read));
    }
    return record;
}

}  // namespace vitalwire::controller
