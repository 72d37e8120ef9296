#include <amqp.h>

#include <optional>

#include "base/text.hpp"
#include "controller/openstack/notification_feed.hpp"
#include "controller/secret.hpp"

namespace vitalwire::controller {

using runtime::ConfigReader;

namespace {

constexpr base::Millis kLongestExpiry = std::chrono::hours(7 * 24);

bool holds_password(const std::string& url) {
    const std::size_t user = url.find("//");
    const std::size_t at = url.find('@');
    return at != std::string::npos && user != std::string::npos && url.find(':', user) < at;
}

/// amqp://USER@HOST:PORT/VHOST, amqps://...
std::optional<Broker> parse(std::string url) {
    amqp_connection_info info{};
    if (amqp_parse_url(url.data(), &info) != AMQP_STATUS_OK) return std::nullopt;
    Broker broker;
    broker.host = info.host;
    broker.port = info.port;
    broker.user = info.user;
    broker.tls = info.ssl != 0;
    if (info.vhost != nullptr && *info.vhost != '\0') broker.vhost = info.vhost;
    return broker;
}

}  // namespace

NotificationFeedConfig read_notification_feed(ConfigReader& section) {
    NotificationFeedConfig feed;
    for (const std::string& url : section.list("url")) {
        if (holds_password(url)) {
            section.refuse("url", "holds a password: use the key password_file");
            continue;
        }
        if (auto broker = parse(url)) {
            feed.brokers.push_back(std::move(*broker));
        } else {
            section.refuse(
                "url", "expected amqp://USER@HOST:PORT/VHOST or amqps://..., found '" + base::escape(url, 128) + "'");
        }
    }
    feed.password = read_secret(section, "password");
    if (!feed.brokers.empty() && !names_secret(section, "password")) section.refuse("password_file", "missing");
    feed.exchange = section.text("exchange", feed.exchange);
    const auto topics = section.list("topics");
    if (!topics.empty()) feed.topics = topics;
    feed.queue_expiry = section.duration("queue_expiry", feed.queue_expiry, std::chrono::minutes(1), kLongestExpiry);
    feed.queue_length = static_cast<int>(section.integer("queue_length", feed.queue_length, 100, 10'000'000));
    feed.ca_file = section.text("ca_file", "");
    feed.certificate = section.text("certificate", "");
    feed.key = section.text("key", "");
    if (feed.certificate.empty() != feed.key.empty()) section.refuse("key", "certificate and key belong together");
    feed.insecure = section.boolean("insecure", false);
    return feed;
}

}  // namespace vitalwire::controller
