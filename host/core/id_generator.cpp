#include "host/core/id_generator.hpp"

#include <sys/random.h>

#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "wire/limits.hpp"

namespace vitalwire::host {

void SystemIdGenerator::take(void* out, std::size_t size) {
    if (pool_.size() - used_ < size) {
        std::size_t filled = 0;
        while (filled < pool_.size()) {
            const ssize_t got = getrandom(pool_.data() + filled, pool_.size() - filled, 0);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) throw std::system_error(errno, std::generic_category(), "getrandom");
            filled += static_cast<std::size_t>(got);
        }
        used_ = 0;
    }
    std::memcpy(out, pool_.data() + used_, size);
    used_ += size;
}

std::int64_t SystemIdGenerator::challenge() {
    std::uint32_t bits = 0;
    take(&bits, sizeof bits);
    return static_cast<std::int64_t>(bits) & wire::kMaxInt31;
}

std::string SystemIdGenerator::uuid() {
    boost::uuids::uuid id{};
    take(id.data, sizeof id.data);
    // Version 4: random.
    id.data[6] = static_cast<unsigned char>((id.data[6] & 0x0FU) | 0x40U);
    id.data[8] = static_cast<unsigned char>((id.data[8] & 0x3FU) | 0x80U);
    return to_string(id);
}

}  // namespace vitalwire::host
