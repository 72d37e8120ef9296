#include "runtime/listen_config.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "runtime/file.hpp"
#include "runtime/listen.hpp"
#include "runtime/listen_holder.hpp"

namespace vitalwire::runtime {

void check_listen_address(ConfigReader& section, std::string_view key, const std::string& address) {
    constexpr std::string_view kUnix = "unix:";
    if (const auto good = check_listen_address(address); !good)
        return section.refuse(key, good.error().message, address);
    if (address.starts_with(kUnix)) return check_socket_path(section, key, address.substr(kUnix.size()), address);
    if (section.only_checked()) section.check(key, held_by_another(address), address);
}

void check_socket_path(ConfigReader& section, std::string_view key, const std::string& path,
                       const std::string& element) {
    if (!section.only_checked()) return;
    const std::string folder = path.substr(0, path.find_last_of('/') + 1);
    if (!section.has(key) && access(folder.c_str(), F_OK) != 0) return;
    struct stat there {};
    // One that an earlier process has left is replaced.
    const bool in_the_way = lstat(path.c_str(), &there) == 0 && !S_ISSOCK(there.st_mode);
    section.check(key, in_the_way ? path + " is there, and no socket" : why_not_writable(path), element);
    if (!in_the_way && section.only_checked()) section.check(key, held_by_another(path), element);
}

}  // namespace vitalwire::runtime
