#include "releases.hpp"

#include <array>
#include <nlohmann/json.hpp>

namespace vitalwire::simulator {

using nlohmann::json;

namespace {

/// Of all messages and what they list.
constexpr std::array kNewest = {"lives",         "boot",       "time",        "connected_already",
                                "state_lost",    "dropped",    "round_trips", "io_read_at",
                                "io_watched_ms", "io_idle_ms", "watch_io",    "machine_faults",
                                "yields",        "to",         "delivered_to"};
constexpr const char* kNewestMessage = "maintenance";
constexpr int kOtherVersion = 2;

void reduce(json& object) {
    for (const char* key : kNewest)
        object.erase(key);
}

void extend(json& object) {
    object["of_a_later_release"] = {{"a", 1}};
}

/// The message itself, and each object that it lists.
template <class Change>
void change_all(json& message, Change change) {
    change(message);
    for (json& list : message) {
        if (!list.is_array()) continue;
        for (json& item : list) {
            if (item.is_object()) change(item);
        }
    }
}

}  // namespace

std::string_view to_string(Release release) {
    switch (release) {
        case Release::before:
            return "of the release before";
        case Release::present:
            return "of this release";
        case Release::after:
            return "of a later release";
        case Release::other_version:
            break;
    }
    return "of another version of the protocol";
}

std::string as_sent(const std::string& line, Release writer, Release reader) {
    const bool between_present_ones = writer == Release::present && reader == Release::present;
    if (between_present_ones) return line;
    json message = json::parse(line);
    const std::string type = message.at("type");
    if (writer == Release::before || reader == Release::before) {
        if (type == kNewestMessage) return {};
        change_all(message, reduce);
    }
    if (writer == Release::after) change_all(message, extend);
    if (writer == Release::other_version && message.contains("version")) message["version"] = kOtherVersion;
    return message.dump();
}

}  // namespace vitalwire::simulator
