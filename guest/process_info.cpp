#include "guest/process_info.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string_view>
#include <system_error>
#include <vector>

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
constexpr std::size_t kMaxStatus = 8192;
constexpr std::size_t kMaxChildren = 8192;
constexpr std::string_view kNamespaceNumbers = "\nNSpid:";

/// The words of `text`, as far as they are numbers.
std::vector<pid_t> numbers_in(std::string_view text) {
    std::vector<pid_t> numbers;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
        if (const auto number = parse_whole<pid_t>(text.substr(0, end))) numbers.push_back(*number);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return numbers;
}

/// The numbers of a process, from this daemon's namespace of processes to its own; empty when they are not known.
std::vector<pid_t> numbers_of(pid_t pid) {
    const auto text = runtime::read_file("/proc/" + std::to_string(pid) + "/status", kMaxStatus);
    const std::size_t at = text ? text->find(kNamespaceNumbers) : std::string::npos;
    if (at == std::string::npos) return {};
    const std::string_view rest = std::string_view(*text).substr(at + kNamespaceNumbers.size());
    return numbers_in(rest.substr(0, rest.find('\n')));
}

std::vector<pid_t> children_of(pid_t pid) {
    const std::string number = std::to_string(pid);
    return numbers_in(
        runtime::read_file("/proc/" + number + "/task/" + number + "/children", kMaxChildren).value_or(""));
}

std::string arguments_of(const std::string& thread) {
    return runtime::read_file(thread + "/cmdline", kMaxCommandLine).value_or("");
}

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
    std::string arguments = arguments_of(process);
    std::string thread = process;
    std::error_code none;
    // A main thread that has ended has none any more, the others have.
    for (std::filesystem::directory_iterator each(process + "/task", none), end; arguments.empty() && each != end;
         each.increment(none)) {
        thread = each->path();
        arguments = arguments_of(thread);
    }
    if (arguments.empty()) return {};
    const auto program = std::filesystem::read_symlink(thread + "/exe", none);
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

pid_t meant_by(pid_t sender, pid_t number) {
    const std::size_t depth = numbers_of(sender).size();
    if (depth <= 1 || number <= 0) return number;
    const auto is_meant = [&](pid_t pid) {
        const auto numbers = numbers_of(pid);
        return numbers.size() == depth && numbers.back() == number;
    };
    // Those above it are in the same namespace as long as they have as many numbers.
    pid_t pid = sender;
    for (int generation = 0; generation < kMostGenerations && pid > 1; ++generation, pid = parent_of(pid)) {
        if (is_meant(pid)) return pid;
    }
    const auto children = children_of(sender);
    const auto child = std::find_if(children.begin(), children.end(), is_meant);
    return child == children.end() ? 0 : *child;
}

}  // namespace vitalwire::guest
