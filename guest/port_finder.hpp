#pragma once

#include <optional>
#include <string>

namespace vitalwire::guest {

/// Where the kernel shows virtio-serial ports; a test has its own.
struct PortRoots {
    std::string dev = "/dev";
    std::string sys_class = "/sys/class/virtio-ports";
};

/// The device node of a virtio-serial port: udev's link, or, where no udev runs, the port whose `name` in sysfs is this
/// one, also when it is called by the path of the link. Absent while there is no such port (proto-spec/device.md,
/// section 1). Any other path is a device already.
std::optional<std::string> find_port(const std::string& name_or_path, const PortRoots& roots = {});

}  // namespace vitalwire::guest
