#pragma once

#include <boost/asio/io_context.hpp>

#include "cli/client.hpp"
#include "cli/options.hpp"

namespace vitalwire::cli {

// Both ask every second until SIGINT or SIGTERM, or until the output cannot be written. That nobody answers is shown,
// and asked again.

/// Shows what is wrong now on the terminal of standard output.
int top(boost::asio::io_context& io, Client& client, const Options& options);
/// Prints what happened since options.since, if that is given, and then a line for each thing that happens.
int follow(boost::asio::io_context& io, Client& client, const Options& options);

}  // namespace vitalwire::cli
