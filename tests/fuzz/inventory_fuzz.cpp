// The file that says which guests and groups there are.
#include <set>

#include "controller/sources/inventory_file.hpp"
#include "fuzz.hpp"

using namespace vitalwire;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    runtime::ConfigErrors errors;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto file = runtime::ConfigFile::parse(text, "inventory.conf", errors);
    controller::InventorySnapshot snapshot = controller::read_inventory(file, errors);
    if (!errors.empty()) return 0;

    std::set<base::GuestId> seen;
    for (const controller::InventoryGuest& guest : snapshot.guests) {
        FUZZ_REQUIRE(!guest.id.empty() && guest.policy.guest == guest.id);
        FUZZ_REQUIRE(seen.insert(guest.id).second);
    }
    const std::size_t guests = snapshot.guests.size();
    controller::Inventory inventory;
    FUZZ_REQUIRE(inventory.replace(snapshot).size() == guests);
    FUZZ_REQUIRE(inventory.replace(std::move(snapshot)).empty());
    return 0;
}
