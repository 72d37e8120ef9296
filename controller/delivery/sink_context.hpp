#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/ids.hpp"

namespace vitalwire::runtime {
class HttpClient;
class Metrics;
class Problems;
class Store;
class StoredTable;
}  // namespace vitalwire::runtime

namespace vitalwire::controller {

class Keystone;

/// What a sink may use.
struct SinkContext {
    boost::asio::io_context& io;
    runtime::HttpClient& http;
    Keystone* keystone = nullptr;  ///< there for the types of sink that need OpenStack
    std::string name = {};         ///< of the sink
    // For sinks that keep something or can be asked themselves.
    runtime::Store* store = nullptr;
    /// A table that outlives the sink, and is there when it is configured again.
    std::function<runtime::StoredTable&(const std::string& name)> table = {};
    runtime::Metrics* metrics = nullptr;
    runtime::Problems* problems = nullptr;
    /// Notifies the sink of the open faults of the guest once more.
    std::function<void(const base::GuestId&)> resend = {};
    /// Where this controller itself listens on TCP, "127.0.0.1:8990": no receiver that somebody else names.
    std::function<std::vector<std::string>()> own_listeners = {};
};

}  // namespace vitalwire::controller
