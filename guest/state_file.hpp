#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/token_bucket.hpp"
#include "guest/kept.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// Keeps what a restart must not end, from one vitalwired to the next of the same boot. It is a small file that only
/// its user can read and write, replaced in one step at each change, as often as the rate allows; on a file system that
/// cannot be written everything else goes on, and it is logged.
class StateFile {
public:
    using Collect = std::function<std::vector<Kept>()>;

    /// `path`: empty: nothing is kept.
    StateFile(boost::asio::io_context& io, std::string path, Collect collect);

    /// What the vitalwired before this one has left.
    std::vector<Kept> load();
    /// Something that is kept may have changed.
    void changed();
    /// Writes a last time.
    void stop();
    /// Why nothing is kept now; empty when all is well.
    const std::string& problem() const { return problem_; }

private:
    base::Result<std::vector<Kept>> read() const;
    void write();
    base::Result<void> replace(const std::string& text) const;

    std::string path_;
    Collect collect_;
    runtime::Timer timer_;
    base::TokenBucket writes_;
    bool waits_ = false;
    bool is_open_ = false;  ///< between load() and stop()
    std::string boot_;
    std::string written_;
    std::string problem_;
    std::size_t left_out_ = 0;
};

}  // namespace vitalwire::guest
