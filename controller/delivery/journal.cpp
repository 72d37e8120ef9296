#include "controller/delivery/journal.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "base/text.hpp"

namespace vitalwire::controller {

void Journal::note(const base::FaultId& fault, JournalEntry entry) {
    entry.detail = base::cut_utf8(entry.detail, kMaxDetail);
    entry.first_at = entry.at;
    Record& record = record_of(fault);
    std::vector<JournalEntry>& entries = record.entries;
    // The last one about this sink: what happened at others in between does not end a series.
    const auto last = std::find_if(entries.rbegin(), entries.rend(),
                                   [&](const JournalEntry& earlier) { return earlier.sink == entry.sink; });
    if (last != entries.rend() && last->what == entry.what && last->detail == entry.detail) {
        last->at = entry.at;
        last->revision = entry.revision;
        ++last->times;
    } else {
        entries.push_back(std::move(entry));
    }
    if (entries.size() > kMaxEntries) {
        entries.erase(entries.begin() + kFirstEntries);
        ++record.dropped;
    }
    renumber(fault, record);
    changed_(fault, record);
}

void Journal::note(const Alarm& alarm) {
    record_of(alarm.id).alarm = alarm;
    alarms_.insert(alarm.id);
    std::string cause = alarm.detail;
    if (!alarm.reason.empty()) cause += (cause.empty() ? "" : ": ") + alarm.reason;
    const bool opened = alarm.updated_at == alarm.opened_at;
    note(alarm.id, alarm.open() ? JournalEntry{alarm.updated_at, opened ? kOpenedEntry : "updated", "", cause}
                                : JournalEntry{*alarm.cleared_at, kClearedEntry, "", alarm.clear_reason});
}

Journal::Record& Journal::record_of(const base::FaultId& fault) {
    const auto [at, is_new] = records_.try_emplace(fault);
    if (is_new) {
        if (auto early = early_.extract(fault)) at->second.others = std::move(early.mapped());
    }
    return at->second;
}

void Journal::restore(const base::FaultId& fault, Record record) {
    Record& restored = records_[fault];
    by_number_.erase(restored.number);
    restored = std::move(record);
    restored.number = 0;
    if (alarm_of(restored).second != nullptr) alarms_.insert(fault);
    renumber(fault, restored);
}

std::vector<base::FaultId> Journal::with_last(const std::string& sink, std::string_view what,
                                              std::string_view detail) const {
    std::vector<base::FaultId> faults;
    for (const auto& [fault, record] : records_) {
        const auto last = std::find_if(record.entries.rbegin(), record.entries.rend(),
                                       [&](const JournalEntry& entry) { return entry.sink == sink; });
        if (last != record.entries.rend() && last->what == what && last->detail == detail) faults.push_back(fault);
    }
    std::sort(faults.begin(), faults.end());
    return faults;
}

void Journal::renumber(const base::FaultId& fault, Record& record) {
    by_number_.erase(record.number);
    record.number = ++last_number_;
    by_number_.emplace(record.number, fault);
}

void Journal::put(Others& others, const std::string& controller, Part part) {
    if (others.contains(controller) || others.size() < kMaxControllers) others[controller] = std::move(part);
}

void Journal::merge(const base::FaultId& fault, const std::string& controller, Part part) {
    if (part.alarm) alarms_.insert(fault);
    if (part.alarm || records_.contains(fault)) {
        Record& record = record_of(fault);
        put(record.others, controller, std::move(part));
        return changed_(fault, record);
    }
    const auto [at, is_new] = early_.try_emplace(fault);
    put(at->second, controller, std::move(part));
    if (!is_new) return;
    early_order_.push_back(fault);
    if (early_order_.size() <= kMaxEarly) return;
    early_.erase(early_order_.front());
    early_order_.pop_front();
}

void Journal::erase(const base::FaultId& fault) {
    const auto at = records_.find(fault);
    if (at == records_.end()) return;
    by_number_.erase(at->second.number);
    records_.erase(at);
    alarms_.erase(fault);
}

std::vector<base::FaultId> Journal::after(std::uint64_t number, std::size_t limit) const {
    std::vector<base::FaultId> faults;
    for (auto at = by_number_.upper_bound(number); at != by_number_.end() && faults.size() < limit; ++at)
        faults.push_back(at->second);
    return faults;
}

std::pair<std::string, const Alarm*> alarm_of(const Journal::Record& record) {
    const Alarm* own = record.alarm ? &*record.alarm : nullptr;
    if (own != nullptr && own->open()) return {"", own};
    const auto elsewhere = alarm_elsewhere(record);
    const bool is_later =
        elsewhere.second != nullptr && (own == nullptr || elsewhere.second->updated_at > own->updated_at);
    return is_later ? elsewhere : std::pair<std::string, const Alarm*>{"", own};
}

std::pair<std::string, const Alarm*> alarm_elsewhere(const Journal::Record& record) {
    std::pair<std::string, const Alarm*> found{"", nullptr};
    for (const auto& [controller, part] : record.others) {
        const bool is_later =
            part.alarm && (found.second == nullptr || part.alarm->updated_at > found.second->updated_at);
        if (is_later) found = {controller, &*part.alarm};
    }
    return found;
}

namespace {

bool is_acknowledged_by(const JournalEntry& entry, const SinkOf& sink) {
    if (entry.sink != sink.name || entry.what != kAcknowledgedEntry) return false;
    const bool names_receiver = entry.detail.find(kAtReceiver) != std::string::npos;
    return sink.receiver.empty() || !names_receiver || entry.detail.ends_with(kAtReceiver + sink.receiver);
}

}  // namespace

/// FNV-1a: no secret, and short.
std::string mark_of(const SinkOf& sink) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char each : sink.name + '\0' + sink.receiver) {
        hash ^= static_cast<unsigned char>(each);
        hash *= 0x100000001b3U;
    }
    char text[17];
    std::snprintf(text, sizeof(text), "%016" PRIx64, hash);
    return text;
}

std::optional<bool> end_acknowledged_elsewhere(const Journal::Record& record, const SinkOf& sink) {
    std::optional<bool> of_end;
    for (const auto& [controller, part] : record.others) {
        for (const JournalEntry& entry : part.entries) {
            if (!is_acknowledged_by(entry, sink)) continue;
            of_end = of_end.value_or(false) || entry.detail.starts_with(to_string(AlarmChange::cleared));
        }
    }
    return of_end;
}

const JournalEntry* acknowledged_elsewhere(const Journal::Record& record, const SinkOf& sink) {
    const JournalEntry* newest = nullptr;
    for (const auto& [controller, part] : record.others) {
        for (const JournalEntry& entry : part.entries) {
            const bool counts = is_acknowledged_by(entry, sink) && entry.revision > 0;
            if (counts && (newest == nullptr || entry.revision > newest->revision)) newest = &entry;
        }
    }
    return newest;
}

bool is_told_to_others_only(const Journal::Record& record, const SinkOf& sink) {
    std::vector<const Journal::Part*> parts{&record};
    for (const auto& [controller, part] : record.others)
        parts.push_back(&part);
    bool to_others = false;
    for (const Journal::Part* part : parts) {
        for (const JournalEntry& entry : part->entries) {
            if (is_acknowledged_by(entry, sink)) return false;
            to_others = to_others || entry.what == kAcknowledgedEntry;
        }
    }
    return to_others;
}

std::string who_ended_at(const Journal::Record& record, const std::string& sink, const std::string& receiver) {
    const std::string end = std::string(to_string(AlarmChange::cleared)) + kAtReceiver + receiver;
    for (const auto& [controller, part] : record.others) {
        const auto last = std::find_if(part.entries.rbegin(), part.entries.rend(), [&](const JournalEntry& entry) {
            return entry.sink == sink && entry.what == kAcknowledgedEntry;
        });
        if (last != part.entries.rend() && last->detail == end) return controller;
    }
    return {};
}

std::pair<std::string, std::uint64_t> who_raised_at(const Journal::Record& record, const SinkOf& sink) {
    std::pair<std::string, std::uint64_t> newest;
    const auto is_end = [&](const JournalEntry& entry) {
        return is_acknowledged_by(entry, sink) && entry.detail.starts_with(to_string(AlarmChange::cleared));
    };
    if (std::any_of(record.entries.begin(), record.entries.end(), is_end)) return {};
    for (const auto& [controller, part] : record.others) {
        if (std::any_of(part.entries.begin(), part.entries.end(), is_end)) return {};
        for (const JournalEntry& entry : part.entries) {
            if (is_acknowledged_by(entry, sink) && entry.revision > newest.second)
                newest = {controller, entry.revision};
        }
    }
    return newest;
}

const JournalEntry* end_seen_elsewhere(const Journal::Record& record) {
    for (const auto& [controller, part] : record.others) {
        const auto ended = std::find_if(part.entries.rbegin(), part.entries.rend(),
                                        [](const JournalEntry& entry) { return entry.what == kClearedEntry; });
        if (ended != part.entries.rend()) return &*ended;
    }
    return nullptr;
}

std::vector<Occurrence> earlier_occurrences(const Journal::Record& record) {
    std::vector<Occurrence> all;
    const auto add = [&](const Journal::Part& part) {
        Occurrence open;
        for (const JournalEntry& entry : part.entries) {
            if (entry.what == kOpenedEntry) open.opened_at = entry.at;
            if (entry.what != kClearedEntry || open.opened_at == base::WallTime{}) continue;
            all.push_back({std::exchange(open.opened_at, {}), entry.at, entry.detail});
        }
    };
    add(record);
    for (const auto& [controller, part] : record.others)
        add(part);
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.opened_at < b.opened_at; });
    const auto [controller, last] = alarm_of(record);
    std::vector<Occurrence> earlier;
    for (Occurrence& each : all) {
        if (last != nullptr && each.cleared_at >= last->opened_at) continue;
        // Several controllers raise one alarm.
        if (!earlier.empty() && each.opened_at <= earlier.back().cleared_at) {
            earlier.back().cleared_at = std::max(earlier.back().cleared_at, each.cleared_at);
        } else {
            earlier.push_back(std::move(each));
        }
    }
    return earlier;
}

const Journal::Part* Journal::part_of(const base::FaultId& fault, const std::string& controller) const {
    const Record* record = find(fault);
    const auto early = early_.find(fault);
    const Others* others = record != nullptr ? &record->others : early != early_.end() ? &early->second : nullptr;
    if (others == nullptr) return nullptr;
    const auto at = others->find(controller);
    return at == others->end() ? nullptr : &at->second;
}

const Journal::Record* Journal::find(const base::FaultId& fault) const {
    const auto at = records_.find(fault);
    return at == records_.end() ? nullptr : &at->second;
}

}  // namespace vitalwire::controller
