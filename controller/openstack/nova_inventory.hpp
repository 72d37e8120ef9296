#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "controller/fleet/inventory.hpp"
#include "controller/openstack/keystone.hpp"
#include "controller/openstack/notification_feed.hpp"
#include "runtime/metrics.hpp"

namespace vitalwire::controller {

struct NovaInventoryConfig {
    /// Between polls at what changed (changes-since) and at the groups.
    base::Millis poll_interval = std::chrono::minutes(1);
    /// Between polls at everything.
    base::Millis full_poll_interval = std::chrono::minutes(30);
    NotificationFeedConfig feed;
};

/// The inventory as Nova has it: everything is listed at the start and at every full poll, kept current by
/// notifications, and by polls in between for what was not notified. What Nova fails to list stays as it was; a server
/// goes by a notification, by a list, or by 404 to its id.
class NovaInventory : public InventorySource {
public:
    NovaInventory(boost::asio::io_context& io, Inventory& inventory, Keystone& keystone, runtime::Metrics& metrics,
                  NovaInventoryConfig config);
    ~NovaInventory() override;

    void start(Handler& handler) override;
    void reload() override;
    /// The access of connections for notifications from now on.
    void use(const runtime::AmqpAccess& access);
    void stop() override;
    bool loaded() const override;
    bool names_all() const override { return true; }
    base::TimePoint current_at() const override;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace vitalwire::controller
