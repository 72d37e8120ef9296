#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/token_bucket.hpp"
#include "guest/kept.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// Keeps what a restart must not end, from one vitalwired to the next of the same boot. It is a small file that only
/// its user can read and write, replaced in one step at each change, as often as the rate allows. One vitalwired at a
/// time has it. Where it cannot be written everything else goes on, it is logged, and the older file is removed: what
/// is out of date must not be taken for the truth by the next one.
class StateFile {
public:
    using Collect = std::function<std::vector<Kept>()>;

    /// `path`: empty: nothing is kept.
    StateFile(boost::asio::io_context& io, std::string path, Collect collect);
    ~StateFile();
    StateFile(const StateFile&) = delete;
    StateFile& operator=(const StateFile&) = delete;

    /// `done` learns of each change of `problem`.
    void on_problem(std::function<void()> done) { on_problem_ = std::move(done); }
    /// What the vitalwired before this one has left; absent while that one is still there.
    std::optional<std::vector<Kept>> load();
    /// Something that is kept may have changed.
    void changed();
    /// Writes what has changed before somebody is told of it.
    void write_pending();
    /// Writes a last time.
    void stop();
    /// Why nothing is kept now; empty when all is well.
    const std::string& problem() const { return problem_; }

private:
    bool lock();
    std::string empty() const;
    base::Result<std::vector<Kept>> read() const;
    void write_after(base::Duration time);
    void write();
    void written(std::string text);
    void not_written(const std::string& why);
    base::Result<void> replace(const std::string& text) const;

    std::string path_;
    Collect collect_;
    std::function<void()> on_problem_ = [] {};
    runtime::Timer timer_;
    base::TokenBucket writes_;
    bool waits_ = false;
    bool is_open_ = false;  ///< between load() and stop()
    int lock_ = -1;
    std::string boot_;
    std::string written_;  ///< what the next vitalwired would read
    std::string problem_;
    std::size_t left_out_ = 0;
};

}  // namespace vitalwire::guest
