#include "guest/shell_run.hpp"

#include <utility>

namespace vitalwire::guest {

ShellRun::ShellRun(boost::asio::io_context& io, Children& children, const ShellCommand& command, Done done)
    : children_(children), done_(std::move(done)), not_started_(io) {
    const auto spawned = spawn_shell(command, children.accounts());
    if (!spawned) {
        not_started_.after(base::Millis(0), [this, why = spawned.error().message] {
            const Done call = std::move(done_);  // it may destroy this object
            call({why, {}, {}, {}});
        });
        return;
    }
    process_ = spawned->pid;
    report_ = spawned->report;
    output_ = std::make_shared<FirstLine>(io, spawned->output);
    errors_ = std::make_shared<FirstLine>(io, spawned->errors);
    output_->start();
    errors_->start();
    children_.watch(process_, [this](Ending ending) { ended(ending); });
}

ShellRun::~ShellRun() {
    if (process_ == 0) return;
    children_.abandon(process_);
    take_start_problem(report_);
    output_->finish();
    errors_->finish();
}

void ShellRun::kill() {
    if (process_ != 0) children_.kill(process_);
}

void ShellRun::ended(Ending ending) {
    process_ = 0;
    const Outcome outcome{take_start_problem(report_), ending, output_->finish(), errors_->finish()};
    const Done done = std::move(done_);  // it may destroy this object
    done(outcome);
}

}  // namespace vitalwire::guest
