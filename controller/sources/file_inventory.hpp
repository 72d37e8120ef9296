#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "controller/fleet/inventory.hpp"

namespace vitalwire::controller {

/// The inventory in one file, read again whenever it changes: written in place, or replaced as editors do. What is
/// written in place counts when its writer has closed it. A file with mistakes, or one that is gone, leaves the
/// inventory as it was.
class FileInventory : public InventorySource {
public:
    /// `required`: without the file there is no inventory; otherwise a file that never was is an empty one.
    FileInventory(boost::asio::io_context& io, Inventory& inventory, std::string path, bool required);
    ~FileInventory() override;

    void start(Handler& handler) override;
    void reload() override;
    void stop() override;
    bool loaded() const override;
    bool names_all() const override { return false; }
    base::TimePoint current_at() const override;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace vitalwire::controller
