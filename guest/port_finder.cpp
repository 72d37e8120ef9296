#include "guest/port_finder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string_view>

namespace vitalwire::guest {

namespace {

// No <fstream> and <filesystem> here: they alone would cost the daemon a third of its memory.

std::string first_line(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    std::array<char, 256> text{};
    const ssize_t size = ::read(file, text.data(), text.size());
    ::close(file);
    const std::string_view read(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    return std::string(read.substr(0, read.find('\n')));
}

bool exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

}  // namespace

std::optional<std::string> find_port(const std::string& name_or_path, const PortRoots& roots) {
    const std::string links = roots.dev + "/virtio-ports/";
    const bool is_link = name_or_path.starts_with(links);
    if (name_or_path.starts_with('/') && !is_link) return name_or_path;
    const std::string name = is_link ? name_or_path.substr(links.size()) : name_or_path;
    std::string link = links + name;
    if (exists(link)) return link;
    const std::unique_ptr<DIR, int (*)(DIR*)> ports(::opendir(roots.sys_class.c_str()), ::closedir);
    if (!ports) return std::nullopt;
    // Only this thread reads this directory.
    while (const dirent* port = ::readdir(ports.get())) {  // NOLINT(concurrency-mt-unsafe)
        const std::string number = port->d_name;
        if (first_line(roots.sys_class + "/" + number + "/name") != name) continue;
        std::string node = roots.dev + "/" + number;
        if (exists(node)) return node;
    }
    return std::nullopt;
}

}  // namespace vitalwire::guest
