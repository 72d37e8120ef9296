#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>
#include <vector>

#include "runtime/config_values.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::runtime {

/// Looks every few seconds whether one of the files that a configuration names is another one than when it was read. By
/// stat(2): a secret of a container is renamed behind a symbolic link, of which inotify tells nothing.
class FileWatch {
public:
    static constexpr base::Millis kPause{5'000};

    /// `changed` reads them again, and calls `watch` with what it found; false: it could not, and is called once more
    /// after the pause.
    FileWatch(boost::asio::io_context& io, std::function<bool()> changed, base::Millis pause = kPause);

    void watch(std::vector<NamedFile> files);

private:
    void look();

    std::function<bool()> changed_;
    base::Millis pause_;
    std::vector<NamedFile> files_;
    bool again_ = false;
    Timer timer_;
};

}  // namespace vitalwire::runtime
