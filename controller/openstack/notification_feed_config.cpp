#include "controller/openstack/notification_feed.hpp"
#include "runtime/secret.hpp"

namespace vitalwire::controller {

using runtime::ConfigReader;

namespace {

constexpr base::Millis kLongestExpiry = std::chrono::hours(7 * 24);

}  // namespace

NotificationFeedConfig read_notification_feed(ConfigReader& section) {
    NotificationFeedConfig feed;
    for (const std::string& url : section.list("url")) {
        auto broker = runtime::AmqpBroker::parse(url);
        if (!broker) {
            section.refuse("url", broker.error().message);
            continue;
        }
        if (broker->user.empty()) broker->user = "guest";  // as every client of RabbitMQ has it
        feed.brokers.push_back(std::move(*broker));
    }
    feed.access.password = read_secret(section, "password");
    if (!feed.brokers.empty() && !names_secret(section, "password")) section.refuse("password_file", "missing");
    feed.exchange = section.text("exchange", feed.exchange);
    const auto topics = section.list("topics");
    if (!topics.empty()) feed.topics = topics;
    feed.queue_expiry = section.duration("queue_expiry", feed.queue_expiry, std::chrono::minutes(1), kLongestExpiry);
    feed.queue_length = static_cast<int>(section.integer("queue_length", feed.queue_length, 100, 10'000'000));
    feed.access.ca_file = section.file("ca_file");
    feed.access.certificate = section.file("certificate");
    feed.access.key = section.file("key");
    if (feed.access.certificate.empty() != feed.access.key.empty())
        section.refuse("key", "certificate and key belong together");
    feed.access.insecure = section.boolean("insecure", false);
    return feed;
}

}  // namespace vitalwire::controller
