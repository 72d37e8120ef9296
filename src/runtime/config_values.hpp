#pragma once

#include <cstdint>
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
    std::string value;        ///< empty: not set, and there is no default
    std::string origin;       ///< "/etc/vitalwire/agent.conf:12", "--set", "default"
    std::size_t content = 0;  ///< of the file that the value names: another number when that holds something else

    friend bool operator==(const ConfigValue&, const ConfigValue&) = default;
};
using ConfigValues = std::vector<ConfigValue>;

/// A file that the configuration names, as it was when it was read: what tells that it has changed since.
struct NamedFile {
    std::string path;
    struct Stamp {
        std::int64_t seconds = 0;
        std::int64_t nanoseconds = 0;
        std::uint64_t size = 0;
        std::uint64_t number = 0;  ///< of the file: another one may have been renamed to the path

        friend bool operator==(const Stamp&, const Stamp&) = default;
    } stamp;
};
NamedFile::Stamp stamp_of(const std::string& path);

/// The values that readers have taken, in that order. Those of a key that is taken again replace what was.
class TakenValues {
public:
    /// Those of the key follow.
    void begin(const std::string& section, std::string_view key);
    void add(ConfigValue value) { list_.push_back(std::move(value)); }
    /// The default of a key is from somewhere else than the program.
    void set_origin(const std::string& section, std::string_view key, const std::string& origin);
    /// The value of the key names this file, which is read now.
    void follow(const std::string& section, std::string_view key, const std::string& path);
    const ConfigValues& list() const { return list_; }
    const std::vector<NamedFile>& files() const { return files_; }

private:
    ConfigValues list_;
    std::vector<NamedFile> files_;
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
    bool of_content = false;  ///< the value is the same, the file that it names holds something else
};
std::vector<ConfigChange> differences(const ConfigValues& before, const ConfigValues& after);
/// "[heartbeat] detection_time: 900 ms -> 600 ms"; "[http] reader_token_file: the content of /etc/token has changed"
std::string to_string(const ConfigChange& change);

}  // namespace vitalwire::runtime
