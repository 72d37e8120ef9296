#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "runtime/config_values.hpp"

namespace vitalwire::runtime {

/// One mistake in an operator's file, printed as "/etc/vitalwire/agent.conf:12: [heartbeat] detect_multiplier: expected
/// ..., found ..."; line 0: a mistake of the file as a whole.
struct ConfigError {
    std::string file;
    int line = 0;
    std::string message;
};
std::string to_string(const ConfigError& error);
using ConfigErrors = std::vector<ConfigError>;

/// The lines of what stands in no file: built in, or given by --set.
inline constexpr int kBuiltIn = -1;
inline constexpr int kCommandLine = -2;

struct ConfigEntry {
    std::string key;
    std::string value;
    int line = 0;
};

/// `[name label]` and the lines below it. Keys may be repeated where a reader asks for a list.
struct ConfigSection {
    std::string name;
    std::string label;  ///< the second word of the header, empty when there is none
    int line = 0;
    std::vector<ConfigEntry> entries;
};

/// A file of `[section]` / `[section label]` headers, `key = value` lines, and comments after '#' or ';' at the start
/// of a line. Values are taken as they are, without quotes; a section appears once. At most 1 MiB of UTF-8.
struct ConfigFile {
    std::string path;
    std::vector<ConfigSection> sections;
    /// Nothing starts: readers also report what the start would find, and what is no mistake but has no effect.
    bool only_checked = false;
    /// What readers of this file have taken, with the defaults.
    std::shared_ptr<TakenValues> values = std::make_shared<TakenValues>();

    /// Syntax mistakes are appended to `errors`; what could be read is returned all the same, so that one run shows all
    /// mistakes.
    static ConfigFile parse(std::string_view text, std::string path, ConfigErrors& errors);
    /// Fails only when the file cannot be read; its mistakes go to `errors`.
    static base::Result<ConfigFile> load(const std::string& path, ConfigErrors& errors);

    /// Applies `section.key=value` or `section.label.key=value` from a command line. The value takes the place of the
    /// file's; the same key once more adds a value to a list.
    void set(std::string_view assignment, ConfigErrors& errors);

    /// The sections called `name`, in the file's order.
    std::vector<ConfigSection> sections_named(std::string_view name) const;
    /// Every section whose name is not in `allowed` is a mistake; so is a label where only the bare name is allowed.
    /// `allowed`: "bus" for `[bus]`, "sink *" for `[sink LABEL]`.
    void check_sections(const std::vector<std::string>& allowed, ConfigErrors& errors) const;
};

/// Reads one section key by key; every bad value and, at `finish`, every key nobody asked for becomes an error with its
/// line.
class ConfigReader {
public:
    ConfigReader(const ConfigFile& file, ConfigSection section, ConfigErrors& errors);
    /// The section `[name]`; when the file has none, every key is at its default.
    ConfigReader(const ConfigFile& file, const std::string& name, ConfigErrors& errors);

    bool has(std::string_view key) const;
    const std::string& label() const { return section_.label; }
    std::string text(std::string_view key, const std::string& fallback);
    std::string required_text(std::string_view key);
    /// The path of a file that can be read now; empty when the key is not there.
    std::string file(std::string_view key);
    /// Repeated keys, and values separated by spaces.
    std::vector<std::string> list(std::string_view key, const std::vector<std::string>& fallback = {});
    std::vector<std::string> lines(std::string_view key);  ///< repeated keys, each value as it stands
    bool boolean(std::string_view key, bool fallback);     ///< true/false, yes/no, on/off
    std::int64_t integer(std::string_view key, std::int64_t fallback, std::int64_t min, std::int64_t max);
    /// A whole number with a unit: ms, s, min, h, d ("500 ms", "2s").
    base::Millis duration(std::string_view key, base::Millis fallback, base::Millis min, base::Millis max);
    /// A number of bytes, with an optional unit: K, M, G (powers of 1024).
    std::uint64_t size(std::string_view key, std::uint64_t fallback, std::uint64_t min, std::uint64_t max);
    std::string choice(std::string_view key, std::string fallback, const std::vector<std::string>& allowed);
    /// The value of the key names a file, which is read now: it is followed while the daemon runs.
    void follow(std::string_view key, const std::string& path);
    /// For checks of the caller's own; reported at the key's line, or at the section's when the key is not there. Of a
    /// list: at the line that holds `element`.
    void refuse(std::string_view key, const std::string& message, std::string_view element = {});
    /// What is no mistake and can have consequences: logged with the key's line, at --check-config as at the start.
    void warn(std::string_view key, const std::string& message);
    /// What only the start would find (a folder, rights), or has no effect: a mistake at --check-config, a warning
    /// otherwise. Nothing when `why` is empty, or what follows from a mistake that is reported for that line.
    void check(std::string_view key, const std::string& why, std::string_view element = {});
    bool only_checked() const { return only_checked_; }
    /// A mistake of that key is reported: what follows from it need not be.
    bool refused(std::string_view key) const;
    /// The default of a key is from somewhere else than the program.
    void set_origin(std::string_view key, const std::string& origin);
    void finish();

private:
    const ConfigEntry* find(std::string_view key, const std::string& fallback);
    int line_of(std::string_view key, std::string_view element) const;
    void add_error(int line, std::string_view key, const std::string& message);
    void expected(const ConfigEntry& entry, const std::string& what);
    /// Notes that the key was taken; without an entry `fallback` counts.
    void take(std::string_view key, const std::string& fallback);

    std::string path_;
    bool only_checked_;
    std::shared_ptr<TakenValues> values_;
    ConfigSection section_;
    ConfigErrors& errors_;
    std::vector<std::string> known_;
    std::set<std::pair<std::string, int>> refused_;  ///< keys with a mistake, and its line
};

}  // namespace vitalwire::runtime
