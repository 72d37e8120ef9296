#include "controller/delivery/journal_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "controller/model/alarm_json.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;

namespace {

json to_row(const JournalEntry& entry) {
    json row = {{"at", base::to_iso8601(entry.at)}, {"what", entry.what}};
    if (!entry.sink.empty()) row["sink"] = entry.sink;
    if (!entry.detail.empty()) row["detail"] = entry.detail;
    if (entry.times > 1) {
        row["times"] = entry.times;
        row["first_at"] = base::to_iso8601(entry.first_at);
    }
    if (entry.revision > 0) row["revision"] = entry.revision;
    return row;
}

std::uint64_t count_or(const json& object, const char* key, std::int64_t least) {
    return static_cast<std::uint64_t>(std::max(wire::int_or(object, key, least), least));
}

}  // namespace

json to_json(const Journal::Part& part) {
    json entries = json::array();
    for (const JournalEntry& entry : part.entries)
        entries.push_back(to_row(entry));
    json row = {{"entries", std::move(entries)}, {"dropped", part.dropped}};
    if (part.alarm) row["alarm"] = to_json(*part.alarm);
    if (part.ahead.count() != 0) row["ahead_us"] = part.ahead.count();
    return row;
}

json to_json(const Journal::Record& record) {
    json row = to_json(static_cast<const Journal::Part&>(record));
    for (const auto& [controller, part] : record.others)
        row["others"][controller] = to_json(part);
    return row;
}

json merged(const Journal::Record& record, const std::string& own_name) {
    struct Line {
        base::WallTime at;
        json row;
    };
    std::vector<Line> lines;
    std::uint64_t dropped = 0;
    const auto add = [&](const Journal::Part& part, const std::string& controller) {
        dropped += part.dropped;
        for (const JournalEntry& entry : part.entries) {
            lines.push_back({entry.times > 1 ? entry.first_at : entry.at, to_row(entry)});
            if (!record.others.empty()) lines.back().row["controller"] = controller;
        }
    };
    add(record, own_name);
    for (const auto& [controller, part] : record.others)
        add(part, controller);
    std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.at < b.at; });
    json entries = json::array();
    for (Line& line : lines)
        entries.push_back(std::move(line.row));
    return {{"entries", std::move(entries)}, {"dropped", dropped}};
}

std::optional<Journal::Part> journal_part_from_json(const json& row) {
    const json* entries = wire::find(row, "entries");
    if (entries == nullptr || !entries->is_array() || entries->size() > Journal::kMaxEntries) return std::nullopt;
    Journal::Part part;
    part.dropped = count_or(row, "dropped", 0);
    for (const json& entry : *entries) {
        JournalEntry read;
        read.at = base::from_iso8601(wire::text_or(entry, "at"));
        read.what = base::cut_utf8(wire::text_or(entry, "what"), Journal::kMaxDetail);
        read.sink = base::cut_utf8(wire::text_or(entry, "sink"), Journal::kMaxDetail);
        read.detail = base::cut_utf8(wire::text_or(entry, "detail"), Journal::kMaxDetail);
        read.times = count_or(entry, "times", 1);
        const std::string first = wire::text_or(entry, "first_at");
        read.first_at = first.empty() ? read.at : base::from_iso8601(first);
        read.revision = count_or(entry, "revision", 0);
        if (read.what.empty()) return std::nullopt;
        part.entries.push_back(std::move(read));
    }
    if (const json* alarm = wire::find(row, "alarm")) part.alarm = alarm_from_json(*alarm);
    part.ahead = std::chrono::microseconds(wire::int_or(row, "ahead_us", 0));
    return part;
}

std::optional<Journal::Record> journal_from_json(const json& row) {
    auto own = journal_part_from_json(row);
    if (!own) return std::nullopt;
    Journal::Record record{std::move(*own), {}, 0};
    const json* others = wire::find(row, "others");
    if (others == nullptr || !others->is_object()) return record;
    for (const auto& [controller, part] : others->items()) {
        if (auto read = journal_part_from_json(part)) record.others[controller] = std::move(*read);
    }
    return record;
}

}  // namespace vitalwire::controller
