#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vitalwire::runtime {

/// One value that is in force, and where it is from. A list has one for each of its lines.
struct ConfigValue {
    std::string section;  ///< "[sink inspector]"
    std::string key;
    std::string value;   ///< empty: not set, and there is no default
    std::string origin;  ///< "/etc/vitalwire/agent.conf:12", "--set", "default"

    friend bool operator==(const ConfigValue&, const ConfigValue&) = default;
};
using ConfigValues = std::vector<ConfigValue>;

/// The values that readers have taken, in that order. Those of a key that is taken again replace what was.
class TakenValues {
public:
    /// Those of the key follow.
    void begin(const std::string& section, std::string_view key);
    void add(ConfigValue value) { list_.push_back(std::move(value)); }
    /// The default of a key is from somewhere else than the program.
    void set_origin(const std::string& section, std::string_view key, const std::string& origin);
    const ConfigValues& list() const { return list_; }

private:
    ConfigValues list_;
    std::set<std::pair<std::string, std::string>> keys_;  ///< an inventory has tens of thousands of sections
};

/// The value without what is secret in it: that of a header, a password in a URL.
std::string masked(const ConfigValue& value);

/// As a configuration file with the origin of each value in a comment; without secrets. What is not set is a comment.
std::string to_text(const ConfigValues& values);

/// Keys whose value differs, each once.
struct ConfigChange {
    std::string section;
    std::string key;
    std::string before;  ///< masked; empty: not set
    std::string after;
};
std::vector<ConfigChange> differences(const ConfigValues& before, const ConfigValues& after);
/// "[heartbeat] detection_time: 900 ms -> 600 ms"
std::string to_string(const ConfigChange& change);

}  // namespace vitalwire::runtime
