#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/options.hpp"
#include "runtime/http/http_client.hpp"

namespace vitalwire::cli {

/// Asks the controllers in their order, then the agent where that is allowed, and stays with the one that answered.
class Client {
public:
    /// `note` is called with one line for people when a source is passed over, once for each.
    Client(boost::asio::io_context& io, const Options& options, std::function<void(const std::string&)> note);

    /// Waits for the answer to GET `path`: a JSON object. The error names every source and why it did not answer; it
    /// is `permission` when one answered, and refused.
    base::Result<nlohmann::json> get(const std::string& path);
    base::Result<nlohmann::json> post(const std::string& path, const std::string& body);
    /// Who answered last: a URL or a path.
    const std::string& source() const { return sources_[current_].name; }

private:
    struct Source {
        std::string name;
        std::string url;
        std::string unix_socket;
        bool passed_over = false;
    };

    static Source source_of(const std::string& url);
    base::Result<nlohmann::json> ask_any(const std::string& method, const std::string& path, const std::string& body);
    base::Result<nlohmann::json> ask(const Source& source, runtime::HttpClientRequest request);
    base::Result<runtime::HttpClientResponse> send(runtime::HttpClientRequest request);

    boost::asio::io_context& io_;
    runtime::HttpClient http_;
    std::vector<Source> sources_;
    std::string token_;
    std::string ca_file_;
    std::size_t current_ = 0;
    bool interrupted_ = false;
    std::function<void(const std::string&)> note_;
};

}  // namespace vitalwire::cli
