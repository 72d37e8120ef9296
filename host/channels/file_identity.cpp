#include "host/channels/file_identity.hpp"

#include <fcntl.h>
#include <sys/stat.h>

namespace vitalwire::host {

FileIdentity identity_of(const std::string& path) {
    struct statx status {};
    if (::statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_BTIME, &status) != 0) return {};
    const bool unique = (status.stx_mask & STATX_BTIME) != 0;
    std::string text = std::to_string(status.stx_dev_major) + ':' + std::to_string(status.stx_dev_minor) + ' ' +
                       std::to_string(status.stx_ino);
    if (unique) text += ' ' + std::to_string(status.stx_btime.tv_sec) + '.' + std::to_string(status.stx_btime.tv_nsec);
    return {std::move(text), unique};
}

}  // namespace vitalwire::host
