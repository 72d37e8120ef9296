#include "runtime/file_watch.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::runtime {

FileWatch::FileWatch(boost::asio::io_context& io, std::function<bool()> changed, base::Millis pause)
    : changed_(std::move(changed)), pause_(pause), timer_(io) {
    timer_.after(pause_, [this] { look(); });
}

void FileWatch::watch(std::vector<NamedFile> files) {
    files_ = std::move(files);
}

void FileWatch::look() {
    timer_.after(pause_, [this] { look(); });
    const bool differs = std::any_of(files_.begin(), files_.end(),
                                     [](const NamedFile& file) { return stamp_of(file.path) != file.stamp; });
    if (differs || again_) again_ = !changed_();
}

}  // namespace vitalwire::runtime
