#include "runtime/secret.hpp"

#include <cstdlib>

#include "runtime/file.hpp"

namespace vitalwire::runtime {

namespace {

constexpr std::size_t kMaxSecretFile = 65536;

std::string first_line(const std::string& path) {
    const auto text = read_file(path, kMaxSecretFile);
    if (!text) return {};
    std::string line = text->substr(0, text->find('\n'));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' '))
        line.pop_back();
    return line;
}

}  // namespace

bool names_secret(const ConfigReader& section, const std::string& key) {
    return section.has(key + "_file") || section.has(key + "_env");
}

std::string read_secret(ConfigReader& section, const std::string& key) {
    const std::string file_key = key + "_file";
    const std::string env_key = key + "_env";
    const std::string path = section.text(file_key, "");
    const std::string variable = section.text(env_key, "");
    if (!path.empty() && !variable.empty()) {
        section.refuse(env_key, "expected either this or " + file_key);
        return {};
    }
    if (!path.empty()) {
        section.follow(file_key, path);
        std::string secret = first_line(path);
        if (secret.empty()) {
            const std::string why = why_unreadable(path);
            section.refuse(file_key, "expected a readable file with the secret in its first line, " +
                                         (why.empty() ? path + ": that line is empty" : why));
        }
        section.check(file_key, why_exposed(path));
        return secret;
    }
    if (variable.empty()) return {};
    // NOLINTNEXTLINE(concurrency-mt-unsafe): read at start, nothing sets variables
    const char* value = std::getenv(variable.c_str());
    if (value != nullptr && *value != '\0') return value;
    section.refuse(env_key, "no such variable in the environment");
    return {};
}

}  // namespace vitalwire::runtime
