#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/table.hpp"

namespace vitalwire::cli {

// What views read from answers. Nothing fails: what is missing or of another type reads as empty.

/// Position in a list that begins with the worst; unknown words are the worst: nobody should overlook them.
template <std::size_t N>
std::size_t rank(const std::array<std::string_view, N>& worst_first, std::string_view word) {
    const auto at = std::find(worst_first.begin(), worst_first.end(), word);
    return at == worst_first.end() ? 0 : static_cast<std::size_t>(at - worst_first.begin()) + 1;
}

inline constexpr std::array<std::string_view, 7> kStates = {"crashed", "lost",         "unhealthy", "unwatched",
                                                            "held",    "unregistered", "registered"};
inline constexpr std::array<std::string_view, 4> kCoverages = {"uncovered", "faulty", "inhibited", "watched"};
inline constexpr std::array<std::string_view, 3> kSeverities = {"critical", "major", "warning"};

Tone tone_of_state(std::string_view state);
Tone tone_of_heartbeat(std::string_view heartbeat);
Tone tone_of_severity(std::string_view severity);

/// The members of the array `key`; none when it is no array.
std::vector<const nlohmann::json*> listed(const nlohmann::json& document, const char* key);

/// The same, sorted by `key_of`.
template <class KeyOf>
std::vector<const nlohmann::json*> sorted(const nlohmann::json& document, const char* key, KeyOf key_of) {
    auto out = listed(document, key);
    std::stable_sort(out.begin(), out.end(), [&](const auto* a, const auto* b) { return key_of(*a) < key_of(*b); });
    return out;
}

/// Open ones first, then the most severe, then the newest.
void sort_faults(std::vector<const nlohmann::json*>& faults);

/// A count; empty when it is zero.
std::string number(const nlohmann::json& object, const char* key);
/// The name in the cloud, else the guest's own.
std::string name_of(const nlohmann::json& guest);
/// The text of a key, escaped.
std::string safe(const nlohmann::json& object, const char* key);
/// The parts that are not empty.
std::string join(std::initializer_list<std::string> parts, const char* separator);
/// "990 registered, 3 lost" of an object of counts, in the order of `words`; zeros are left out.
std::string counts_of(const nlohmann::json& document, const char* key, std::span<const std::string_view> words);
/// What a fault is of: "guest g-1 (web) on compute-1", "host compute-1". May hold anything.
std::string subject_of(const nlohmann::json& fault);
/// "silent: disk is full"
std::string why(const nlohmann::json& fault);
// When a fault opened, and when it last changed or ended: by the clock of the controller that answers where that tells
// it, else as the fault has it.
std::string opened_here(const nlohmann::json& fault);
std::string updated_here(const nlohmann::json& fault);
std::string cleared_here(const nlohmann::json& fault);
/// "2026-12-02 10:00:05Z by the clock of its host"; empty when that is not another time than `here`, or one is missing.
std::string by_its_host(const std::string& at, const std::string& here);
/// "2 acknowledged, doctor retries: connection refused".
std::string delivery_of(const nlohmann::json& fault);

}  // namespace vitalwire::cli
