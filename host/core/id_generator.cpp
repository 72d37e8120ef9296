#include "host/core/id_generator.hpp"

#include <sys/random.h>

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
    std::array<unsigned char, 16> bytes{};
    take(bytes.data(), bytes.size());
    bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0FU) | 0x40U);
    bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3FU) | 0x80U);
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(36);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += kDigits[bytes[i] >> 4U];
        text += kDigits[bytes[i] & 0x0FU];
    }
    return text;
}

}  // namespace vitalwire::host
