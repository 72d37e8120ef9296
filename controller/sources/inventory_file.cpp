#include "controller/sources/inventory_file.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/host_name.hpp"
#include "base/text.hpp"
#include "wire/heartbeat_pdu.hpp"
#include "wire/limits.hpp"

namespace vitalwire::controller {

using base::Millis;
using runtime::ConfigErrors;
using runtime::ConfigFile;
using runtime::ConfigReader;
using runtime::ConfigSection;

namespace {

constexpr std::size_t kMaxId = 128;  // a guest's id is part of a file name
constexpr std::uint64_t kMostBytesPerSecond = std::uint64_t{1} << 30U;
constexpr Millis kLongestInterval = std::chrono::hours(1);
constexpr Millis kLongestEstablish = std::chrono::hours(24);

/// Nova's vm_states, as its notifications write them.
const std::vector<std::string> kStates = {"active",  "building", "paused",  "suspended",
                                          "stopped", "rescued",  "resized", "soft-delete",
                                          "deleted", "error",    "shelved", "shelved_offloaded"};

class InventoryReader {
public:
    InventoryReader(const ConfigFile& file, ConfigErrors& errors) : file_(file), errors_(errors) {}

    InventorySnapshot read() {
        file_.check_sections({"group *", "guest *"}, errors_);
        for (const ConfigSection& section : file_.sections) {
            if (section.name == "group" && has_good_id(section)) read_group(section);
        }
        for (const ConfigSection& section : file_.sections) {
            if (section.name == "guest" && has_good_id(section)) read_guest(section);
        }
        return std::move(snapshot_);
    }

private:
    bool has_good_id(const ConfigSection& section) {
        if (section.label.empty()) return false;  // reported as an unknown section
        if (base::is_plain_name(section.label, kMaxId)) return true;
        errors_.push_back({file_.path, section.line,
                           "[" + section.name + " ...]: expected an id of 1 to 128 letters, digits, '.', '_' and '-'"});
        return false;
    }

    void read_group(const ConfigSection& section) {
        ConfigReader reader(file_, section, errors_);
        InventoryGroup group;
        group.id = base::GroupId(section.label);
        group.name = reader.text("name", section.label);
        group.project = reader.text("project", "");
        reader.finish();
        projects_[section.label] = group.project;
        snapshot_.groups.push_back(std::move(group));
    }

    void read_guest(const ConfigSection& section) {
        ConfigReader reader(file_, section, errors_);
        InventoryGuest guest;
        guest.id = base::GuestId(section.label);
        guest.display_name = reader.text("name", section.label);
        guest.hostname = reader.text("hostname", "");
        guest.host = read_host(reader);
        guest.node = reader.text("node", guest.host.str());
        guest.flavor = reader.text("flavor", "");
        read_group_of(reader, guest);
        guest.state = reader.choice("state", "active", kStates);
        guest.state_description = reader.text("task_state", "");
        guest.launched_at = reader.text("launched_at", "");
        read_metadata(reader, guest);
        read_policy(reader, guest);
        reader.finish();
        snapshot_.guests.push_back(std::move(guest));
    }

    static base::HostId read_host(ConfigReader& reader) {
        std::string host = reader.text("host", "");
        if (!host.empty() && !base::is_host_name(host))
            reader.refuse("host", "no agent can have this name, expected 1 to 253 letters, digits, '.', '_' and '-'");
        return base::HostId(std::move(host));
    }

    void read_group_of(ConfigReader& reader, InventoryGuest& guest) {
        const std::string group = reader.text("group", "");
        const auto known = projects_.find(group);
        guest.group = base::GroupId(group);
        guest.project = reader.text("project", known == projects_.end() ? "" : known->second);
        if (group.empty()) return;
        if (known == projects_.end())
            return reader.refuse("group", "there is no [group " + base::escape(group, kMaxId) + "] in this file");
        if (known->second != guest.project)
            reader.refuse("project", "expected the project of its group, '" + base::escape(known->second) + "'");
    }

    static void read_metadata(ConfigReader& reader, InventoryGuest& guest) {
        for (const std::string& line : reader.lines("metadata")) {
            const std::size_t equals = line.find('=');
            if (equals == 0 || equals == std::string::npos) {
                reader.refuse("metadata", "expected name=value");
                continue;
            }
            guest.metadata[line.substr(0, equals)] = line.substr(equals + 1);
        }
    }

    static void read_policy(ConfigReader& reader, InventoryGuest& guest) {
        model::GuestPolicy& policy = guest.policy;
        policy.guest = guest.id;
        policy.guest_agent = reader.boolean("guest_agent", false);
        policy.machine_faults = reader.boolean("machine_faults", false);
        policy.heartbeat = reader.boolean("heartbeat", policy.guest_agent);
        policy.messaging = reader.boolean("messaging", !guest.group.empty());
        policy.detect_multiplier = static_cast<int>(reader.integer("detect_multiplier", 0, 1, 100));
        policy.min_interval = reader.duration("min_interval", Millis(0), Millis(100), kLongestInterval);
        policy.detection_time = reader.duration("detection_time", Millis(0), Millis(200), kLongestInterval);
        if (reader.has("detection_time") && policy.detection_time < 2 * policy.min_interval)
            reader.refuse("detection_time", "expected at least twice min_interval, which guests are held to");
        policy.establish_timeout =
            reader.duration("establish_timeout", Millis(0), std::chrono::seconds(1), kLongestEstablish);
        policy.messages_per_second = static_cast<int>(reader.integer("messages_per_second", 0, 1, 1'000'000));
        policy.bytes_per_second =
            static_cast<std::int64_t>(reader.size("bytes_per_second", 0, 1024, kMostBytesPerSecond));
        policy.corrective_action = model::parse_corrective_action(
                                       reader.choice("corrective_action", "none", {"none", "log", "reboot", "stop"}))
                                       .value_or(model::CorrectiveAction::none);
        read_channels(reader, policy);
    }

    static void read_channels(ConfigReader& reader, model::GuestPolicy& policy) {
        static const std::set<std::string_view> known = {wire::kNativeChannel, wire::kCgcsHeartbeatChannel,
                                                         wire::kCgcsMessagingChannel};
        policy.channels = reader.list("channels");
        for (const std::string& name : policy.channels) {
            if (known.contains(name)) continue;
            return reader.refuse("channels",
                                 "expected some of org.vitalwire.0, cgcs.heartbeat, cgcs.messaging, found '" +
                                     base::escape(name, kMaxId) + "'");
        }
    }

    const ConfigFile& file_;
    ConfigErrors& errors_;
    InventorySnapshot snapshot_;
    std::map<std::string, std::string> projects_;  ///< of each group
};

}  // namespace

InventorySnapshot read_inventory(const ConfigFile& file, ConfigErrors& errors) {
    return InventoryReader(file, errors).read();
}

}  // namespace vitalwire::controller
