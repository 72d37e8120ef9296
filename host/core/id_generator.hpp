#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "heartbeat/host_session.hpp"

namespace vitalwire::host {

/// What the agent makes up, and must be unpredictable or unique.
class IdGenerator : public heartbeat::IdGenerator {
public:
    virtual base::FaultId fault_id() = 0;
};

/// From the kernel, fetched in blocks: a challenge must not cost a system call.
class SystemIdGenerator final : public IdGenerator {
public:
    std::int64_t challenge() override;
    base::SessionId session_id() override { return base::SessionId(uuid()); }
    base::FaultId fault_id() override { return base::FaultId(uuid()); }
    /// A random UUID (RFC 4122, version 4).
    std::string uuid();

private:
    void take(void* out, std::size_t size);

    std::array<unsigned char, 1024> pool_{};
    std::size_t used_ = pool_.size();
};

}  // namespace vitalwire::host
