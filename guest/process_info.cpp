#include "guest/process_info.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string_view>
#include <system_error>

#include "base/text.hpp"
#include "guest/app_protocol.hpp"
#include "guest/whole_number.hpp"
#include "runtime/file.hpp"

namespace vitalwire::guest {

namespace {

constexpr std::size_t kMaxComm = 256;
constexpr std::size_t kMaxStat = 4096;
constexpr std::size_t kMaxCgroup = 8192;
constexpr std::size_t kMaxCommandLine = 8192;
constexpr std::size_t kMaxProgram = 512;

}  // namespace

std::string program_of(pid_t pid) {
    const auto comm = runtime::read_file("/proc/" + std::to_string(pid) + "/comm", kMaxComm);
    const std::string name = comm ? comm->substr(0, comm->find('\n')) : "";
    return base::is_plain_name(name, app::kMaxName) ? name : "pid-" + std::to_string(pid);
}

std::string unit_of(pid_t pid) {
    const auto text = runtime::read_file("/proc/" + std::to_string(pid) + "/cgroup", kMaxCgroup);
    if (!text) return {};
    for (std::size_t at = 0; at < text->size();) {
        const std::size_t end = std::min(text->find('\n', at), text->size());
        const std::string line = text->substr(at, end - at);
        at = end + 1;
        if (line.ends_with(".service")) return line.substr(line.find('/') + 1);
    }
    return {};
}

std::string identity_of(pid_t pid, uid_t uid) {
    const std::string process = "/proc/" + std::to_string(pid);
    if (const std::string unit = unit_of(pid); !unit.empty())
        return std::to_string(uid) + " " + base::escape(unit, kMaxProgram) + " " + program_of(pid);
    std::error_code none;
    const auto program = std::filesystem::read_symlink(process + "/exe", none);
    const std::string arguments = runtime::read_file(process + "/cmdline", kMaxCommandLine).value_or("");
    if (arguments.empty()) return {};
    return std::to_string(uid) + " " + base::escape(program.string(), kMaxProgram) + " " +
           std::to_string(std::hash<std::string>{}(arguments));
}

bool belongs_to(pid_t pid, uid_t uid) {
    struct stat found {};
    return pid > 0 && ::stat(("/proc/" + std::to_string(pid)).c_str(), &found) == 0 && found.st_uid == uid;
}

pid_t parent_of(pid_t pid) {
    const auto text = runtime::read_file("/proc/" + std::to_string(pid) + "/stat", kMaxStat);
    if (!text) return 0;
    // The name before it may hold anything: "PID (NAME) STATE PARENT ...".
    const std::size_t name_end = text->rfind(") ");
    if (name_end == std::string::npos || name_end + 4 >= text->size()) return 0;
    const std::string_view rest = std::string_view(*text).substr(name_end + 4);
    return parse_whole<pid_t>(rest.substr(0, rest.find(' '))).value_or(0);
}

}  // namespace vitalwire::guest
