#include "guest/socket_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"

namespace vitalwire::guest {

namespace {

constexpr std::chrono::seconds kLookForFile{2};

}  // namespace

void SocketFile::watch(std::string path, std::function<void()> on_lost) {
    path_ = std::move(path);
    on_lost_ = std::move(on_lost);
    struct stat found {};
    if (::lstat(path_.c_str(), &found) != 0) found = {};
    device_ = found.st_dev;
    inode_ = found.st_ino;
    look_.after(kLookForFile, [this] { look(); });
}

bool SocketFile::is_there() const {
    struct stat found {};
    return ::lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_;
}

void SocketFile::look() {
    if (is_there()) return look_.after(kLookForFile, [this] { look(); });
    log::warning("a socket was removed, and is made again", {{"socket", base::escape(std::exchange(path_, {}))}});
    const auto on_lost = std::move(on_lost_);
    on_lost();
}

void SocketFile::remove() {
    look_.cancel();
    if (!path_.empty() && is_there()) ::unlink(path_.c_str());
    path_.clear();
}

}  // namespace vitalwire::guest
