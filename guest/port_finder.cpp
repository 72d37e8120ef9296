#include "guest/port_finder.hpp"

#include <filesystem>
#include <fstream>
#include <system_error>

namespace vitalwire::guest {

namespace fs = std::filesystem;

namespace {

std::string first_line(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

}  // namespace

std::optional<std::string> find_port(const std::string& name, const PortRoots& roots) {
    std::error_code error;
    const fs::path link = fs::path(roots.dev) / "virtio-ports" / name;
    if (fs::exists(link, error)) return link.string();
    for (fs::directory_iterator port(roots.sys_class, error), end; !error && port != end; port.increment(error)) {
        if (first_line(port->path() / "name") != name) continue;
        const fs::path node = fs::path(roots.dev) / port->path().filename();
        if (fs::exists(node, error)) return node.string();
    }
    return std::nullopt;
}

}  // namespace vitalwire::guest
