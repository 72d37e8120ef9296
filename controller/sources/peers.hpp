#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controller/model/maintenance.hpp"
#include "runtime/http/http_client.hpp"
#include "runtime/problems.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller {

struct PeersConfig {
    std::vector<std::string> urls;  ///< of the other controllers' HTTP interfaces
    std::string token;              ///< a reader's
    std::string ca_file;
    base::Millis poll_interval{5'000};
};

/// What the other controllers have and this one should: maintenance windows. Each asks its peers, so that nobody has to
/// be trusted to write.
class Peers {
public:
    using Merge = std::function<void(const std::vector<Maintenance>&)>;

    Peers(boost::asio::io_context& io, runtime::HttpClient& http, runtime::Problems& problems, PeersConfig config,
          Merge merge);

    void start();
    void stop();

private:
    void poll();
    void ask(const std::string& url);
    void answered(const std::string& url, const base::Result<runtime::HttpClientResponse>& answer);

    runtime::HttpClient& http_;
    runtime::Problems& problems_;
    PeersConfig config_;
    Merge merge_;
    runtime::Timer timer_;
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< an answer that finds it gone is nobody's
};

}  // namespace vitalwire::controller
