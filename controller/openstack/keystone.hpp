#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "controller/openstack/cloud_access.hpp"
#include "runtime/http/http_client.hpp"

namespace vitalwire::controller {

/// The way to a service of the cloud: what a request to it needs.
struct CloudGrant {
    std::string token;     ///< a secret
    std::string endpoint;  ///< of the service, without a slash at its end
};

/// A token of Keystone's, shared by all that talk to the cloud. It is asked for when it is first needed, renewed before
/// it ends (by our own clock: Keystone's may differ) and after a service has refused it. After a failure Keystone is
/// left alone for a moment: until then every call fails with the same error. All calls and callbacks are on the event
/// loop's thread.
class Keystone {
public:
    using Granted = std::function<void(base::Result<CloudGrant>)>;
    using Answered = std::function<void(base::Result<runtime::HttpClientResponse>)>;

    Keystone(boost::asio::io_context& io, runtime::HttpClient& http, CloudAccess access);
    ~Keystone();
    Keystone(const Keystone&) = delete;
    Keystone& operator=(const Keystone&) = delete;

    /// `service` is a type of the catalog: "compute", "rca". Calls `granted` once, never from within this call. Errors:
    /// permission (Keystone refuses who we are), not_found (no such service, region or interface), config (no region is
    /// named, and it has several or another than before), and those of runtime::HttpClient.
    void with_token(const std::string& service, Granted granted);
    /// A service answered 401 to `token`: the next with_token gets another one.
    void token_rejected(const std::string& token);

    /// Other secrets of the same user, from now on: Keystone is asked at once, whatever it has answered before. A token
    /// that lives is used on.
    void change(CloudAccess access);

    /// Sends `request`, whose `url` is a path below the service's endpoint ("/servers"), with a token and the cloud's
    /// TLS settings and time-out; once more with a new token after a 401.
    void call(const std::string& service, runtime::HttpClientRequest request, Answered answered);

    /// `answered` and `granted` of what is under way are not called any more.
    void stop();

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

/// "HTTP 503: the service's own words", bounded; for operators.
std::string describe_answer(const runtime::HttpClientResponse& response);

}  // namespace vitalwire::controller
