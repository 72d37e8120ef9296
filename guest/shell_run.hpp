#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "guest/children.hpp"
#include "guest/first_line.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// A command of the shell from its start to its end. What has not ended with this object is killed.
class ShellRun {
public:
    struct Outcome {
        std::string problem;  ///< why it was not started; empty when it was
        Ending ending;
        std::string output;  ///< the first line
        std::string errors;  ///< the same of its standard error
    };
    using Done = std::function<void(const Outcome&)>;

    /// `done` is called once, never from within this function, and not after the end of this object.
    ShellRun(boost::asio::io_context& io, Children& children, const ShellCommand& command, Done done);
    ~ShellRun();
    ShellRun(const ShellRun&) = delete;
    ShellRun& operator=(const ShellRun&) = delete;

    /// `done` follows as soon as it has ended.
    void kill();

private:
    void ended(Ending ending);

    Children& children_;
    Done done_;
    runtime::Timer not_started_;
    pid_t process_ = 0;
    int report_ = -1;
    std::shared_ptr<FirstLine> output_;
    std::shared_ptr<FirstLine> errors_;
};

}  // namespace vitalwire::guest
