#include "runtime/config_values.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "runtime/file.hpp"

namespace vitalwire::runtime {

namespace {

constexpr std::string_view kMasked = "(masked)";
constexpr std::size_t kOriginColumn = 48;
constexpr std::size_t kMaxNamedFile = 1024 * 1024;

/// "amqp://user:secret@host" without the secret.
std::string without_password(const std::string& value) {
    std::string out = value;
    for (std::size_t at = out.find("://"); at != std::string::npos; at = out.find("://", at + 3)) {
        const std::size_t end = std::min(out.find_first_of("/ ", at + 3), out.size());
        const std::size_t host = out.rfind('@', end);
        const std::size_t password = out.find(':', at + 3);
        if (host == std::string::npos || host < at || password > host) continue;
        out.replace(password + 1, host - password - 1, kMasked);
    }
    return out;
}

struct Values {
    std::string plain;
    std::string shown;
    std::size_t content = 0;
};
using Key = std::pair<std::string, std::string>;

std::map<Key, Values> by_key(const ConfigValues& values) {
    std::map<Key, Values> out;
    for (const ConfigValue& value : values) {
        auto& [plain, shown, content] = out[{value.section, value.key}];
        plain += value.value + '\n';
        content = content * 31 + value.content;
        shown += (shown.empty() ? "" : " ") + masked(value);
    }
    return out;
}

}  // namespace

void TakenValues::begin(const std::string& section, std::string_view key) {
    if (keys_.emplace(section, key).second) return;
    std::erase_if(list_, [&](const ConfigValue& value) { return value.section == section && value.key == key; });
}

void TakenValues::set_origin(const std::string& section, std::string_view key, const std::string& origin) {
    for (ConfigValue& value : list_) {
        if (value.section == section && value.key == key && value.origin == "default") value.origin = origin;
    }
}

void TakenValues::follow(const std::string& section, std::string_view key, const std::string& path) {
    // Before it is read: what changes from then on is seen.
    files_.push_back({path, stamp_of(path)});
    const auto text = read_file(path, kMaxNamedFile);
    for (ConfigValue& value : list_) {
        if (value.section == section && value.key == key)
            value.content = value.content * 31 + std::hash<std::string>{}(text.value_or(std::string()));
    }
}

NamedFile::Stamp stamp_of(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return {};
    return {status.st_mtim.tv_sec, status.st_mtim.tv_nsec, static_cast<std::uint64_t>(status.st_size), status.st_ino};
}

std::string masked(const ConfigValue& value) {
    if (value.key == "header") {
        const std::size_t colon = value.value.find(':');
        return colon == std::string::npos ? std::string(kMasked)
                                          : value.value.substr(0, colon) + ": " + std::string(kMasked);
    }
    return without_password(value.value);
}

std::string to_text(const ConfigValues& values) {
    std::string out;
    std::string section;
    for (const ConfigValue& value : values) {
        if (value.section != section) out += (out.empty() ? "" : "\n") + value.section + '\n';
        section = value.section;
        if (value.value.empty()) {
            out += "# " + value.key + " is not set\n";
            continue;
        }
        std::string line = value.key + " = " + masked(value);
        line.resize(std::max(line.size(), kOriginColumn), ' ');
        out += line + "  # " + value.origin + '\n';
    }
    return out;
}

std::vector<ConfigChange> differences(const ConfigValues& before, const ConfigValues& after) {
    const auto old_values = by_key(before);
    const auto new_values = by_key(after);
    std::vector<ConfigChange> changes;
    const auto add = [&](const Key& key, const std::string& was, const std::string& is) {
        changes.push_back({key.first, key.second, was, is, false});
    };
    for (const auto& [key, values] : new_values) {
        const auto old = old_values.find(key);
        if (old == old_values.end()) {
            if (values.plain != "\n") add(key, "", values.shown);
        } else if (old->second.plain != values.plain) {
            add(key, old->second.shown, values.shown);
        } else if (old->second.content != values.content) {
            add(key, old->second.shown, values.shown);
            changes.back().of_content = true;
        }
    }
    for (const auto& [key, values] : old_values) {
        if (values.plain != "\n" && !new_values.contains(key)) add(key, values.shown, "");
    }
    return changes;
}

std::string to_string(const ConfigChange& change) {
    if (change.of_content)
        return change.section + ' ' + change.key + ": the content of " + change.after + " has changed";
    const auto shown = [](const std::string& value) { return value.empty() ? std::string("not set") : value; };
    return change.section + ' ' + change.key + ": " + shown(change.before) + " -> " + shown(change.after);
}

}  // namespace vitalwire::runtime
