#pragma once

#include <boost/asio/io_context.hpp>

#include "cli/client.hpp"
#include "cli/options.hpp"

namespace vitalwire::cli {

/// Asks every second until SIGINT or SIGTERM, or until nobody reads the output any more. On a terminal the screen shows
/// the present state; elsewhere each change is a line. An answer that fails to come is shown, and asked for again.
int watch(boost::asio::io_context& io, Client& client, const Options& options);

}  // namespace vitalwire::cli
